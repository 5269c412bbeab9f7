"""The study itself: the data, the model and its training. It knows nothing of networks.

1,797 images of handwritten digits (scikit-learn's ``load_digits``, from the UCI repository) stand for what
five hospitals hold: very different amounts, and each hospital has seen five of the ten digits only. The model
is a small network of two hidden layers; ``hidden`` makes it as large as you like.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SITES = ("site-1", "site-2", "site-3", "site-4", "site-5")
HIDDEN = 48

Array = npt.NDArray[np.float32]
Weights = dict[str, Array]

_COUNTS = (420, 330, 260, 190, 110)  # images by site
_SEEN = 5  # digits that a site has seen, of ten; the next site's begin two further on
_HELD_OUT = 397
_SEED = 2026
_LAYERS = ("one", "two", "three")
_BATCH, _RATE, _MOMENTUM = 32, 0.05, 0.8


@dataclass(frozen=True)
class Images:
    """``pixels``: (images, 64), from 0 to 1; ``digits``: (images,)."""

    pixels: Array
    digits: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.digits)

    def save(self, path: Path) -> None:
        """Write them as ``.npz``."""
        np.savez(path, pixels=self.pixels, digits=self.digits)

    @classmethod
    def load(cls, path: Path) -> Images:
        """What ``save`` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["pixels"], file["digits"])


def split() -> dict[str, Images]:
    """Every site's images, and under ``evaluation`` those that nobody trains on."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    random = np.random.default_rng(_SEED)
    order = random.permutation(len(found.target))
    pixels = (found.data[order] / 16).astype(np.float32)
    digits = found.target[order].astype(np.int64)
    parts = {"evaluation": Images(pixels[:_HELD_OUT], digits[:_HELD_OUT])}
    free = np.arange(len(digits)) >= _HELD_OUT
    for at, (site, count) in enumerate(zip(SITES, _COUNTS, strict=True)):
        seen = np.isin(digits, (2 * at + np.arange(_SEEN)) % 10)
        mine = np.flatnonzero(free & seen)[:count]
        free[mine] = False
        parts[site] = Images(pixels[mine], digits[mine])
    return parts


def untrained(hidden: int = HIDDEN) -> Weights:
    """The model that everybody starts from."""
    random = np.random.default_rng(_SEED)
    sizes = (64, hidden, hidden, 10)
    weights: Weights = {}
    for name, before, after in zip(_LAYERS, sizes, sizes[1:], strict=False):
        scale = np.float32(np.sqrt(2 / before))
        weights[f"{name}.weight"] = random.standard_normal((before, after), dtype=np.float32) * scale
        weights[f"{name}.bias"] = np.zeros(after, np.float32)
    return weights


def train(weights: Weights, images: Images, seed: int, epochs: int) -> Weights:
    """The model after some passes over one site's images: gradient descent in small batches."""
    weights = {name: np.array(tensor, np.float32) for name, tensor in weights.items()}
    moving = {name: np.zeros_like(tensor) for name, tensor in weights.items()}
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(images))
        for start in range(0, len(images), _BATCH):
            chosen = order[start : start + _BATCH]
            for name, gradient in _gradients(weights, images.pixels[chosen], images.digits[chosen]).items():
                moving[name] *= _MOMENTUM
                gradient *= _RATE
                moving[name] -= gradient
                weights[name] += moving[name]
    return weights


def accuracy(weights: Weights, images: Images) -> float:
    """The share of images whose digit the model tells."""
    scores = _forward(weights, images.pixels)[-1]
    return float((scores.argmax(axis=1) == images.digits).mean())


def _forward(weights: Weights, pixels: Array) -> list[Array]:
    """What comes out of each layer, the images first."""
    found = [pixels]
    for name in _LAYERS:
        out = found[-1] @ weights[f"{name}.weight"] + weights[f"{name}.bias"]
        found.append(out if name == _LAYERS[-1] else np.maximum(out, 0))
    return found


def _gradients(weights: Weights, pixels: Array, digits: npt.NDArray[np.int64]) -> Weights:
    """Of the mean cross-entropy over these images."""
    outputs = _forward(weights, pixels)
    scores = outputs[-1] - outputs[-1].max(axis=1, keepdims=True)
    error = np.exp(scores)
    error /= error.sum(axis=1, keepdims=True)
    error[np.arange(len(digits)), digits] -= 1
    error /= len(digits)
    gradients: Weights = {}
    for name, inputs in zip(reversed(_LAYERS), reversed(outputs[:-1]), strict=True):
        gradients[f"{name}.weight"] = inputs.T @ error
        gradients[f"{name}.bias"] = error.sum(axis=0)
        if name != _LAYERS[0]:
            error = (error @ weights[f"{name}.weight"].T) * (inputs > 0)
    return gradients
