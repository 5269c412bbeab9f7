"""Programs in a lab: a rendezvous and two nodes, typed as a user types them, ended by their ids.

Two nodes come to an agreement once; most worlds begin with copies of what the three programs kept of that.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
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

from comity.control import Progress, SendResult, SessionView
from comity.identity.authority import format_authority
from comity.sdk import node as daemon
from comity.sdk import trust
from comity.sdk.client import Client
from comity.sdk.exchange import send_file
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from tests.natlab.lab import Lab

_PORT = 443
_SECONDS = 60.0
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

    def up(self, *flags: str) -> None:
        self.pid = int(self.type("up", *flags)["pid"])

    def down(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(CommandFailed, subprocess.TimeoutExpired):
                self.type("down")
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.pid = None

    def send(
        self,
        peer: Node,
        path: Path,
        watch: Callable[[Progress], None] = lambda _: None,
        limit: int | None = None,
    ) -> Sent:
        """Send a file through the daemon in the lab, at most ``limit`` bytes a second."""
        began = time.monotonic()
        first: list[float] = []

        def progress(line: Progress) -> None:
            if line.bytes_sent and not first:
                first.append(time.monotonic() - began)
            watch(line)

        result = send_file(self.client, peer.name, path, progress, limit=limit)
        return Sent(result, first[0] if first else time.monotonic() - began)

    @property
    def client(self) -> Client:
        """Speaks to the daemon from outside of the lab: its socket is a file."""
        return Client(self.home, environ=self.environ)

    @property
    def key(self) -> str:
        """Its public key, in hexadecimal digits."""
        folder = Home(self.home)
        return FileKeyStore(folder.identity_key).load(None).public.hex

    def received(self, path: Path) -> Path:
        """Where a file of this name is, once it arrived."""
        files = self.type("received", "--wait", path.name, "--timeout", str(int(_SECONDS)))["files"]
        return Path(files[0]["path"])

    def session(self) -> SessionView | None:
        """The session that this node has."""
        return next(iter(daemon.info(self.client).sessions), None)

    def path(self) -> str | None:
        """The path of its session."""
        session = self.session()
        return None if session is None else session.path

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

    def begin(self, *b_flags: str) -> None:
        """Nodes that are new, and an agreement from a to b."""
        for node in (self.a, self.b):
            node.type("init", "--hostname", node.name, "--join", self.rendezvous.join_url)
        self.up(*b_flags)
        self.a.type("handshake", self.b.type("card")["card"], "testing paths")
        wait_for(lambda: trust.pending(self.b.client).pending, "the request arrives")
        self.b.type("approve", self.a.name)

    def up(self, *b_flags: str) -> None:
        with ThreadPoolExecutor() as both:
            for begun in [both.submit(self.a.up), both.submit(self.b.up, *b_flags)]:
                begun.result()

    def meet(self) -> None:
        wait_for(lambda: self.a.session() and self.b.session(), "a session stands at both ends")

    def down(self) -> None:
        with ThreadPoolExecutor() as both:
            for node in (self.a, self.b):
                both.submit(node.down)
        self.rendezvous.stop()

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
    fresh: bool = False,
) -> Iterator[World]:
    """A rendezvous and two nodes, with these settings in their environment, that are up, agreed and met.
    ``fresh``: they join, and come to their agreement, in this very lab.
    """
    folder = Path(tempfile.mkdtemp(prefix="natlab-"))  # short: socket paths end at 108 bytes
    try:
        if not fresh:
            shutil.copytree(_agreed(), folder, dirs_exist_ok=True)
        made = World(
            lab,
            Rendezvous(lab, folder / "r"),
            Node(lab, "a", folder / "a", a),
            Node(lab, "b", folder / "b", b),
            folder,
        )
        try:
            made.rendezvous.start()
            (made.begin if fresh else made.up)(*b_flags)
            made.meet()
            yield made
        finally:
            made.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _agreed() -> Path:
    """What is on the disks of two nodes and their rendezvous after they agreed, at the addresses of IPv4."""
    kept = Path(tempfile.mkdtemp(prefix="natlab-agreed-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    with Lab("nat", "nat") as lab, world(lab, fresh=True) as here:
        here.down()
        for part in (Path("r"), Path("a/home"), Path("b/home")):
            shutil.copytree(here.folder / part, kept / part)
    return kept


def wait_for(condition: Callable[[], object], what: str, seconds: float = _SECONDS) -> None:
    """Until the condition holds; AssertionError naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


def _comity(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "comity", *arguments]
