"""``python -m comity.demo.average MODEL… --out FILE.safetensors``: their mean, weighted by patients.

Each hospital runs it on its own model and the one that it received, and both get the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comity.demo.model import average
from comity.demo.program import run
from comity.demo.weights import load_model, save_model
from comity.errors import InvalidWeights


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m comity.demo.average", description="average models")
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="where to write the model")
    arguments = parser.parse_args()

    def work() -> dict[str, object]:
        models = [load_model(path) for path in arguments.models]
        try:
            model = average(models)
        except ValueError as error:
            raise InvalidWeights(str(error)) from error
        save_model(model, arguments.out)
        return {"models": len(models), "patients": model.patients}

    run(work)


if __name__ == "__main__":
    main()
