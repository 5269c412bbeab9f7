"""``python -m comity.demo.patients --out DIR``: the study's three groups, each in its folder.

For whoever plays the demo by hand (docs/tutorial/two-hospitals.md); ``comity demo`` hands them out by itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from comity.demo.program import run
from comity.demo.study import FILE, all_patients, save_patients, split


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="python -m comity.demo.patients", description="hand out patients")
    parser.add_argument("--out", type=Path, required=True, help="where to make the folders")
    parser.add_argument("--seed", type=int, default=2, help="who is whose patient (default: 2)")
    arguments = parser.parse_args()

    def work() -> dict[str, object]:
        study = split(all_patients(), arguments.seed)
        groups = {"st-mary": study.screening, "cote-bleue": study.referral, "evaluation": study.test}
        for name, patients in groups.items():
            folder = arguments.out / name
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_patients(patients, folder / FILE)
        return {name: len(patients) for name, patients in groups.items()}

    run(work)


if __name__ == "__main__":
    main()
