"""A logistic regression over several hospitals, in NumPy: federated averaging (McMahan et al. 2017).

It holds arithmetic only: no files, no processes, no randomness, so the same input gives the same bits.

*Standardisation.* Features differ by four orders of magnitude, so they are shifted and scaled before
training. Each hospital's own mean and deviation would not do for the shared model: a weight would mean
something else at each, and where one hospital sees mostly ill and the other mostly healthy patients, they
would erase the very difference that matters. Statistics over all patients' rows, or the test patients',
would leak. So the hospitals exchange a ``Summary`` once: how many patients, and per feature the sum and the
sum of squares, which is what means and deviations over both are made from. A hospital's model *alone* knows
nothing of the other's summary.

*What leaves a hospital* is that summary and the weights. Neither is a patient's row, but neither is proof
against inference about patients either: that takes secure aggregation or differential privacy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Gradient steps of one round, and of a model alone: never fewer than the shared model takes in all rounds.
ROUND_STEPS = 40
ROUNDS_MOST = 15
ALONE_STEPS = ROUND_STEPS * ROUNDS_MOST
_RATE = 0.3
_RIDGE = 0.003  # keeps weights finite where a hospital's patients can be told apart entirely


@dataclass(frozen=True)
class Patients:
    """``features``: (patients, features); ``malignant``: (patients,), 1.0 for cancer and 0.0 without."""

    features: Array
    malignant: Array

    def __len__(self) -> int:
        return len(self.malignant)

    @property
    def cancers(self) -> int:
        return int(self.malignant.sum())


@dataclass(frozen=True)
class Summary:
    """``patients``: how many; ``total``, ``squares``: (features,), sums of features and of their squares."""

    patients: int
    total: Array
    squares: Array


@dataclass(frozen=True)
class Model:
    """``patients``: how many it was trained on; ``mean``, ``scale``, ``weights``: (features,)."""

    patients: int
    mean: Array
    scale: Array
    weights: Array
    bias: float


@dataclass(frozen=True)
class Score:
    """How a model did: ``missed`` are cancers it called healthy, ``false_alarms`` the other way round."""

    patients: int
    right: int
    missed: int
    false_alarms: int

    @property
    def accuracy(self) -> float:
        return self.right / self.patients


def summarise(features: Array) -> Summary:
    """What one hospital tells about its features, of shape (patients, features)."""
    return Summary(len(features), features.sum(axis=0), np.square(features).sum(axis=0))


def untrained(summaries: Sequence[Summary]) -> Model:
    """A model of zeros that standardises by the mean and deviation over everybody who is summarised."""
    patients = sum(summary.patients for summary in summaries)
    mean = np.sum([summary.total for summary in summaries], axis=0) / patients
    variance = np.sum([summary.squares for summary in summaries], axis=0) / patients - np.square(mean)
    varies = variance > 1e-12 * np.square(mean)  # else the feature is constant, but for rounding
    scale = np.sqrt(np.where(varies, variance, 1.0))
    return Model(0, mean, scale, np.zeros_like(mean), 0.0)


def train(start: Model, patients: Patients, steps: int) -> Model:
    """``start`` after that many steps down the gradient of the mean log loss of these patients."""
    rows = (patients.features - start.mean) / start.scale
    weights, bias = start.weights, start.bias
    for _ in range(steps):
        error = _probability(rows @ weights + bias) - patients.malignant
        weights = weights - _RATE * (rows.T @ error / len(patients) + _RIDGE * weights)
        bias -= _RATE * float(error.mean())
    return Model(len(patients), start.mean, start.scale, weights, bias)


def average(models: Sequence[Model]) -> Model:
    """Their mean, weighted by patients. ValueError unless all were trained from the same standardisation.

    Of two models the order does not matter, to the last bit: both hospitals get the same file.
    """
    first = models[0]
    if any((m.mean != first.mean).any() or (m.scale != first.scale).any() for m in models):
        raise ValueError("the models standardise differently")
    patients = sum(model.patients for model in models)
    weights = np.sum([model.patients * model.weights for model in models], axis=0) / patients
    bias = sum(model.patients * model.bias for model in models) / patients
    return Model(patients, first.mean, first.scale, weights, bias)


def evaluate(model: Model, patients: Patients) -> Score:
    """How the model does on these patients; it calls cancer from a probability of one half."""
    called = (patients.features - model.mean) / model.scale @ model.weights + model.bias > 0
    ill = patients.malignant == 1
    missed, false_alarms = int((ill & ~called).sum()), int((~ill & called).sum())
    return Score(len(patients), len(patients) - missed - false_alarms, missed, false_alarms)


def _probability(score: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-np.clip(score, -60, 60)))
    return result
