"""The daemon's log, read from its file: what it says is wanted most when the daemon is not running.

Lines are shown as they were written. A file that was rotated away is followed by the one in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from comity import limits
from comity.sdk.home import locate
from comity.storage.failures import FilesReported

_POLL_SECONDS = 0.25


def open_log(home: Path | None = None) -> Path:
    """The log file of a home, which may not be there yet. NotInitialised, HomeUnsafe."""
    place = locate(home)
    place.check()
    return place.log_file


def tail(log: Path, lines: int) -> list[str]:
    """The last lines, oldest first, from as many files as that takes. StorageUnusable."""
    return _last(_lines(_content(log)), log, lines)


def follow(log: Path, lines: int) -> Generator[str]:
    """The last lines, then every line as it is written, until the caller stops asking. StorageUnusable."""
    while not log.exists():
        time.sleep(_POLL_SECONDS)
    with FilesReported(log):
        file = log.open("rb")
        try:
            yield from _last(_whole_lines(file), log, lines)
            while True:
                replaced = _replaced(log, file)  # asked first: what is in the old file by then is all of it
                yield from _whole_lines(file)
                if replaced:
                    file.close()
                    file = log.open("rb")
                else:
                    time.sleep(_POLL_SECONDS)
        finally:
            file.close()


def _last(found: list[str], log: Path, wanted: int) -> list[str]:
    """The last of these lines, and of those in rotated files before them where they are too few."""
    for number in range(1, limits.LOG_FILES):
        older = log.with_name(f"{log.name}.{number}")
        if len(found) >= wanted or not older.exists():
            break
        found = _lines(_content(older)) + found
    return found[max(0, len(found) - wanted) :]


def _content(file: Path) -> bytes:
    with FilesReported(file):
        return file.read_bytes() if file.exists() else b""


def _whole_lines(file: BinaryIO) -> list[str]:
    """What is left to read, up to its last line's end."""
    start = file.tell()
    data = file.read()
    end = data.rfind(b"\n") + 1
    file.seek(start + end)
    return _lines(data[:end])


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else []


def _replaced(log: Path, file: BinaryIO) -> bool:
    """Whether another file has this log's name now, after a rotation."""
    try:
        return log.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
