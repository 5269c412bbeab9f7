"""The patients of one hospital, and a logistic regression in NumPy. It knows nothing of networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

Floats = NDArray[np.float64]


def patients(hospital: int) -> tuple[Floats, Floats]:
    """Features, scaled, and diagnoses of one of two hospitals: the first has three patients in four."""
    features, diagnoses = load_breast_cancer(return_X_y=True)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    chosen = (np.arange(len(diagnoses)) % 4 == 3) == bool(hospital)
    return np.asarray(scaled[chosen], float), np.asarray(diagnoses[chosen], float)


def new_model() -> list[Floats]:
    """Weights and bias, all zero."""
    return [np.zeros(30), np.zeros(1)]


def train(model: list[Floats], features: Floats, diagnoses: Floats, steps: int = 50) -> list[Floats]:
    """So many steps of gradient descent."""
    weights, bias = (part.copy() for part in model)
    for _ in range(steps):
        wrong = 1 / (1 + np.exp(-(features @ weights + bias))) - diagnoses
        weights -= 0.5 * features.T @ wrong / len(diagnoses)
        bias -= 0.5 * wrong.mean()
    return [weights, bias]


def accuracy(model: list[Floats], features: Floats, diagnoses: Floats) -> float:
    """The share of patients who are told right."""
    weights, bias = model
    return float(np.mean((features @ weights + bias > 0) == (diagnoses > 0.5)))
