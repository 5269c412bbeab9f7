"""``python -m comity.demo.evaluate --data FILE.npz --model FILE.safetensors``: a model's score.

The patients should be ones that it was not trained on; nothing here can tell.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from comity.demo.model import evaluate
from comity.demo.program import run
from comity.demo.weights import load_model, load_patients


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m comity.demo.evaluate", description="evaluate a model")
    parser.add_argument("--data", type=Path, required=True, help="patients that it was not trained on")
    parser.add_argument("--model", type=Path, required=True)
    arguments = parser.parse_args()

    def work() -> dict[str, object]:
        score = evaluate(load_model(arguments.model), load_patients(arguments.data))
        return dataclasses.asdict(score) | {"accuracy": score.accuracy}

    run(work)


if __name__ == "__main__":
    main()
