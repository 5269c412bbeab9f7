"""Lay a hospital's patients out in a folder, as ``train.py --data`` wants them.

    python patients.py --hospital a --folder /local/ct-scans

They are scikit-learn's breast cancer patients (569 of them, real, and in its wheel): hospital a has three in
four, hospital b the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer


def main() -> None:
    """Write ``patients.npz``: features, scaled, and diagnoses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hospital", choices=("a", "b"), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    found = parser.parse_args()
    features, diagnoses = load_breast_cancer(return_X_y=True)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    chosen = (np.arange(len(diagnoses)) % 4 == 3) == (found.hospital == "b")
    np.savez(found.folder / "patients.npz", features=scaled[chosen], diagnoses=diagnoses[chosen])
    print(f"{int(chosen.sum())} patients in {found.folder}")


if __name__ == "__main__":
    main()
