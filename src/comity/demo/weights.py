"""Models and summaries as safetensors files, and the patients' file: what the demo's programs read and write.

A partner's file is checked before anything is computed from it: exactly the expected tensors, their type and
shape, finite numbers, a sensible count of patients. safetensors holds numbers only; nothing in it can run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from comity.demo.model import Array, Model, Patients, Summary
from comity.errors import InvalidWeights

_FEATURES_MOST = 10_000
_PATIENTS_MOST = 10**9


def save_model(model: Model, path: Path) -> None:
    """Write a model."""
    tensors = {"mean": model.mean, "scale": model.scale, "weights": model.weights}
    _save(tensors | {"bias": np.array([model.bias])}, model.patients, path)


def load_model(path: Path) -> Model:
    """Read a model; InvalidWeights where it is none."""
    tensors, patients = _load(path, {"mean", "scale", "weights", "bias"}, single="bias")
    if not (tensors["scale"] > 0).all():
        raise InvalidWeights(f"{path.name} scales by zero or less")
    bias = float(tensors["bias"][0])
    return Model(patients, tensors["mean"], tensors["scale"], tensors["weights"], bias)


def save_summary(summary: Summary, path: Path) -> None:
    """Write a summary."""
    _save({"total": summary.total, "squares": summary.squares}, summary.patients, path)


def load_summary(path: Path) -> Summary:
    """Read a summary; InvalidWeights where it is none."""
    tensors, patients = _load(path, {"total", "squares"}, single=None)
    if patients < 1:
        raise InvalidWeights(f"{path.name} summarises nobody")
    return Summary(patients, tensors["total"], tensors["squares"])


def load_patients(path: Path) -> Patients:
    """Read the ``.npz`` file that ``study.save_patients`` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return Patients(file["features"], file["malignant"])


def _save(tensors: dict[str, Array], patients: int, path: Path) -> None:
    whole: dict[str, npt.NDArray[np.generic]] = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    save_file(whole | {"patients": np.array([patients], np.int64)}, path)


def _load(path: Path, names: set[str], single: str | None) -> tuple[dict[str, Array], int]:
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InvalidWeights(f"{path.name} cannot be read: {error}") from error
    if set(tensors) != names | {"patients"}:
        raise InvalidWeights(f"{path.name} holds {', '.join(sorted(tensors)) or 'nothing'}")
    count = tensors.pop("patients")
    if count.dtype != np.int64 or count.shape != (1,) or not 0 <= count[0] <= _PATIENTS_MOST:
        raise InvalidWeights(f"{path.name} does not say for how many patients it stands")
    lengths = {len(tensor) if tensor.ndim == 1 else -1 for name, tensor in tensors.items() if name != single}
    if len(lengths) != 1 or not 1 <= lengths.pop() <= _FEATURES_MOST:
        raise InvalidWeights(f"{path.name} holds tensors of the wrong shape")
    if single is not None and tensors[single].shape != (1,):
        raise InvalidWeights(f"{path.name}: {single} is not one number")
    for name, tensor in tensors.items():
        if tensor.dtype != np.float64 or not np.isfinite(tensor).all():
            raise InvalidWeights(f"{path.name}: {name} is not made of finite 64-bit numbers")
    return tensors, int(count[0])
