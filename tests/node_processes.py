"""Real processes on loopback: a rendezvous and daemons, started, asked over their sockets, and ended by their
pid.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from comity.control import InitRequest
from comity.sdk.home import init
from comity.storage.home import Home
from comity.storage.lease import find_runtime

PATIENCE = 45.0


class Process:
    """A child; what it writes to standard error is in ``log``."""

    def __init__(
        self, module: str, *arguments: str, log: Path, pass_fds: tuple[int, ...] = (), **environ: str
    ):
        self.log = log
        with log.open("ab") as errors:
            self.child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=pass_fds,
            )

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(PATIENCE)


class Lab:
    """One node's home, and its daemon when there is one."""

    def __init__(self, folder: Path, name: str, join: str) -> None:
        self.name = name
        self.folder = folder
        self.home = folder / name
        self.environ = {"COMITY_HOME": str(self.home), "XDG_RUNTIME_DIR": str(folder / "run")}
        self.card = init(InitRequest(hostname=name, join=join), home=self.home).card
        self.process: Process | None = None

    def up(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """Start the daemon; its line of readiness."""
        reading, writing = os.pipe()
        try:
            self.process = Process(
                "comity.node",
                *arguments,
                "--ready-fd",
                str(writing),
                log=self.folder / f"{self.name}.log",
                pass_fds=(writing,),
                **self.environ,
                **environ,
            )
        finally:
            os.close(writing)
        with open(reading, "rb") as pipe:
            assert select.select([pipe], [], [], PATIENCE)[0], "the daemon said nothing"
            line: dict[str, Any] = json.loads(pipe.readline())
        if "error" in line:
            line["status"] = self.process.child.wait(PATIENCE)
        return line

    def down(self) -> int:
        """Stop it by its API; its exit status."""
        assert self.process is not None
        assert self.ask("stop") == {"stopping": True}
        return self.process.child.wait(PATIENCE)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def ask(self, operation: str, **body: object) -> Any:
        """One operation; a refusal is its error's code."""
        runtime = find_runtime(Home(self.home), self.environ)
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(runtime.control_socket))
            connection.request(
                "POST", f"/v1/{operation}", json.dumps(body), {"Content-Type": "application/json"}
            )
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer["error"]["code"] if "error" in answer else answer

    def session(self) -> tuple[str, str] | None:
        """Hostname and path of its one session."""
        sessions = self.ask("info")["sessions"]
        return (sessions[0]["hostname"], sessions[0]["path"]) if sessions else None

    def log_text(self) -> str:
        return (self.home / "logs" / "comity.log").read_text()


class Site:
    """A rendezvous, and labs that join it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labs: list[Lab] = []
        (folder / "run").mkdir(mode=0o700)
        self.state = folder / "rendezvous"
        self.port = 0
        self.rendezvous = self.serve()

    def serve(self) -> Process:
        """Start the rendezvous, at the port that it had before."""
        url = self.state / "join.url"
        url.unlink(missing_ok=True)
        arguments = ("--listen", f"127.0.0.1:{self.port}", "--state", str(self.state))
        process = Process("comity.rendezvous", *arguments, log=self.folder / "rendezvous.log")
        until(url.exists)
        self.join = url.read_text().strip()
        self.port = int(self.join.split("#")[0].rsplit(":", 1)[1])
        return process

    def lab(self, name: str) -> Lab:
        lab = Lab(self.folder, name, self.join)
        self.labs.append(lab)
        return lab


@contextmanager
def site() -> Iterator[Site]:
    """Everything in one short folder, for a socket's path is short; every child has ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="comity-"))
    with ExitStack() as kept:
        kept.callback(shutil.rmtree, folder)
        made = Site(folder)
        kept.callback(lambda: made.rendezvous.end())
        kept.callback(lambda: [lab.process.end() for lab in made.labs if lab.process is not None])
        yield made


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for it."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it never came about"
        time.sleep(0.05)


def agree(asker: Lab, answerer: Lab) -> None:
    """A handshake by card, read, approved; the tunnel is up on both sides."""
    for lab in (asker, answerer):  # a start does not wait for that without end
        until(lambda lab=lab: lab.ask("status")["rendezvous_state"] == "registered")  # type: ignore[misc]  # mypy can't infer a lambda with a default
    asker.ask("handshake", peer=answerer.card, justification="IRB #2026-0142")
    until(lambda: answerer.ask("pending")["pending"])
    assert answerer.ask("approve", peer=asker.name)["status"] == "trusted"
    until(lambda: asker.session() and answerer.session())
