"""``python -m comity.demo.train --data FILE.npz --out FILE.safetensors``: one hospital's training.

Without more it trains a model alone: its own statistics, until nothing is left to gain. With ``--summary``
(each hospital's, its own included) it starts the shared model, and with ``--start`` it goes on from an
averaged one; both take one round's steps. It reads the files that are named and no other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comity.demo.model import ALONE_STEPS, ROUND_STEPS, Model, Patients, evaluate, summarise, train, untrained
from comity.demo.program import run
from comity.demo.weights import load_model, load_patients, load_summary, save_model


def start_of(patients: Patients, start: Path | None, summaries: list[Path]) -> tuple[Model, int]:
    """The model to begin with, and for how many steps."""
    if start is not None:
        return load_model(start), ROUND_STEPS
    if summaries:
        return untrained([load_summary(path) for path in summaries]), ROUND_STEPS
    return untrained([summarise(patients.features)]), ALONE_STEPS


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m comity.demo.train", description="train a model")
    parser.add_argument("--data", type=Path, required=True, help="this hospital's patients")
    parser.add_argument("--out", type=Path, required=True, help="where to write the model")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--start", type=Path, help="go on from this model")
    begin.add_argument("--summary", type=Path, nargs="+", default=[], help="start a shared model from these")
    arguments = parser.parse_args()

    def work() -> dict[str, object]:
        patients = load_patients(arguments.data)
        start, steps = start_of(patients, arguments.start, arguments.summary)
        model = train(start, patients, steps)
        save_model(model, arguments.out)
        return {
            "patients": len(patients),
            "cancers": patients.cancers,
            "steps": steps,
            "own_accuracy": evaluate(model, patients).accuracy,
        }

    run(work)


if __name__ == "__main__":
    main()
