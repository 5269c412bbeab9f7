"""The weighted mean of models, as files: block by block, in memory that depends neither on their size nor on
how many there are.

    averaging.check("received/site-3/round-7.safetensors", like="global-6.safetensors")
    mean = averaging.weighted_mean(
        [averaging.Contribution(path, samples), …], "global-7.safetensors", like="global-6.safetensors"
    )

A contribution comes from somebody else, who may be wrong or hostile. It counts only if it holds exactly the
tensors of ``like``, with their types and shapes, and finite numbers; ``check`` tells before one bad file
spoils a round. What it can't tell is whether finite numbers are honest: that takes robust aggregation, and a
limit on anybody's weight. Needs NumPy: ``pip install 'comity[weights]'``.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from comity.errors import FileUnusable, InvalidInput, InvalidWeights
from comity.identity.text import printable
from comity.protocol.safetensors import (
    ELEMENT_BYTES,
    PREFIX,
    Header,
    Tensor,
    header_length,
    parse_header,
    write_header,
)
from comity.sdk.appearing import appearing

PathLike = str | os.PathLike[str]
Block = npt.NDArray[np.float64]

_BLOCK = 2**18  # numbers that are in memory at once, of each tensor
_EXACT = 2**53  # integers beyond it are not all float64 numbers
_STORED: Mapping[str, str] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "U64": "<u8",
    "I32": "<i4",
    "U32": "<u4",
    "I16": "<i2",
    "U16": "<u2",
    "I8": "i1",
    "U8": "u1",
}
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True)
class Contribution:
    """One model, and what it weighs against the others: how many patients it learnt from, for example."""

    path: PathLike
    weight: float = 1.0


@dataclass(frozen=True)
class Averaged:
    """What was written: ``digest`` is ``sha256:…`` of the file, ``weight`` the sum of all weights."""

    path: str
    bytes: int
    digest: str
    tensors: int
    contributions: int
    weight: float


def check(path: PathLike, *, like: PathLike) -> None:
    """Return if the file holds what ``like`` holds, all of it finite. InvalidWeights, FileUnusable."""
    with _Model(like) as reference, _Model(path) as model:
        model.require(reference.header)
        for tensor in reference.header.tensors:
            for start in range(0, tensor.elements, _BLOCK):
                model.block(tensor.name, start, min(_BLOCK, tensor.elements - start))


def weighted_mean(
    contributions: Sequence[Contribution],
    out: PathLike,
    *,
    like: PathLike | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Averaged:
    """Write the mean of the contributions to ``out``, which appears complete or not at all.

    ``like``: the model whose tensors all must have; the first contribution without it. Sums are made in
    float64 and stored in each tensor's own type, integers rounded. The order of contributions does not
    matter beyond float64's rounding. InvalidInput for weights that make no mean; InvalidWeights names the
    file that does not fit; FileUnusable, StorageUnusable, DiskFull.
    """
    total = math.fsum(each.weight for each in contributions)
    if not contributions or not all(0 <= each.weight < math.inf for each in contributions) or total <= 0:
        raise InvalidInput("no mean can be made of these weights", hint="give positive, finite numbers")
    with ExitStack() as opened:
        models = [opened.enter_context(_Model(each.path)) for each in contributions]
        header = opened.enter_context(_Model(like)).header if like is not None else models[0].header
        for model in models:
            model.require(header)
        shares = [each.weight / total for each in contributions]  # small first: nobody's numbers overflow
        digest = hashlib.sha256()
        with appearing(out) as file:
            head = write_header([(each.name, *each.kind) for each in header.tensors], metadata or {})
            file.write(head)
            digest.update(head)
            for tensor in header.tensors:
                for start in range(0, tensor.elements, _BLOCK):
                    count = min(_BLOCK, tensor.elements - start)
                    data = _packed(_mean(models, shares, tensor.name, start, count), tensor.dtype)
                    file.write(data)
                    digest.update(data)
            size = file.tell()
    return Averaged(
        path=os.path.abspath(out),
        bytes=size,
        digest=f"sha256:{digest.hexdigest()}",
        tensors=len(header.tensors),
        contributions=len(contributions),
        weight=total,
    )


def metadata_of(path: PathLike) -> Mapping[str, str]:
    """What the file says about itself; claims of whoever wrote it. InvalidWeights, FileUnusable."""
    with _Model(path) as model:
        return model.header.metadata


def _mean(models: Sequence[_Model], shares: Sequence[float], name: str, start: int, count: int) -> Block:
    mean = np.zeros(count)
    for model, share in zip(models, shares, strict=True):
        block = model.block(name, start, count)
        block *= share
        mean += block
    return mean


class _Model:
    """A safetensors file that is open; it is never mapped, so that it takes no memory."""

    def __init__(self, path: PathLike) -> None:
        self._name = printable(os.path.basename(os.fspath(path)))
        self._path = path

    def __enter__(self) -> _Model:
        try:
            self._file = open(self._path, "rb", buffering=0)
        except OSError as error:
            raise FileUnusable(
                f"{self._name} cannot be read: {os.strerror(error.errno or 0).lower()}"
            ) from error
        try:
            size = os.fstat(self._file.fileno()).st_size
            length = header_length(self._read(0, min(PREFIX.size, size)), size)
            self.header: Header = parse_header(self._read(PREFIX.size, length), size)
        except InvalidWeights as error:
            self._file.close()
            raise self._unfit(error.message) from error
        except BaseException:
            self._file.close()
            raise
        self._tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in self.header.tensors}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def require(self, header: Header) -> None:
        """InvalidWeights unless it has exactly these tensors, with these types and shapes."""
        wanted = {tensor.name: tensor.kind for tensor in header.tensors}
        for name, kind in wanted.items():
            ours = self._tensors.get(name)
            if ours is None:
                raise self._unfit(f"it lacks {printable(name, 80)}")
            if ours.kind != kind:
                raise self._unfit(
                    f"{printable(name, 80)} is {_shown(ours.kind)} and should be {_shown(kind)}"
                )
            if ours.dtype not in _STORED:
                raise self._unfit(f"{printable(name, 80)} is {ours.dtype}, of which no mean is made")
        for name in self._tensors:
            if name not in wanted:
                raise self._unfit(f"it holds {printable(name, 80)} besides what it should")

    def block(self, name: str, start: int, count: int) -> Block:
        """Numbers of a tensor as float64, from the ``start``th on; InvalidWeights where one is not finite."""
        tensor = self._tensors[name]
        width = ELEMENT_BYTES[tensor.dtype]
        data = self._read(self.header.data + tensor.begin + start * width, count * width)
        block = _unpacked(data, tensor.dtype)
        exact = tensor.dtype in _FLOATS or (np.abs(block) <= _EXACT).all()
        if not np.isfinite(block).all() or not exact:
            raise self._unfit(f"{printable(name, 80)} holds numbers of which no mean is made")
        return block

    def _read(self, at: int, count: int) -> bytes:
        """Exactly so many bytes; a file that became shorter meanwhile is no model."""
        parts = []
        while count:
            part = os.pread(self._file.fileno(), count, at)
            if not part:
                raise self._unfit("it became shorter while it was read")
            parts.append(part)
            at, count = at + len(part), count - len(part)
        return b"".join(parts)

    def _unfit(self, problem: str) -> InvalidWeights:
        return InvalidWeights(f"{self._name} cannot be averaged: {problem}")


def _unpacked(data: bytes, dtype: str) -> Block:
    stored: npt.NDArray[Any] = np.frombuffer(data, _STORED[dtype])
    if dtype == "BF16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return stored.astype(np.float64)


def _packed(block: Block, dtype: str) -> bytes:
    if dtype == "BF16":
        bits = block.astype(np.float32).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # to the nearest, ties to even
        return rounded.astype("<u2").tobytes()
    if dtype not in _FLOATS:
        block = np.rint(block)
    return block.astype(_STORED[dtype]).tobytes()


def _shown(kind: tuple[str, tuple[int, ...]]) -> str:
    return f"{kind[0]} {list(kind[1])}"
