"""The daemon's life as a client sees it: start it and wait until it is ready, ask how it stands, stop it.

The daemon is ``python -m comity.node``, a process of its own in a session of its own. It tells that it is
ready, or why it is not, in one line of JSON on a pipe (``--ready-fd``), so a start that failed says why.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from comity import __version__, limits
from comity.control import StatusResult
from comity.control.codec import from_plain
from comity.errors import ComityError, NotRunning, TimedOut
from comity.identity.card import JoinUrl
from comity.sdk import node
from comity.sdk.answers import reported
from comity.sdk.client import Client
from comity.sdk.home import card, locate
from comity.storage import settings
from comity.storage.home import Home
from comity.storage.lease import find_runtime, read_holder
from comity.storage.settings import Said

#: The daemon's program. -P: a folder that happens to be the current one must not add modules to it.
NODE = (sys.executable, "-P", "-X", "utf8", "-m", "comity.node")

#: Daemons that this process started: its own to reap once they end.
_started: list[subprocess.Popen[bytes]] = []
_POLL_SECONDS = 0.02
_EXIT_SECONDS = 2.0


@dataclass(frozen=True)
class Ready:
    """A started daemon; ``warning`` says what it still lacks, such as its rendezvous."""

    status: StatusResult
    warning: ComityError | None = None


def start(
    home: Path | None = None,
    *,
    listen: str | None = None,
    passphrase_file: Path | None = None,
    proxy: str | None = None,
    timeout: float = limits.START_SECONDS,
    program: Sequence[str] = NODE,
) -> Ready:
    """Start the daemon of a home, and return once it is ready.

    Raises NotInitialised, HomeUnsafe, AlreadyRunning, WrongPassphrase, NameTaken and whatever else the daemon
    reports; NotRunning where it ended without a word, TimedOut where it said nothing in time (it is ended
    then).
    """
    place = locate(home)
    place.check()
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as pipe:
        try:
            command = [*program, *_options(listen, passphrase_file, proxy), "--ready-fd", str(writing)]
            with open(_errors(place), "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as errors:
                process = subprocess.Popen(
                    command,
                    env=_environment(place),
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    pass_fds=(writing,),
                    start_new_session=True,
                )
        finally:
            os.close(writing)
        _started.append(process)
        line = _first_line(pipe, time.monotonic() + timeout)
    if line is None:
        process.terminate()
        _end(process)
        raise TimedOut(
            f"the node was not ready within {timeout:.0f} s, and was ended", hint="run comity logs"
        )
    return _ready(line, process, place)


def become(
    home: Path | None = None,
    *,
    listen: str | None = None,
    passphrase_file: Path | None = None,
    proxy: str | None = None,
) -> NoReturn:
    """Replace this process by the daemon, for whoever supervises processes. NotInitialised, HomeUnsafe."""
    place = locate(home)
    place.check()
    command = [*NODE, *_options(listen, passphrase_file, proxy), "--foreground"]
    os.execve(sys.executable, command, _environment(place))  # noqa: S606  no shell is wanted


def status(home: Path | None = None) -> StatusResult:
    """How the daemon stands; ``running`` is false where there is none.

    Raises NotInitialised, HomeUnsafe, TimedOut.
    """
    client = Client(home)
    try:
        return node.status(client)
    except NotRunning as error:
        known = error.hint == NotRunning.default_hint
        return _stopped(client.home, "" if known else error.message)


def stop(home: Path | None = None, timeout: float = limits.STOP_SECONDS) -> StatusResult:
    """Stop the daemon, and return once its process is gone; nothing happens where there is none.

    Raises NotInitialised, HomeUnsafe, TimedOut; NotRunning, naming it, where it runs on another machine.
    """
    client = Client(home)
    find_runtime(client.home, os.environ)
    deadline = time.monotonic() + timeout
    before = status(home)
    if before.running and before.pid is not None:
        with contextlib.suppress(NotRunning):  # it may end before its answer is through
            client.call("stop", None, dict)
        if not _until(lambda: _released(client.home, before.pid), deadline):
            raise TimedOut(
                f"process {before.pid} is still stopping after {timeout:.0f} s",
                hint="run comity logs to see what it waits for",
            )
        _until(lambda: not _alive(before.pid), time.monotonic() + _EXIT_SECONDS)  # all that is left to it
    return status(home)


def _until(done: Callable[[], bool], deadline: float) -> bool:
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _options(listen: str | None, passphrase_file: Path | None, proxy: str | None) -> list[str]:
    options = [] if listen is None else ["--listen", listen]
    if proxy is not None:
        settings.parsed(Said(proxy, "flag", "--proxy"), settings.proxy)  # a password must not get further
        options += ["--proxy", proxy]
    if passphrase_file is not None:
        options += ["--passphrase-file", os.path.abspath(passphrase_file)]
    return options


def _environment(place: Home) -> dict[str, str]:
    return {**os.environ, "COMITY_HOME": str(place.path)}


def _errors(place: Home) -> Path:
    """Where the daemon's last words go when its log is not open yet."""
    return place.logs / "start.log"


def _first_line(pipe: Any, deadline: float) -> bytes | None:
    """What was said before the first line's end or the pipe's; None when the time is over."""
    said = b""
    while b"\n" not in said:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        piece: bytes = pipe.read(limits.FRAME_BYTES)
        if not piece:
            break
        said += piece
    return said


def _ready(line: bytes, process: subprocess.Popen[bytes], place: Home) -> Ready:
    try:
        said: dict[str, Any] = msgspec.json.decode(line, type=dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _end(process)
        raise NotRunning(f"the node did not start{_last_words(place)}", hint="run comity logs") from None
    if "error" in said:
        _end(process)
        raise reported(said["error"])
    warning = reported(said["warning"]) if said.get("warning") else None
    return Ready(from_plain(said.get("ready"), StatusResult), warning)


def _last_words(place: Home) -> str:
    with contextlib.suppress(OSError, IndexError):
        last = _errors(place).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        return f": {last}"
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that a daemon of ours that did not get ready is gone; it may be tidying up."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_EXIT_SECONDS)
    if process.returncode is None:
        process.kill()
        process.wait()
    _started.remove(process)


def _released(home: Home, pid: int | None) -> bool:
    """Whether that daemon has given its home back, or died without doing so."""
    holder = read_holder(home)
    return holder is None or holder.pid != pid or not _alive(pid)


def _alive(pid: int | None) -> bool:
    """Whether that process runs; one that has ended and waits to be collected does not."""
    if pid is None:
        return False
    for process in [started for started in _started if started.poll() is not None]:
        _started.remove(process)
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except ProcessLookupError:
        return False
    except OSError:
        return True  # not ours to ask, or a system without /proc


def _stopped(home: Home, problem: str) -> StatusResult:
    known = card(home.path)
    config = home.read_config()
    return StatusResult(
        running=False,
        hostname=known.hostname,
        fingerprint=known.fingerprint,
        card=known.card,
        home=known.home,
        version=__version__,
        rendezvous=JoinUrl.parse(config.join).authority,
        listen=config.listen,
        problem=problem,
    )
