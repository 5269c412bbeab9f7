"""The runtime folder: where a running daemon's sockets and pid lie, and whether it is really ours.

``$XDG_RUNTIME_DIR/comity/HASH`` where that variable names a private folder of ours, else
``/tmp/comity-UID/HASH``; HASH is 16 hexadecimal digits of the SHA-256 of the home's resolved path. Not in the
home, because cluster homes are NFS, where sockets don't work, and because a socket's path must be short
(DESIGN.md, "Where state lives"). In /tmp anybody could have made the folder first, so daemon and clients
alike check it before they trust what is in it. Nothing is written but the folders. Clients find a running
daemon's folder by ``storage.lease.find_runtime``, as their environment may differ from the daemon's.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from comity import limits
from comity.errors import ComityError, HomeUnsafe, NotRunning
from comity.storage.failures import FilesReported
from comity.storage.home import Home
from comity.storage.private import check_private_folder, make_private_folder

VARIABLE = "XDG_RUNTIME_DIR"
SHARED = Path("/tmp")  # noqa: S108  everything made under it is checked
_LONGEST_NAME = "handoff.sock"


@dataclass(frozen=True)
class Runtime:
    """A runtime folder at ``path``, its parent ours as well."""

    path: Path

    @property
    def control_socket(self) -> Path:
        return self.path / "control.sock"

    @property
    def handoff_socket(self) -> Path:
        return self.path / _LONGEST_NAME

    @property
    def pid(self) -> Path:
        return self.path / "pid"

    def create(self) -> None:
        """Make the folder and its parent, 0700; HomeUnsafe where somebody else made one, or a link."""
        _check_above(self.path.parent)
        make_private_folder(self.path.parent)
        make_private_folder(self.path)

    def check(self) -> None:
        """HomeUnsafe unless both folders are ours alone; NotRunning where no daemon has made them."""
        with FilesReported(self.path):
            there = self.path.is_symlink() or self.path.exists()
        if not there:
            raise NotRunning(f"no daemon has been started: {self.path} does not exist")
        _check_above(self.path.parent)
        check_private_folder(self.path.parent)
        check_private_folder(self.path)


def runtime_of(home: Home, environ: Mapping[str, str], shared: Path = SHARED) -> Runtime:
    """Where a daemon of this home keeps its sockets, given its environment; nothing is created."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(home.path))).hexdigest()[:16]
    preferred = _usable(environ.get(VARIABLE, ""))
    if preferred is not None:
        runtime = Runtime(preferred / "comity" / name)
        if _fits(runtime):
            return runtime
    runtime = Runtime(shared / f"comity-{os.geteuid()}" / name)
    if not _fits(runtime):
        raise HomeUnsafe(
            f"{runtime.path} is too long for a socket's path", hint=f"set {VARIABLE} to a shorter folder"
        )
    return runtime


def _usable(named: str) -> Path | None:
    """The folder that the variable names, if it is absolute (as XDG demands) and ours alone."""
    path = Path(named)
    if not named or not path.is_absolute():
        return None
    try:
        check_private_folder(path)
    except ComityError:
        return None
    return path


def _fits(runtime: Runtime) -> bool:
    return len(os.fsencode(runtime.handoff_socket)) <= limits.SOCKET_PATH_BYTES


def _check_above(folder: Path) -> None:
    """HomeUnsafe where others could replace ``folder``: they may write above it, and no sticky bit is set."""
    above = folder.parent
    with FilesReported(above):
        mode = above.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
        raise HomeUnsafe(
            f"{above} lets others replace folders in it (mode {stat.S_IMODE(mode):04o})",
            hint=f"set {VARIABLE} to a folder of yours with mode 0700",
        )
