r"""Train a model on the patients of one hospital: logistic regression, by gradient descent.

    python train.py --data /local/ct-scans --weights /models/global-round-0.pt \
        --output /models/local-round-1.pt

Weights are safetensors, whatever their file is called: reading them runs no code. Without weights to start
from, or where that file does not exist yet, the model starts at zero.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

_FEATURES = 30
_STEPS_AN_EPOCH = 20
_RATE = 0.2


def main() -> None:
    """Read, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with patients.npz")
    parser.add_argument("--weights", type=Path, help="the model to start from")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=5)
    found = parser.parse_args()
    patients = np.load(found.data / "patients.npz")
    features, diagnoses = patients["features"], patients["diagnoses"]
    model = {"weights": np.zeros(_FEATURES), "bias": np.zeros(1)}
    if found.weights is not None and found.weights.exists():
        model = load_file(found.weights)
    for _ in range(found.epochs * _STEPS_AN_EPOCH):
        wrong = 1 / (1 + np.exp(-(features @ model["weights"] + model["bias"]))) - diagnoses
        model["weights"] = model["weights"] - _RATE * features.T @ wrong / len(diagnoses)
        model["bias"] = model["bias"] - _RATE * wrong.mean()
    right = np.mean((features @ model["weights"] + model["bias"] > 0) == (diagnoses > 0))
    save_file(model, found.output, {"patients": str(len(diagnoses)), "accuracy": f"{right:.4f}"})
    size = found.output.stat().st_size
    print(f"Training complete. Model saved: {found.output} ({size}B)")


if __name__ == "__main__":
    main()
