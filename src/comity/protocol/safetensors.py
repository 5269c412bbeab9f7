"""The header of a safetensors file: which tensors it holds, and where (https://github.com/huggingface/safetensors).

    8 bytes, little-endian: the header's length | the header: JSON | the tensors' bytes

Strict, for files that a stranger may have made: lengths are checked before anything is allocated, names are
unique, and the tensors cover what follows the header exactly, without gaps or overlaps. It reads headers and
writes them; it touches no tensor. Pure.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comity import limits
from comity.errors import InvalidWeights
from comity.identity.text import printable

#: Bytes of one element, by the format's names of types.
ELEMENT_BYTES: Mapping[str, int] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E5M2": 1,
    "F8_E4M3": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}
#: What comes before the header: its length.
PREFIX = struct.Struct("<Q")
_METADATA = "__metadata__"
_ALIGNMENT = 8  # of the tensors' bytes, so that a reader may map them
_SHOWN = 80  # characters of a name in a message


@dataclass(frozen=True)
class Tensor:
    """``begin`` and ``end``: where its bytes lie, counted from the header's end."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def kind(self) -> tuple[str, tuple[int, ...]]:
        """What two tensors of one name must have in common, for their numbers to belong together."""
        return self.dtype, self.shape


@dataclass(frozen=True)
class Header:
    """``tensors`` in the order of their bytes; ``data``: where the first of these lies in the file."""

    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str]
    data: int

    @property
    def size(self) -> int:
        """The whole file's, in bytes."""
        return self.data + (self.tensors[-1].end if self.tensors else 0)


def header_length(prefix: bytes, file_bytes: int) -> int:
    """How long the header is that ``prefix``, a file's first eight bytes, announces. InvalidWeights."""
    if len(prefix) != PREFIX.size:
        raise InvalidWeights("it is too short to be a safetensors file")
    (length,) = PREFIX.unpack(prefix)
    if length > limits.SAFETENSORS_HEADER_BYTES or PREFIX.size + length > file_bytes:
        raise InvalidWeights(f"its header is said to take {length} bytes")
    return int(length)


def parse_header(text: bytes, file_bytes: int) -> Header:
    """The header in ``text``, of a file with so many bytes in all. InvalidWeights."""
    plain = _plain(text)
    metadata = _metadata(plain.pop(_METADATA, {}))
    if len(plain) > limits.SAFETENSORS_TENSORS:
        raise InvalidWeights(f"it holds {len(plain)} tensors")
    tensors = sorted((_tensor(name, entry) for name, entry in plain.items()), key=lambda each: each.begin)
    at = 0
    # Tensors without elements begin and end in one place, where others may begin as well.
    for tensor in sorted(tensors, key=lambda each: (each.begin, each.end)):
        if tensor.begin != at:
            raise InvalidWeights(f"{_shown(tensor.name)} lies where it should not: tensors leave no gaps")
        at = tensor.end
    header = Header(
        tuple(sorted(tensors, key=lambda each: (each.begin, each.end))), metadata, PREFIX.size + len(text)
    )
    if header.size != file_bytes:
        raise InvalidWeights(f"it has {file_bytes} bytes, and its header describes {header.size}")
    return header


def write_header(tensors: Sequence[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """Prefix and header of a file with these tensors (name, type, shape) in this order."""
    plain: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
    at = 0
    for name, dtype, shape in tensors:
        end = at + ELEMENT_BYTES[dtype] * math.prod(shape)
        plain[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return PREFIX.pack(len(text)) + text


def _plain(text: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InvalidWeights("its header is not JSON") from error
    if not isinstance(plain, dict) or not text.startswith(b"{"):
        raise InvalidWeights("its header is not an object")
    return plain


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidWeights("its header names something twice")
    return found


def _metadata(found: Any) -> Mapping[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidWeights("its metadata are not texts")
    return found


def _tensor(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InvalidWeights(f"{_shown(name)} is not described as a tensor")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ELEMENT_BYTES:
        raise InvalidWeights(f"{_shown(name)} is of an unknown type")
    if (
        not _counts(shape)
        or len(shape) > limits.SAFETENSORS_RANK
        or not _counts(offsets)
        or len(offsets) != 2
    ):
        raise InvalidWeights(f"{_shown(name)} has no proper shape or place")
    begin, end = offsets
    if end - begin != math.prod(shape) * ELEMENT_BYTES[dtype]:
        raise InvalidWeights(f"{_shown(name)} takes {end - begin} bytes, which its shape does not")
    return Tensor(name, dtype, tuple(shape), begin, end)


def _counts(found: Any) -> bool:
    """Whether it is a list of numbers that count something."""
    return isinstance(found, list) and all(type(each) is int and 0 <= each < 2**63 for each in found)


def _shown(name: str) -> str:
    return printable(name, _SHOWN)
