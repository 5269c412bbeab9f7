"""Where chunks begin and end: at tensors in a safetensors file, else at equal distances.

A fine-tuned model shares most of its tensors with the one before. Where chunk edges follow tensors, a layer
that didn't change has the same chunks in both, wherever the header or its neighbours have moved it. Small
tensors share a chunk, large ones have several. The header comes from a stranger's file: whatever it says,
chunks cover the artifact from end to end without overlaps; a header that makes no sense gives equal
distances. It reads no files, and no tensor: only what lies where.

Implements docs: protocol, "Exchange", chunk edges, and the safetensors format (8 bytes of length, little
endian; that much JSON, name → ``data_offsets``; the data).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import msgspec

from comity import limits

PREFIX_BYTES = 8
_METADATA = "__metadata__"


class _Tensor(msgspec.Struct):
    data_offsets: tuple[int, int]


class Edges:
    """The chunks of an artifact of ``size`` bytes, cut at ``cuts`` (ascending, from 0 to ``size``), or every
    ``step`` bytes.
    """

    def __init__(self, size: int, step: int, cuts: array[int] | None = None) -> None:
        self.size = size
        self.step = step
        self._cuts = cuts

    def __len__(self) -> int:
        return -(-self.size // self.step) if self._cuts is None else len(self._cuts) - 1

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Offset and length of each chunk, ascending."""
        if self._cuts is None:
            for offset in range(0, self.size, self.step):
                yield offset, min(self.step, self.size - offset)
            return
        for index in range(len(self._cuts) - 1):
            yield self._cuts[index], self._cuts[index + 1] - self._cuts[index]

    @property
    def longest(self) -> int:
        """No chunk is longer."""
        return min(self.step, self.size)


def step_of(size: int) -> int:
    """How long the chunks of an artifact of ``size`` bytes are, where nothing makes them shorter."""
    small = limits.SMALL_CHUNK_BYTES
    return small if size <= small * limits.SMALL_CHUNKS else limits.CHUNK_BYTES


def equal_edges(size: int) -> Edges:
    """Without regard to what is inside."""
    return Edges(size, step_of(size))


def header_bytes(prefix: bytes, size: int) -> int | None:
    """How long the JSON after the first 8 bytes is, if this can be a safetensors file of ``size`` bytes."""
    length = int.from_bytes(prefix[:PREFIX_BYTES], "little")
    if len(prefix) < PREFIX_BYTES or not 2 <= length <= min(size - PREFIX_BYTES, limits.TENSOR_HEADER_BYTES):
        return None
    return length


class Cuts:
    """Where chunks of an artifact of ``size`` bytes end, found from its beginning to its end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._step = step_of(size)
        self._cuts = array("Q", [0])

    def at(self, offset: int) -> None:
        """A chunk ends here, and before, where it would be too long."""
        while offset - self._cuts[-1] > self._step:
            self._cuts.append(self._cuts[-1] + self._step)
        if offset > self._cuts[-1]:
            self._cuts.append(offset)

    def share(self, begin: int, end: int) -> None:
        """Something small lies here: neighbours share a chunk, up to ``limits.TENSOR_GROUP_BYTES``."""
        if end - self._cuts[-1] > limits.TENSOR_GROUP_BYTES:
            self.at(begin)

    def edges(self) -> Edges:
        """All of it; at equal distances where there would be too many."""
        self.at(self._size)
        if len(self._cuts) - 1 > limits.MANIFEST_CHUNKS:
            return equal_edges(self._size)
        return Edges(self._size, self._step, self._cuts)


def tensor_edges(size: int, header: bytes) -> Edges:
    """Edges for a file of ``size`` bytes whose JSON, after its length, is ``header``."""
    begin = PREFIX_BYTES + len(header)
    ends = _tensor_ends(header, size - begin)
    if ends is None:
        return equal_edges(size)
    cuts = Cuts(size)
    cuts.at(begin)
    at = begin
    for end in ends:
        if begin + end - at > limits.TENSOR_GROUP_BYTES:
            cuts.at(at)
            cuts.at(begin + end)
        else:
            cuts.share(at, begin + end)
        at = begin + end
    return cuts.edges()


def _tensor_ends(header: bytes, data: int) -> list[int] | None:
    """Where each tensor ends, ascending, if they fill ``data`` bytes."""
    try:
        entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        entries.pop(_METADATA, None)
        tensors = [msgspec.json.decode(entry, type=_Tensor) for entry in entries.values()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    ends = []
    at = 0
    for begin, end in sorted(tensor.data_offsets for tensor in tensors):
        if begin != at or end < begin:
            return None
        if end > begin:
            ends.append(end)
        at = end
    return ends if at == data and ends else None
