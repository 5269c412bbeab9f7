"""Randomness as an argument: the system's for keys and nonces, a seeded one for simulations."""

from __future__ import annotations

import os
import random
from typing import Protocol


class Entropy(Protocol):
    """Where the edges draw nonces, identifiers and jitter."""

    def token(self, size: int) -> bytes:
        """``size`` unpredictable bytes."""
        ...

    def jitter(self) -> float:
        """A number in [0, 1), for back-off; never for a secret."""
        ...


class SystemEntropy:
    """The operating system's generator."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def jitter(self) -> float:
        return random.random()  # noqa: S311  back-off only, never a secret


class PredictableEntropy:
    """The same bytes for the same seed. For simulations only: nothing it yields is a secret."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  predictable on purpose, for simulations

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def jitter(self) -> float:
        return self._random.random()
