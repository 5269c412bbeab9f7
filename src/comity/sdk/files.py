"""Files that a person names and that hold a secret: written for their owner alone."""

from __future__ import annotations

from pathlib import Path

from comity.storage import private


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600. AlreadyInitialised where something is there; StorageUnusable, DiskFull."""
    private.write_private(path, text.encode("utf-8"), replace=False)
