"""The lease: one daemon a home, across crashes, reboots and machines that share the home.

Two things together: ``flock`` on ``lease.lock``, which the kernel releases when its holder dies, and
``lease.json``, which names host, pid, boot and runtime folder, because a lock is not always seen by other
machines. The rules, in this order:

1. Somebody holds the lock: refused.
2. The lease is of this boot of this machine: its holder is dead, or it would hold the lock: taken over.
   (Where the filesystem has no locks, the pid tells.)
3. It is of this host before a reboot: taken over.
4. It is of another host: refused, since nothing here can tell whether that daemon lives.

The lock file stays when it is released: to delete it would let two daemons lock two files.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated

import msgspec

from comity import limits
from comity.errors import AlreadyRunning, NotRunning, StorageUnusable
from comity.storage.failures import FilesReported
from comity.storage.home import Home
from comity.storage.private import open_private, read_private, write_private
from comity.storage.runtime import Runtime, runtime_of

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs this home. ``boot`` tells one start of one machine from all others; empty where unknown."""

    host: Annotated[str, msgspec.Meta(max_length=255)]
    pid: Annotated[int, msgspec.Meta(ge=1)]
    boot: Annotated[str, msgspec.Meta(max_length=64)]
    runtime: Annotated[str, msgspec.Meta(max_length=1024)]


@dataclass(frozen=True)
class Machine:
    """What tells this process from a daemon elsewhere: host name, pid and boot id."""

    host: str
    pid: int
    boot: str

    @classmethod
    def here(cls) -> Machine:
        return cls(socket.gethostname(), os.getpid(), _boot_id())

    def same_boot(self, holder: Holder) -> bool:
        """Whether the lease is of this very start of this machine."""
        return bool(holder.boot) and holder.boot == self.boot

    def may_be(self, holder: Holder) -> bool:
        """Whether the lease is of this machine: it has not rebooted, or only its name tells."""
        return self.same_boot(holder) or holder.host == self.host


def read_holder(home: Home) -> Holder | None:
    """What the lease says, or None where none can be read: who took the home last, not that it lives."""
    if not home.lease.exists():
        return None
    try:
        return msgspec.json.decode(read_private(home.lease, limits.LEASE_BYTES), type=Holder)
    except (StorageUnusable, msgspec.DecodeError, UnicodeDecodeError):
        return None  # gone meanwhile, or damaged; then the lock alone decides


def find_runtime(home: Home, environ: Mapping[str, str], machine: Machine | None = None) -> Runtime:
    """Where a client finds this home's daemon: the folder in its lease, else the one that it would take now.

    NotRunning, naming the host, where the daemon is on another machine. The caller checks the folder.
    """
    here = Machine.here() if machine is None else machine
    holder = read_holder(home)
    if holder is None:
        return runtime_of(home, environ)
    if not here.may_be(holder):
        raise NotRunning(
            f"the node in {home.path} runs on another machine, {holder.host}",
            hint=f"run the command on {holder.host}",
        )
    return Runtime(Path(holder.runtime))


class Lease:
    """Held from ``acquire`` to ``release``; the process's end releases the lock by itself."""

    def __init__(self, home: Home, lock: int) -> None:
        self._home = home
        self._lock = lock

    @classmethod
    def acquire(cls, home: Home, runtime: Runtime, machine: Machine | None = None) -> Lease:
        """Take the home for this process; AlreadyRunning, naming host and pid, where another one has it.

        HomeUnsafe, StorageUnusable, DiskFull.
        """
        here = Machine.here() if machine is None else machine
        lock = open_private(home.lock, os.O_RDWR | os.O_CREAT)
        try:
            with FilesReported(home.lock):
                locked = _lock(lock)
            holder = read_holder(home)
            if locked is False or (holder is not None and not is_stale(holder, here, locked)):
                raise _refusal(holder, here, home)
            entry = Holder(host=here.host, pid=here.pid, boot=here.boot, runtime=str(runtime.path))
            write_private(home.lease, msgspec.json.encode(entry), replace=True)
        except BaseException:
            os.close(lock)
            raise
        return cls(home, lock)

    def release(self) -> None:
        """Give the home back; a second call does nothing."""
        if self._lock < 0:
            return
        with FilesReported(self._home.lease):
            self._home.lease.unlink(missing_ok=True)  # before the lock goes: it is still ours
            os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where the filesystem has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_stale(holder: Holder, here: Machine, locked: bool | None) -> bool:
    """Whether the lease's holder is known to be gone; ``locked`` is None where there are no locks."""
    if here.same_boot(holder):
        return bool(locked) or not _alive(holder.pid, here.pid)
    return here.may_be(holder)


def _refusal(holder: Holder | None, here: Machine, home: Home) -> AlreadyRunning:
    if holder is None:
        return AlreadyRunning(f"another process runs the node in {home.path}")
    if here.may_be(holder):
        return AlreadyRunning(f"process {holder.pid} on this machine runs the node in {home.path}")
    return AlreadyRunning(
        f"process {holder.pid} on another machine, {holder.host}, runs the node in {home.path}",
        hint=f"run comity down on {holder.host};"
        f" if that machine, or its job there, was killed, delete {home.lease}",
    )


def _alive(pid: int, own: int) -> bool:
    if pid == own:
        return False  # an earlier process with our number
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return _boot_time() if sys.platform == "darwin" else ""


def _boot_time() -> str:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "kern.boottime"], capture_output=True, timeout=5, check=True, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()[:64]
