"""What a file is, by its content: the format that a charter's artifact rules are asked about.

A name only chooses between formats that the content can be (text, csv, json). What no format fits is none,
and no charter lets it pass. Pickles, and what torch.load would unpickle, fit none: not by their name, not as
text (a pickle of protocol 0 is ASCII), not behind a valid safetensors header (a zip archive is found by its
end). It is no virus scanner: a PDF may hold scripts, and a model may do harm by what it predicts.

Pure: bytes are asked of ``read``, and never executed. Sources: safetensors' format description, numpy's NEP
1, the zip appnote 4.3.16, gguf.md, the Parquet and ONNX specifications.
"""

from __future__ import annotations

import ast
import codecs
import io
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from comity import limits
from comity.policy.charter.words import Format

#: ``(offset, length)`` → that many bytes, fewer only at the end.
Read = Callable[[int, int], bytes]
#: Called now and then while a long file is read.
Tick = Callable[[], None]

_BY_NAME: dict[str, Format] = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".gguf": "gguf",
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".txt": "text",
    ".pdf": "pdf",
}
_PIECE = limits.MIB
_EOCD = struct.Struct("<4s4H2LH")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_DTYPE = re.compile(r"[<>|=]?[biufcmMSUVa?][0-9]*(\[[a-zA-Z0-9]+\])?\Z")
_IMPORTED = re.compile(r"[A-Za-z_][A-Za-z0-9_.]* [A-Za-z_][A-Za-z0-9_.]*\Z")
_CALLS = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4"})


def format_of(read: Read, size: int, name: str, tick: Tick = lambda: None) -> Format | None:
    """The format of ``size`` bytes that are called ``name``; None where it is none that a charter knows."""
    head = read(0, min(size, 4096))
    if ends_as_zip(read, size) and not head.startswith(b"PK\x03\x04"):
        return None
    found = _binary(read, size, head, tick)
    if found is not None:
        return found
    if head.startswith((b"PK", b"\x80")) or not _is_text(read, size, tick) or _is_pickle(read, size):
        return None
    wanted = next((kind for end, kind in _BY_NAME.items() if name.lower().endswith(end)), None)
    if wanted == "json" or wanted is None:
        return "json" if _is_json(read, size) else "text" if wanted is None else None
    return wanted if wanted in ("csv", "text") else "text"


def _binary(read: Read, size: int, head: bytes, tick: Tick) -> Format | None:
    if _is_safetensors(read, size):
        return "safetensors"
    if head.startswith(b"PK\x03\x04"):
        return "npz" if _is_npz(read, size, tick) else None
    if head.startswith(b"\x93NUMPY"):
        return "npy" if _is_npy(head, read) else None
    if head[:4] == b"GGUF" and head[4:8] in (b"\x02\0\0\0", b"\x03\0\0\0"):
        return "gguf"
    if head[:4] == b"PAR1" and size >= 12 and read(size - 4, 4) == b"PAR1":
        return "parquet"
    if head.startswith(b"%PDF-"):
        return "pdf"
    return "onnx" if _is_onnx(head) else None


# ── safetensors ───────────────────────────────────────────────────────────────────────────────────────


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def _is_safetensors(read: Read, size: int) -> bool:
    """A header of JSON whose tensors cover the rest without holes or overlaps."""
    if size < 8:
        return False
    length = int.from_bytes(read(0, 8), "little")
    if not 2 <= length <= min(size - 8, limits.FORMAT_HEADER_BYTES):
        return False
    header = read(8, length)
    if not header.startswith(b"{"):
        return False
    try:
        plain = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        metadata = plain.pop("__metadata__", None)
        if metadata is not None:
            msgspec.json.decode(metadata, type=dict[str, str])
        tensors = [msgspec.json.decode(raw, type=_Tensor) for raw in plain.values()]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    end = 0
    for begin, stop in sorted(tensor.data_offsets for tensor in tensors):
        if begin != end or stop < begin:
            return False
        end = stop
    return bool(end == size - 8 - length)


# ── archives and arrays ───────────────────────────────────────────────────────────────────────────────


