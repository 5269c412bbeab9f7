"""The command line without the start of an interpreter: commands forked from a program that has imported it.

    python -m tests.forked DESCRIPTOR

What runs is ``comity.cli.app.main`` in a process of its own, with its own folder, environment and output.
What a test watches or ends while it runs is started as any program is: ``tests.labs.Command``.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import comity.cli
from comity.cli import app

_ROOT = Path(__file__).resolve().parents[1]
_LENGTH = 4  # bytes, before each order
_STREAMS = 3  # that come with it: where to print, where to complain, where its id and its end are told


def run(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, seconds: float
) -> subprocess.CompletedProcess[str]:
    """What a command has said once it has ended; TimeoutExpired, and it is killed, where it takes longer."""
    reading, writing = os.pipe()
    with (
        open(reading, "rb", buffering=0) as told,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        try:
            order = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
            _server().send(order, [out.fileno(), err.fileno(), writing])
        finally:
            os.close(writing)
        status = _end(told, arguments, time.monotonic() + seconds)
        for file in (out, err):
            file.seek(0)
        said = [file.read().decode() for file in (out, err)]
    return subprocess.CompletedProcess(list(arguments), status, *said)


def _end(told: Any, arguments: Sequence[str], deadline: float) -> int:
    """Its exit status, as ``subprocess`` has it."""
    lines = b""
    try:
        while lines.count(b"\n") < 2:
            readable, _, _ = select.select([told], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise subprocess.TimeoutExpired(list(arguments), deadline)
            more = told.read(64)
            assert more, "the program that forks has ended"
            lines += more
    except BaseException:
        if b"\n" in lines:
            os.kill(int(lines.split()[0]), signal.SIGKILL)
        raise
    return int(lines.split()[1])


class _Server:
    """This process's own one; it ends when this process does."""

    def __init__(self) -> None:
        self._door, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=_ROOT,
                env={**os.environ, "PYTHONUTF8": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        atexit.register(self._close)

    def send(self, order: object, streams: list[int]) -> None:
        text = json.dumps(order).encode()
        with self._lock:
            socket.send_fds(self._door, [len(text).to_bytes(_LENGTH)], streams)
            self._door.sendall(text)

    def _close(self) -> None:
        self._door.close()
        self._process.wait()


@functools.cache
def _server() -> _Server:
    return _Server()


# ── the program that forks ────────────────────────────────────────────────────────────────────────────


def main(door: socket.socket) -> None:
    """Follow orders until whoever gives them has gone."""
    for module in pkgutil.iter_modules(comity.cli.__path__, "comity.cli."):
        importlib.import_module(module.name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who watches
    while True:
        head, streams, _, _ = socket.recv_fds(door, _LENGTH, _STREAMS)
        if not head:
            return
        order = json.loads(_exactly(door, int.from_bytes(head)))
        if os.fork() == 0:
            door.close()
            _watch(order, *streams)
        for stream in streams:
            os.close(stream)


def _exactly(door: socket.socket, size: int) -> bytes:
    return door.recv(size, socket.MSG_WAITALL)


def _watch(order: dict[str, Any], out: int, err: int, told: int) -> NoReturn:
    """Fork the command, and tell its id and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    command = os.fork()
    if command == 0:
        os.close(told)
        _be(order, out, err)
    os.write(told, f"{command}\n".encode())
    _, status = os.waitpid(command, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _be(order: dict[str, Any], out: int, err: int) -> NoReturn:
    """The command itself."""
    status: object = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = order["arguments"]
        status = app.main()
    except SystemExit as ended:
        status = ended.code
    except Exception:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
