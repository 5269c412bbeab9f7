"""The demo's long-lived processes, ended by their ids whatever happens.

The rendezvous is a child of the demo. A node's daemon is not: ``comity up`` starts it and ends, so its id
comes from that command's answer, or from the lease in its home where the command was interrupted before it
answered.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from comity.demo.console import PRINTED_CHARS
from comity.demo.failure import DemoFailed
from comity.storage.home import Home
from comity.storage.lease import read_holder

#: The signals that end the demo.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READY_SECONDS = 20.0
_END_SECONDS = 8.0
_APPEAR_SECONDS = 4.0
_LOOK_EVERY = 0.05


class RendezvousProcess:
    """``comity rendezvous serve`` on a free port of this machine, with its state and log in ``folder``."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._log = folder / "rendezvous.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "comity", *self.command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends it
            )

    @property
    def command(self) -> tuple[str, ...]:
        """What follows ``comity``."""
        return ("rendezvous", "serve", "--listen", "127.0.0.1:0", "--state", "state")

    @property
    def pid(self) -> int:
        return self._process.pid

    def join_url(self) -> str:
        """The line that lets nodes join, once it serves; DemoFailed where it ends or takes too long."""
        path = self._folder / "state" / "join.url"
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if path.exists():
                return path.read_text(encoding="utf-8").strip()
            if self._process.poll() is not None:
                raise DemoFailed.of(
                    "the rendezvous serves", f"it ended ({self._process.returncode})", self.log()
                )
            time.sleep(_LOOK_EVERY)
        raise DemoFailed.of("the rendezvous serves", f"no join URL after {_READY_SECONDS:.0f} s", self.log())

    def log(self) -> str:
        """What it has printed last."""
        return self._log.read_text(encoding="utf-8", errors="replace").strip()[-PRINTED_CHARS:]

    def end(self) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_END_SECONDS)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whoever asks the demo to end meanwhile has been heard: nothing interrupts what is in here."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def daemon_of(home: Path) -> int | None:
    """The id of the daemon that holds this home, if one does."""
    holder = read_holder(Home(home)) if home.is_dir() else None
    return holder.pid if holder is not None and is_alive(holder.pid) else None


def await_daemon(home: Path) -> int | None:
    """The id of a daemon that may just be starting; None where none appears."""
    deadline = time.monotonic() + _APPEAR_SECONDS
    while (pid := daemon_of(home)) is None and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    return pid


def end_daemon(pid: int) -> None:
    """Ask a daemon to end, and end it where it does not."""
    for request in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _END_SECONDS
        try:
            os.kill(pid, request)
        except ProcessLookupError:
            return
        while time.monotonic() < deadline:
            if not is_alive(pid):
                return
            time.sleep(_LOOK_EVERY)


def is_alive(pid: int) -> bool:
    """Whether a process of ours with that id runs; one that has ended and was not collected does not."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return sys.platform != "linux"  # elsewhere there is no /proc to ask; on Linux it has just gone
    return status.rpartition(b")")[2].split()[:1] != [b"Z"]
