"""``python -m comity.demo.summarise --data FILE.npz --out FILE.safetensors``: sums per feature.

It reads that one file of patients. What it writes and why: ``model.Summary``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comity.demo.model import summarise
from comity.demo.program import run
from comity.demo.weights import load_patients, save_summary


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m comity.demo.summarise", description="sums per feature")
    parser.add_argument("--data", type=Path, required=True, help="this hospital's patients")
    parser.add_argument("--out", type=Path, required=True, help="where to write the summary")
    arguments = parser.parse_args()

    def work() -> dict[str, object]:
        summary = summarise(load_patients(arguments.data).features)
        save_summary(summary, arguments.out)
        return {"patients": summary.patients, "features": len(summary.total)}

    run(work)


if __name__ == "__main__":
    main()
