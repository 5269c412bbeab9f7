"""Headers of safetensors files: what is written is read, what a stranger wrote is read or refused, and
whatever is taken here, the reference implementation takes as well.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from comity import limits
from comity.errors import InvalidWeights
from comity.protocol.safetensors import (
    ELEMENT_BYTES,
    PREFIX,
    Header,
    header_length,
    parse_header,
    write_header,
)

# The reference refuses the reserved name for a tensor, as we do.
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(
    lambda name: name != "__metadata__"
)
KINDS = st.tuples(st.sampled_from(sorted(ELEMENT_BYTES)), st.lists(st.integers(0, 4), max_size=4).map(tuple))
TENSORS = st.dictionaries(NAMES, KINDS, max_size=6)
METADATA = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


def read(data: bytes) -> Header:
    length = header_length(data[: PREFIX.size], len(data))
    return parse_header(data[PREFIX.size : PREFIX.size + length], len(data))


def reference_takes(data: bytes) -> bool:
    try:
        deserialize(data)  # type: ignore[no-untyped-call]  # the library gives it no types
    except SafetensorError:
        return False
    return True


def written(tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]) -> bytes:
    head = write_header([(name, *kind) for name, kind in tensors.items()], metadata)
    count = sum(ELEMENT_BYTES[dtype] * math.prod(shape) for dtype, shape in tensors.values())
    return head + bytes(count)


def file_of(header: Any, count: int) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return PREFIX.pack(len(text)) + text + bytes(count)


@given(TENSORS, METADATA)
def test_what_is_written_is_read(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]
) -> None:
    data = written(tensors, metadata)
    header = read(data)
    assert {tensor.name: tensor.kind for tensor in header.tensors} == tensors
    assert header.metadata == metadata
    assert header.data % 8 == 0
    assert reference_takes(data)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read(noise: bytes) -> None:
    try:
        read(noise)
    except InvalidWeights:
        return
    assert reference_takes(noise)


@settings(max_examples=300)
@given(TENSORS, st.data())
def test_a_bent_header_is_refused_or_read(
    tensors: dict[str, tuple[str, tuple[int, ...]]], data: st.DataObject
) -> None:
    whole = bytearray(written(tensors, {}))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.sampled_from(list(b'0123456789[]{}",:-e \xff\x00')))
    bent = bytes(whole)
    try:
        read(bent)
    except InvalidWeights:
        return
    assert reference_takes(bent)


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "too short"),
        (PREFIX.pack(100), "said to take"),
        (PREFIX.pack(limits.SAFETENSORS_HEADER_BYTES + 1) + bytes(64), "said to take"),
        (PREFIX.pack(2**64 - 1) + bytes(64), "said to take"),
        (file_of(b"[]", 0), "not an object"),
        (file_of(b" {}", 0), "not an object"),
        (file_of(b"{", 0), "not JSON"),
        (file_of(b"\xff", 0), "not JSON"),
        (file_of(b"[" * 100_000, 0), "not JSON"),
        (file_of(b'{"a":%s}' % (b"9" * 5000), 0), "not JSON"),
        (file_of(b'{"a":1,"a":1}', 0), "twice"),
        (file_of({"a": 1}, 0), "not described"),
        (file_of({"a": F32 | {"more": 1}}, 8), "not described"),
        (file_of({"a": F32 | {"dtype": "F31"}}, 8), "unknown type"),
        (file_of({"a": F32 | {"dtype": ["F32"]}}, 8), "unknown type"),
        (file_of({"a": F32 | {"shape": [-2]}}, 8), "no proper shape"),
        (file_of({"a": F32 | {"shape": [True, 2]}}, 8), "no proper shape"),
        (file_of({"a": F32 | {"shape": [1] * 17}}, 8), "no proper shape"),
        (file_of({"a": F32 | {"data_offsets": [0]}}, 8), "no proper shape"),
        (file_of({"a": F32 | {"data_offsets": [0, 12]}}, 12), "which its shape does not"),
        (file_of({"a": F32 | {"shape": [2**62, 2**62]}}, 8), "which its shape does not"),
        (file_of({"a": F32, "b": F32}, 8), "no gaps"),
        (file_of({"a": F32 | {"data_offsets": [8, 16]}}, 16), "no gaps"),
        (file_of({"a": F32}, 9), "has \\d+ bytes"),
        (file_of({"a": F32}, 7), "describes"),
        (file_of({"__metadata__": {"a": 1}}, 0), "metadata"),
        (file_of({"__metadata__": []}, 0), "metadata"),
    ],
)
def test_what_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidWeights, match=problem):
        read(data)
