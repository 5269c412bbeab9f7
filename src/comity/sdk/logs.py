"""The daemon's log, read from its file: what it says is wanted most when the daemon is not running.

Lines are shown as they were written. A file that was rotated away is followed by the one in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

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
    found: list[str] = []
    for file in (log, *(log.with_name(f"{log.name}.{number}") for number in range(1, limits.LOG_FILES))):
        if len(found) >= lines or not file.exists():
            break
        with FilesReported(file):
            found = file.read_text(encoding="utf-8", errors="replace").splitlines() + found
    return found[len(found) - lines :] if lines < len(found) else found


def follow(log: Path, lines: int) -> Iterator[str]:
    """The last lines, then every line as it is written, until the caller stops asking. StorageUnusable."""
    while not log.exists():
        time.sleep(_POLL_SECONDS)
    yield from tail(log, lines)
    with FilesReported(log):
        file = log.open(encoding="utf-8", errors="replace")
        try:
            file.seek(0, os.SEEK_END)
            while True:
                line = _whole_line(file)
                if line is not None:
                    yield line
                elif _replaced(log, file):
                    file.close()
                    file = log.open(encoding="utf-8", errors="replace")
                else:
                    time.sleep(_POLL_SECONDS)
        finally:
            file.close()


def _whole_line(file: TextIO) -> str | None:
    """The next line once its end is there."""
    start = file.tell()
    line = file.readline()
    if line.endswith("\n"):
        return line[:-1]
    file.seek(start)
    return None


def _replaced(log: Path, file: TextIO) -> bool:
    """Whether another file has this log's name now, after a rotation."""
    try:
        return log.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
