"""A region: one real rendezvous and labs around it, all processes on loopback, and how labs get to agree.

Whatever was started is ended by its id; then every log is searched for a bug's traceback.
"""

from __future__ import annotations

import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from comity.control import FindRequest
from comity.identity.card import JoinUrl
from comity.sdk import node, peers
from tests.labs import COMITY, PATIENCE, Command, Lab, eventually
from tests.proxy import Proxy

MIB = 1024 * 1024
#: More bytes than any flow of a region carries by the way. Once a file is held up there, as many again may
#: wait in its sender's socket (Linux: the last of net.ipv4.tcp_wmem), and arrive even if the sender dies.
ENOUGH = 4 * MIB


class Rendezvous:
    """``comity rendezvous serve`` on a loopback port that it keeps from one life to the next."""

    def __init__(self, folder: Path, advertise: int | None = None, port: int = 0) -> None:
        folder.mkdir(mode=0o700)
        self.state = folder / "state"
        self.log = folder / "rendezvous.log"
        self.port = port
        self._advertise = () if advertise is None else ("--advertise", f"comity://127.0.0.1:{advertise}")
        self.start()

    def start(self) -> None:
        """Serve, and return once nodes can come."""
        listen = f"127.0.0.1:{self.port}"
        before = self.said().count("join URL: ")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *COMITY,
                    "rendezvous",
                    "serve",
                    "--listen",
                    listen,
                    "--state",
                    str(self.state),
                    *self._advertise,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self.said().count("join URL: ") > before or not self.running, "it serves")
        assert self.running, self.said()
        (self.port,) = {int(port) for port in re.findall(r" listening host=\S+ port=(\d+)", self.said())}

    @property
    def join(self) -> str:
        return (self.state / "join.url").read_text().strip()

    @property
    def url(self) -> JoinUrl:
        return JoinUrl.parse(self.join)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.running:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()


class Region:
    """One rendezvous and its labs. ``proxy`` stands before the rendezvous where a test wanted one."""

    def __init__(self, folder: Path, proxy: Proxy | None = None) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.run.mkdir(mode=0o700)
        self._proxy = proxy
        self.rendezvous = Rendezvous(folder / "rdv", None if proxy is None else proxy.port)
        if proxy is not None:
            proxy.target = self.rendezvous.port
        self.labs: list[Lab] = []

    @property
    def proxy(self) -> Proxy:
        assert self._proxy is not None, "this region has none"
        return self._proxy

    def site(self, hostname: str, folder: str = "", prefix: tuple[str, ...] = ()) -> Lab:
        """A lab where nothing is set up yet."""
        lab = Lab(self.folder / (folder or hostname), hostname, self.run, prefix)
        if self._proxy is not None:  # what stands in the way shall see all of it
            lab.environment["COMITY_PUNCH"] = "no"
        self.labs.append(lab)
        return lab

    def lab(self, hostname: str, *options: str, up: tuple[str, ...] = ()) -> Lab:
        """A lab that is set up and runs."""
        lab = self.site(hostname)
        lab.init(self.rendezvous.join, *options)
        lab.up(*up)
        return lab

    def pair(self) -> tuple[Lab, Lab]:
        """Two labs with an agreement and a session."""
        one, two = self.lab("lab-a-trainer"), self.lab("lab-b-trainer")
        agree(one, two)
        return one, two

    def end(self) -> None:
        for lab in self.labs:
            lab.end()
        self.rendezvous.end()

    def check_logs(self) -> None:
        """No program here has met a bug of its own."""
        for who, said in [("rendezvous", self.rendezvous.said())] + [
            (lab.hostname, lab.said()) for lab in self.labs
        ]:
            for bug in ("Traceback", "internal_error", "ended by a bug"):
                assert bug not in said, f"{who}: {said}"


@contextmanager
def region(*, proxied: bool = False, recording: bool = False) -> Iterator[Region]:
    """``proxied``: all traffic with the rendezvous, relay included, passes ``Region.proxy``."""
    with _orderly(), ExitStack() as kept:
        # Not pytest's folder: sockets lie below it, and their paths must be short.
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="labs-", dir="/tmp")))
        proxy = kept.enter_context(Proxy(recording=recording)) if proxied or recording else None
        made = Region(folder, proxy)
        kept.callback(made.end)
        yield made
        made.end()
        made.check_logs()


@contextmanager
def _orderly() -> Iterator[None]:
    """Let SIGTERM, by which ``timeout`` ends pytest, be what Ctrl-C is: else daemons would be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def agree(asker: Lab, approver: Lab, why: str = "IRB #2026-0142", *options: str) -> str:
    """Both sides name each other with all that pins a key; the agreement's digest once the session stands."""
    asker.ask("handshake", approver.card, why, *options)
    awaits(approver)
    pins = ("--fingerprint", asker.fingerprint)
    agreement: str = approver.ask("approve", asker.hostname, *pins)["agreement"]
    meet(asker, approver)
    return agreement


@contextmanager
def under_way(
    here: Region,
    sender: Lab,
    receiver: Lab,
    content: bytes,
    name: str = "model.bin",
    *,
    after: int = ENOUGH,
) -> Iterator[tuple[Command, Path]]:
    """The command that sends a file of this content, held up by the proxy ``after`` so many bytes, and that
    file; on leaving everything goes on.
    """
    path = sender.folder / name
    path.write_bytes(content)
    assert len(content) >= max(3 * ENOUGH, after + ENOUGH)
    here.proxy.hold(after=after)
    try:
        command = sender.begin("send-file", receiver.hostname, name)
        here.proxy.await_held()
        if not receiver.prefix:  # else its files are not for us to see
            # What passed the proxy may lie in the rendezvous still: whoever is killed now has had a part.
            eventually(
                lambda: any(path.suffix == ".part" for path in receiver.received()), "its beginning is there"
            )
        yield command, path
    finally:
        here.proxy.release()


def awaits(lab: Lab, count: int = 1) -> list[dict[str, Any]]:
    """The requests that wait there, once there are so many, read as ``approve`` wants it."""
    eventually(lambda: node.status(lab.client).pending >= count, f"{lab.hostname} is asked")
    pending: list[dict[str, Any]] = lab.ask("pending")["pending"]
    return pending


def gone(lab: Lab, peer: Lab) -> None:
    """Return once a lab has noticed that its peer's daemon ended, and so has the rendezvous."""
    eventually(lambda: not lab.sees(peer), f"{lab.hostname} misses {peer.hostname}")
    eventually(
        lambda: not peers.find(lab.client, FindRequest(peer.hostname)).online,
        f"the rendezvous misses {peer.hostname}",
        every=0.5,  # it answers such questions only so often
    )


def meet(one: Lab, two: Lab, seconds: float = PATIENCE) -> float:
    """Return once a session stands at both ends; how long that took."""
    began = time.monotonic()
    eventually(lambda: one.sees(two) and two.sees(one), f"{one.hostname} and {two.hostname} meet", seconds)
    return time.monotonic() - began
