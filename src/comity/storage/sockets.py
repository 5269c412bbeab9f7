"""Unix sockets: made for its user alone, and who is at the other end of one.

Bound under umask 077 in a folder that was checked to be 0700, so that there is no moment at which somebody
else could connect; and every caller's user is asked of the kernel all the same (SECURITY.md rule 15).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

from comity import limits
from comity.storage.failures import FilesReported

_UCRED = struct.Struct("3i")  # Linux, unix(7): pid, uid, gid
_XUCRED = struct.Struct("IIh16I")  # macOS, sys/ucred.h: version, uid, group count, groups
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # macOS, sys/un.h


def listen_private(path: Path) -> socket.socket:
    """A listening socket at ``path``, mode 0600, in place of one that an earlier daemon left;
    StorageUnusable.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with FilesReported(path):
            path.unlink(missing_ok=True)
            before = os.umask(0o077)
            try:
                sock.bind(os.fspath(path))
            finally:
                os.umask(before)
            path.chmod(0o600)
            sock.listen(limits.CONTROL_CONNECTIONS)
    except BaseException:
        sock.close()
        raise
    return sock


def same_user(sock: socket.socket) -> bool:
    """Whether the process at the other end of a Unix socket runs as our user."""
    try:
        return peer_user(sock) == os.geteuid()
    except OSError:  # it has gone already
        return False


def peer_user(sock: socket.socket) -> int:
    """The user id at the other end of a Unix socket; OSError where the kernel doesn't tell."""
    if sys.platform == "darwin":
        data = sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        return int(_XUCRED.unpack(data)[1])
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(data)[1])
