"""A file that appears complete, on disk, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from comity.storage.failures import FilesReported


@contextmanager
def appearing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write into a file beside ``path``, which takes its name when the block is left without an error.

    It replaces what was there, and is readable as the umask says. StorageUnusable, DiskFull.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    with FilesReported(target):
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