def ends_as_zip(read: Read, size: int) -> bool:
    """Whether it ends in an end of central directory: then it opens as an archive, however it begins."""
    tail = read(max(0, size - 65557), 65557)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if len(tail) - at >= _EOCD.size and _EOCD.unpack_from(tail, at)[-1] == len(tail) - at - _EOCD.size:
            return True
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return False


def _is_npz(read: Read, size: int, tick: Tick) -> bool:
    """A zip archive of plain arrays and nothing else."""
    try:
        with zipfile.ZipFile(_File(read, size)) as archive:
            members = archive.infolist()
            if not 1 <= len(members) <= limits.FORMAT_MEMBERS:
                return False
            for member in members:
                tick()
                if not member.filename.endswith(".npy") or member.flag_bits & 1:
                    return False
                with archive.open(member) as opened:
                    head = opened.read(limits.FORMAT_ARRAY_HEADER_BYTES)
                if not _is_npy(head[:4096], lambda at, length, data=head: data[at : at + length]):  # type: ignore[misc]  # mypy infers no default's type
                    return False
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError):
        return False
    except Exception as error:  # noqa: BLE001  zlib, bz2 and lzma have errors of their own
        return _never(error)
    return True


def _never(_: Exception) -> bool:
    return False


def _is_npy(head: bytes, read: Read) -> bool:
    """An array of numbers or text: one of objects is a pickle."""
    if len(head) < 12 or not head.startswith(b"\x93NUMPY"):
        return False
    if head[6] == 1:
        start, length = 10, int.from_bytes(head[8:10], "little")
    else:
        start, length = 12, int.from_bytes(head[8:12], "little")
    if length > limits.FORMAT_ARRAY_HEADER_BYTES - start:
        return False
    try:
        described = ast.literal_eval(read(start, length).decode("latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(described, dict) and _plain(described.get("descr"), 0)


def _plain(dtype: Any, depth: int) -> bool:
    """Whether nothing in a dtype is an object."""
    if isinstance(dtype, str):
        return _DTYPE.match(dtype) is not None
    if not isinstance(dtype, list) or depth > 8:
        return False
    return all(isinstance(item, tuple) and len(item) >= 2 and _plain(item[1], depth + 1) for item in dtype)


class _File(io.RawIOBase):
    """What ``read`` gives, as zipfile wants it."""

    def __init__(self, read: Read, size: int) -> None:
        super().__init__()
        self._read_at = read
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._size)[whence]
        self._at = min(max(0, base + offset), self._size)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        length = self._size - self._at if size < 0 else min(size, self._size - self._at)
        data = self._read_at(self._at, length)
        self._at += len(data)
        return data


def _is_onnx(head: bytes) -> bool:
    """A ModelProto: ir_version first, small, then the producer or the opset, as every exporter writes it."""
    return len(head) > 8 and head[0] == 0x08 and 1 <= head[1] <= 64 and head[2] in (0x12, 0x1A, 0x3A, 0x42)


# ── text ──────────────────────────────────────────────────────────────────────────────────────────────


def _is_text(read: Read, size: int, tick: Tick) -> bool:
    """UTF-8 without control characters."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in _pieces(read, size):
            tick()
            if _CONTROL.search(decoder.decode(piece)):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _pieces(read: Read, size: int) -> Iterator[bytes]:
    for at in range(0, size, _PIECE):
        yield read(at, min(_PIECE, size - at))


def _is_pickle(read: Read, size: int) -> bool:
    """Whether an unpickler would import something and call it, or read the text to an end of a program."""
    data = read(0, min(size, limits.FORMAT_TEXT_BYTES))
    imported = False
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in ("GLOBAL", "INST"):
                if not _IMPORTED.match(str(argument)):
                    return False  # an unpickler fails here
                imported = True
            if opcode.name in _CALLS:
                return True
    except Exception:  # noqa: BLE001  genops raises whatever its argument decoders do: it is no pickle
        return False
    return imported


def _is_json(read: Read, size: int) -> bool:
    if not 0 < size <= limits.FORMAT_TEXT_BYTES:
        return False
    try:
        msgspec.json.decode(read(0, size))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
