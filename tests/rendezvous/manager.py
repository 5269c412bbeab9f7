"""A service manager as systemd is one, for tests: it keeps the listening socket and what the server stores.

It speaks the two protocols of ``comity.rendezvous.manager`` from the other side (sd_listen_fds(3),
sd_notify(3)). The server is the real command line in a process of its own.
"""

from __future__ import annotations

import array
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from comity.demo.processes import is_alive
from tests.labs import COMITY, PATIENCE, eventually
from tests.region import Rendezvous

#: In the new process: descriptors to where sd_listen_fds(3) wants them, its own pid, and then the program.
_LAUNCH = """
import os, sys
given = [int(each) for each in sys.argv[1].split(",")]
high = [os.dup2(each, 300 + place) for place, each in enumerate(given)]
for place, each in enumerate(high):
    os.dup2(each, 3 + place)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class ServiceManager:
    """``stores``: whether it keeps what it is given, as FileDescriptorStoreMax= decides for a unit."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.stores = True
        self.said: list[str] = []
        self._kept: dict[str, int] = {}
        self._address = folder / "notify"
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ear.bind(os.fspath(self._address))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def launch(self, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the server with all that is kept for it, and return once it is ready."""
        before = self.said.count("READY=1")
        names, kept = ["listen", *self._kept], [self.listener.fileno(), *self._kept.values()]
        environment = {**os.environ, "NOTIFY_SOCKET": os.fspath(self._address)}
        with log.open("ab") as out:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _LAUNCH, ",".join(map(str, kept)), ":".join(names)),
                    *(*COMITY, "rendezvous", "serve", *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                pass_fds=kept,
            )
        self._forget()
        eventually(
            lambda: self.said.count("READY=1") > before or process.poll() is not None, "the server is ready"
        )
        return process

    def close(self) -> None:
        """Once more is nothing."""
        if not self._thread.is_alive():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"END", os.fspath(self._address))
        self._thread.join()
        self._forget()
        self._ear.close()
        self.listener.close()

    def _forget(self) -> None:
        for descriptor in self._kept.values():
            os.close(descriptor)
        self._kept = {}

    def _listen(self) -> None:
        while True:
            data, ancillary, _, _ = self._ear.recvmsg(4096, socket.CMSG_SPACE(4))
            text = data.decode()
            if text == "END":
                return
            rights = array.array("i")
            for _, _, each in ancillary:
                rights.frombytes(each)
            if rights and self.stores:
                self._kept[text.rpartition("FDNAME=")[2]] = rights[0]
            elif rights:
                os.close(rights[0])
            self.said.append(text)


class ManagedRendezvous(Rendezvous):
    """A rendezvous under such a manager: ``restart`` is what an upgrade does."""

    def __init__(self, folder: Path, advertise: int | None = None) -> None:
        folder.mkdir(mode=0o700)
        self.manager = ServiceManager(folder)
        self.state = folder / "state"
        self.log = folder / "rendezvous.log"
        self.port = self.manager.port
        self._told = ("--advertise", f"comity://127.0.0.1:{advertise or self.port}")
        self.start()

    def start(self) -> None:
        self.process = self.manager.launch(self.log, "--state", str(self.state), *self._told)
        assert self.running, self.said()

    def stop(self) -> None:
        """What systemctl stop does; the listening socket stays."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.said()
        assert not is_alive(self.process.pid)

    def end(self) -> None:
        super().end()
        self.manager.close()
