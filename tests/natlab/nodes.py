"""Programs in a lab: a rendezvous and two nodes, typed as a user types them, ended by their ids."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from comity.control import Progress, SendResult
from comity.identity.authority import format_authority
from comity.sdk.client import Client
from comity.sdk.exchange import send_file
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from tests.natlab.lab import Lab

_PORT = 443
_SECONDS = 20.0
_NOTHING: Mapping[str, str] = MappingProxyType({})


class CommandFailed(Exception):
    """A command of the program under test ended with an error."""


@dataclass(frozen=True)
class Sent:
    """``first_byte``: seconds from the request to the moment at which the first byte had left."""

    result: SendResult
    first_byte: float

    @property
    def share(self) -> float:
        """Of the bytes, what travelled on the path that carried most."""
        return self.result.paths[self.result.path] / sum(self.result.paths.values())


class Rendezvous:
    """``comity rendezvous serve`` on both its addresses."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def join_url(self) -> str:
        return (self._folder / "state" / "join.url").read_text().strip()

    @property
    def places(self) -> list[str]:
        """Where it listens."""
        return [format_authority(address, _PORT) for address in self._lab.plan.rendezvous]

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        log = self._folder / "log"
        listen = [word for place in self.places for word in ("--listen", place)]
        command = _comity("rendezvous", "serve", *listen, "--state", str(self._folder / "state"))
        before = log.read_text().count("join URL") if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self._lab.inside("public", command), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for(lambda: log.read_text().count("join URL") > before, "the rendezvous serves")

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(_SECONDS)
            self._process = None


class Node:
    """One lab's node, its home in ``folder``."""

    def __init__(self, lab: Lab, site: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.name = f"lab-{site}"
        self._lab = lab
        self._site = site
        self.environ = dict(os.environ) | {
            "COMITY_HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            **environ,
        }
        (folder / "run").mkdir(mode=0o700, parents=True)
        self.home = folder / "home"
        self.pid: int | None = None

    def type(self, *arguments: str) -> dict[str, Any]:
        """Run one command with ``--json`` in the lab, and return the object that it prints."""
        done = subprocess.run(
            self._lab.inside(self._site, _comity(*arguments, "--json")),
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"{self.name}: comity {' '.join(arguments)}: {done.stderr or done.stdout}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def begin(self, join: str, *flags: str) -> None:
        """The first start."""
        self.type("init", "--hostname", self.name, "--join", join)
        self.up(*flags)

    def up(self, *flags: str) -> None:
        self.type("up", *flags)
        self.pid = int(self.type("status")["pid"])

    def down(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(CommandFailed, subprocess.TimeoutExpired):
                self.type("down")
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.pid = None

    def send(self, peer: Node, path: Path, watch: Callable[[Progress], None] = lambda _: None) -> Sent:
        """Send a file through the daemon in the lab (its socket is a file: no network is in between)."""
        began = time.monotonic()
        first: list[float] = []

        def progress(line: Progress) -> None:
            if line.bytes_sent and not first:
                first.append(time.monotonic() - began)
            watch(line)

        result = send_file(Client(self.home, environ=self.environ), peer.name, path, progress)
        return Sent(result, first[0] if first else time.monotonic() - began)

    @property
    def key(self) -> str:
        """Its public key, in hexadecimal digits."""
        folder = Home(self.home)
        return FileKeyStore(folder.identity_key).load(None).public.hex

    def session(self) -> dict[str, Any] | None:
        """The session that this node has."""
        sessions = self.type("info")["sessions"]
        found: dict[str, Any] | None = sessions[0] if sessions else None
        return found

    def log(self) -> str:
        path = self.home / "logs" / "comity.log"
        return path.read_text(errors="replace") if path.exists() else ""


@dataclass(frozen=True)
class World:
    """Everything that runs in one lab."""

    lab: Lab
    rendezvous: Rendezvous
    a: Node
    b: Node
    folder: Path

    def agree(self) -> None:
        """An agreement from a to b, and a session under it."""
        card = self.b.type("card")["card"]
        self.a.type("handshake", card, "testing paths")
        wait_for(lambda: self.b.type("pending")["pending"], "the request arrives")
        self.b.type("approve", self.a.name)
        wait_for(lambda: self.a.session(), "a session stands")

    def file(self, mebibytes: int) -> Path:
        """A file of random bytes, so that nothing in between can shorten it."""
        path = self.folder / f"weights-{mebibytes}.bin"
        with path.open("wb") as out:
            for _ in range(mebibytes):
                out.write(os.urandom(1 << 20))
        return path


@contextmanager
def world(
    lab: Lab,
    *,
    a: Mapping[str, str] = _NOTHING,
    b: Mapping[str, str] = _NOTHING,
    b_flags: tuple[str, ...] = (),
) -> Iterator[World]:
    """A rendezvous and two nodes, with these settings in their environment, that are up and agreed."""
    folder = Path(tempfile.mkdtemp(prefix="natlab-"))  # short: socket paths end at 108 bytes
    rendezvous = Rendezvous(lab, folder / "r")
    nodes = Node(lab, "a", folder / "a", a), Node(lab, "b", folder / "b", b)
    made = World(lab, rendezvous, *nodes, folder)
    try:
        rendezvous.start()
        with ThreadPoolExecutor() as both:
            begun = [both.submit(made.a.begin, rendezvous.join_url)]
            begun += [both.submit(made.b.begin, rendezvous.join_url, *b_flags)]
        for each in begun:
            each.result()
        made.agree()
        yield made
    finally:
        with ThreadPoolExecutor() as both:
            for node in (made.a, made.b):
                both.submit(node.down)
        rendezvous.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(condition: Callable[[], object], what: str, seconds: float = _SECONDS) -> None:
    """Until the condition holds; AssertionError naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def _comity(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "comity", *arguments]
