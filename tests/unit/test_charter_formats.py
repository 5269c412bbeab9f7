"""What a file is, by its content: real files of each format, and those that pretend."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.policy.charter.formats import ends_as_zip, format_of
from tests.charter import files


def found(content: bytes, name: str = "file") -> str | None:
    return format_of(lambda at, length: content[at : at + length], len(content), name)


def npy(descr: object = "<f4", version: int = 1) -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': (2,), }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + bytes(8)


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        (files.safetensors(1), "anything.bin", "safetensors"),
        (b"GGUF\x03\0\0\0" + bytes(40), "m.gguf", "gguf"),
        (npy(), "a.npy", "npy"),
        (npy(version=2), "a.npy", "npy"),
        (npy([("x", "<f4"), ("y", "<i8")]), "a.npy", "npy"),
        (npz(a_npy=npy(), b_npy=npy("<i8")), "a.npz", "npz"),
        (b"PAR1" + bytes(20) + b"PAR1", "a.parquet", "parquet"),
        (b"%PDF-1.7\n", "a.pdf", "pdf"),
        (b"\x08\x08\x12\x07pytorch\x1a\x011", "a.onnx", "onnx"),
        (b'{"a": [1, 2]}', "a.json", "json"),
        (b'{"a": [1, 2]}', "unnamed", "json"),
        (b"name,value\na,1\n", "a.csv", "csv"),
        ("Größe: 3 µm\n".encode(), "a.txt", "text"),
        (b"category\nname\nplain words that an unpickler would begin to read", "a.csv", "csv"),
    ],
)
def test_what_is_what(content: bytes, name: str, kind: str) -> None:
    assert found(content, name) == kind


@pytest.mark.parametrize(
    ("content", "name"),
    [
        *((pickle.dumps(files.Payload(), protocol), "a.txt") for protocol in range(6)),
        (pickle.dumps({"w": [1.0]}, 2), "model.safetensors"),
        (files.torch_archive(), "model.npz"),
        (files.hidden_archive(), "model.safetensors"),
        (npy("|O"), "a.npy"),
        (npy([("x", "|O")]), "a.npy"),
        (npz(a_npy=npy("|O")), "a.npz"),
        (npz(a_npy=npy(), data_pkl=files.pickled()), "a.npz"),
        (b"\x93NUMPY\x01\0\xff\xff", "a.npy"),
        (b'{"a": ', "a.json"),
        (b"text with \x00 in it", "a.txt"),
        (b"\xff\xfe", "a.txt"),
        (b"PK\x03\x04broken", "a.npz"),
    ],
)
def test_what_is_nothing(content: bytes, name: str) -> None:
    assert found(content, name) is None


def test_a_safetensors_header_covers_the_rest_exactly() -> None:
    good = files.safetensors(1)
    assert found(good + b"\0") is None
    assert found(good[:-1]) is None
    for tensors in (
        {"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 2]}},
        {"w": {"dtype": "U8", "shape": [4], "data_offsets": [2, 4]}},
        {"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], "extra": 1}},
        {
            "v": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]},
            "w": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]},
        },
        {"__metadata__": {"a": 1}, "w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}},
    ):
        header = json.dumps(tensors).encode()
        assert found(struct.pack("<Q", len(header)) + header + bytes(4)) is None, tensors
    assert found(struct.pack("<Q", 2**63) + b"{}") is None


def ends(content: bytes) -> bool:
    return ends_as_zip(lambda at, length: content[at : at + length], len(content))


def test_an_archive_is_found_by_its_end() -> None:
    archive = files.torch_archive()
    assert ends(archive)
    assert ends(b"x" * 70_000 + archive)
    for content in (b"", b"PK\x05\x06", b"PK\x05\x06" + bytes(30), archive + b"more"):
        assert not ends(content)


@given(st.binary(max_size=200), st.sampled_from(["a.npz", "a.npy", "a.txt", "a.json", "model.safetensors"]))
def test_no_content_breaks_it(content: bytes, name: str) -> None:
    for start in (b"", b"\x93NUMPY\x01\0", b"PK\x03\x04", b"\x10\0\0\0\0\0\0\0{", b"c"):
        found(start + content, name)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner)))
def test_a_pickle_of_data_is_no_model(value: object) -> None:
    for protocol in range(6):
        assert found(pickle.dumps(value, protocol), "m.safetensors") in (None, "text", "json")
