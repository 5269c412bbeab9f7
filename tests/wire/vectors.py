"""The recorded vectors: ``tests/vectors/wire/STATE/FORMAT.json``, and the list of their files' digests.

A state is what the formats were when somebody recorded them. A later state holds only what the ones before
it lack, and nothing that is listed in DIGESTS ever changes: what was written then must be read for ever.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "vectors" / "wire"
DIGESTS = FOLDER / "DIGESTS"


@dataclass(frozen=True)
class Vector:
    """``meaning`` is what ``formats.meaning`` made of the bytes when they were recorded."""

    state: int
    format: str
    name: str
    data: bytes
    meaning: Any


def states(folder: Path = FOLDER) -> list[int]:
    """Their numbers, oldest first."""
    return sorted(int(each.name) for each in folder.iterdir() if each.name.isdecimal())


def recorded(folder: Path = FOLDER) -> Iterator[Vector]:
    """Every vector of every state."""
    for state in states(folder):
        for file in sorted((folder / str(state)).glob("*.json")):
            for each in json.loads(file.read_text(encoding="utf-8")):
                yield Vector(state, file.stem, each["name"], _data(each), each["meaning"])


def write(file: Path, vectors: list[tuple[str, bytes, Any]]) -> None:
    """A new file with vectors: name, bytes, meaning."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = [{"name": name, **_written(data), "meaning": meaning} for name, data, meaning in vectors]
    with file.open("x", encoding="utf-8") as out:
        out.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def digests(folder: Path = FOLDER) -> dict[str, str]:
    """SHA-256 by path, of every file that is recorded."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for state in states(folder)
        for file in sorted((folder / str(state)).rglob("*"))
        if file.is_file()
    }


def listed() -> dict[str, str]:
    """What DIGESTS says."""
    lines = (line.split("  ") for line in DIGESTS.read_text(encoding="ascii").splitlines())
    return {path: digest for digest, path in lines}


def _written(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode("utf-8")} if data.isascii() else _in_base64(data)
    except UnicodeDecodeError:
        return _in_base64(data)


def _in_base64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def _data(written: dict[str, str]) -> bytes:
    return written["text"].encode() if "text" in written else base64.b64decode(written["base64"])
