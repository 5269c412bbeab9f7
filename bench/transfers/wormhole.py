"""magic-wormhole, where it and its mailbox server are installed: both ends and the mailbox on loopback.

Also what is named in the table only to say that it is not there, or is not driven by this program.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from transfers.rivals import Rival, Run, measured, remove

CODE = "7-benchmark-only"


class Wormhole(Rival):
    name = "magic-wormhole"

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("wormhole")
        twist = shutil.which("twist")
        self.absent = "" if self._program and twist else "not installed, or without its mailbox server"
        self.process: subprocess.Popen[bytes] | None = None
        if twist and not self.absent:
            self._start(twist, folder)

    def _start(self, twist: str, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        database = folder / "mailbox.sqlite"
        self.process = subprocess.Popen(
            [
                *(twist, "wormhole-mailbox", f"--port=tcp:{port}:interface=127.0.0.1"),
                *(f"--channel-db={database}", f"--usage-db={folder / 'usage.sqlite'}"),
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._options = [f"--relay-url=ws://127.0.0.1:{port}/v1", "--transit-helper="]
        for _ in range(600):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        self.absent = "its mailbox server did not start"

    def move(self, file: Path, folder: Path) -> Run:
        """From both commands' start to the sender's end, which waits for the receiver's confirmation."""
        target = folder / "target"
        receive = [str(self._program), *self._options, "receive", "--hide-progress", "--accept-file"]
        with subprocess.Popen(
            [*receive, "-o", str(target), CODE], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as receiver:
            send = [str(self._program), *self._options, "send", "--hide-progress", "--code", CODE, str(file)]
            run = measured(send, {"receiver": receiver.pid})
        remove(target)
        return run

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Named(Rival):
    """In the table to say why it is not measured."""

    def __init__(self, name: str, program: str) -> None:
        self.name = name
        there = shutil.which(program, path=_without_ours())
        self.absent = "installed, but not driven by this program" if there else "not installed"

    def move(self, file: Path, folder: Path) -> Run:
        raise SystemExit(f"{self.name} cannot be measured")


def _without_ours() -> str:
    """PATH without this environment's programs: its ``pilotctl`` is Comity's drop-in."""
    ours = str(Path(sys.executable).parent)
    return os.pathsep.join(each for each in os.get_exec_path() if each != ours)
