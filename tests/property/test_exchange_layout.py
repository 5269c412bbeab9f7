"""Whatever a safetensors header says, chunks cover the file, and edges follow tensors where they can."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from comity import limits
from comity.protocol.exchange.layout import Edges, equal_edges, header_bytes, step_of, tensor_edges

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
OFFSETS = st.lists(st.integers(-5, 50_000_000), min_size=2, max_size=2)
HEADERS = st.dictionaries(
    st.text(max_size=5), st.fixed_dictionaries({"data_offsets": OFFSETS, "dtype": JSON}) | JSON, max_size=6
).map(lambda value: json.dumps(value).encode())


def covers(edges: Edges, size: int) -> None:
    at = count = 0
    for offset, length in edges:
        assert offset == at
        assert 1 <= length <= min(edges.longest, limits.CHUNK_BYTES)
        at += length
        count += 1
    assert (at, count) == (size, len(edges))


@given(HEADERS | st.binary(max_size=60), st.integers(0, 60_000_000))
@example(b"[" * 100_000, 10)
@example(b'{"a":{"data_offsets":[0,18446744073709551615]}}', 100)
def test_any_header_gives_chunks_from_end_to_end(header: bytes, data: int) -> None:
    size = 8 + len(header) + data
    covers(tensor_edges(size, header), size)


@given(st.lists(st.integers(0, 3 * 2**20), min_size=1, max_size=30), st.booleans())
def test_edges_are_where_large_tensors_end(lengths: list[int], metadata: bool) -> None:
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}} if metadata else {}
    at, ends = 0, []
    for number, length in enumerate(lengths):
        entries[f"t{number}"] = {"dtype": "U8", "shape": [length], "data_offsets": [at, at + length]}
        at += length
        ends.append((length, at))
    header = json.dumps(entries).encode()
    begin = 8 + len(header)
    edges = tensor_edges(begin + at, header)
    covers(edges, begin + at)
    cuts = {offset for offset, _ in edges} | {begin + at}
    if at:
        assert begin in cuts
    for length, end in ends:
        if length > limits.TENSOR_GROUP_BYTES:
            assert {begin + end - length, begin + end} <= cuts


@given(st.binary(max_size=8), st.integers(0, 2**40))
def test_a_prefix_announces_what_fits_or_nothing(prefix: bytes, size: int) -> None:
    length = header_bytes(prefix, size)
    assert length is None or 2 <= length <= min(size - 8, limits.TENSOR_HEADER_BYTES)


def test_large_artifacts_have_large_chunks() -> None:
    size = 2**40
    assert step_of(size) == limits.CHUNK_BYTES
    assert list(equal_edges(size))[:1] == [(0, limits.CHUNK_BYTES)]
