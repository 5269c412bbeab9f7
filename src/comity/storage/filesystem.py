"""Which filesystem a path lies on: SQLite's write-ahead log needs one that this machine alone writes.

WAL shares memory between processes and breaks on network filesystems (sqlite.org/wal.html), which is where
the homes of clusters lie. Only types known to be local count as local; where the type can't be told (no
/proc, as on macOS) the answer is no, and the rollback journal is used, which is safe everywhere.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

LOCAL_TYPES = frozenset(
    ["bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"]
)
_MOUNTS = Path("/proc/self/mounts")
_OCTAL = re.compile(r"\\([0-7]{3})")


def is_local(path: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether ``path`` (which exists, or whose parent does) lies on a filesystem known to be local."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return filesystem_type(os.path.realpath(path), table) in LOCAL_TYPES


def filesystem_type(path: str, mounts: str) -> str | None:
    """The type that the table in fstab(5)'s format gives for an absolute, resolved path.

    The deepest mount point that holds the path wins, and of two on one point the later, which hides the
    earlier.
    """
    best, found = -1, None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescape(fields[1])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, found = len(point), fields[2]
    return found


def _unescape(field: str) -> str:
    """Space, tab, newline and backslash are written in octal in the table."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
