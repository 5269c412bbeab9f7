"""A rendezvous is replaced by a successor under its nodes: no connection is refused, transfers that it relays
go on, direct sessions don't notice, and what people ask meanwhile arrives.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from comity.sdk import exchange, node
from tests.labs import Lab, eventually
from tests.proxy import Proxy
from tests.region import MIB, Region, agree, awaits, meet, under_way
from tests.rendezvous.manager import ManagedRendezvous

CONTENT = os.urandom(12 * MIB)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class ManagedRegion(Region):
    """A region whose rendezvous has a service manager, with everything passing the proxy."""

    def __init__(self, folder: Path, proxy: Proxy) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.run.mkdir(mode=0o700)
        self._proxy = proxy
        self.managed = ManagedRendezvous(folder / "rdv", proxy.port)
        self.rendezvous = self.managed
        proxy.target = self.managed.port
        self.labs = []


@contextmanager
def managed_region() -> Iterator[ManagedRegion]:
    with ExitStack() as kept:
        folder = Path(kept.enter_context(TemporaryDirectory(prefix="labs-", dir="/tmp")))
        made = ManagedRegion(folder, kept.enter_context(Proxy()))
        kept.callback(made.end)
        yield made
        made.end()
        made.check_logs()


@pytest.fixture(scope="module")
def here() -> Iterator[ManagedRegion]:
    with managed_region() as made:
        yield made


def session(lab: Lab, peer: Lab) -> tuple[str, str]:
    """By which path a session stands, and since when."""
    (found,) = [each for each in lab.info().sessions if each.fingerprint == peer.fingerprint]
    return found.path, found.since


def paths(lab: Lab, peer: Lab) -> list[str]:
    """Those of the sessions that stand: none for a moment after an agreement, and one from then on."""
    return [each.path for each in lab.info().sessions if each.fingerprint == peer.fingerprint]


def is_registered(lab: Lab) -> bool:
    return node.status(lab.client).rendezvous_state == "registered"


def moved(lab: Lab) -> int:
    """How many bytes of all transfers have moved."""
    return sum(each.bytes_done for each in exchange.transfers(lab.client).transfers)


def test_an_upgrade_under_a_relayed_transfer(here: ManagedRegion) -> None:
    a, b = here.pair()
    neighbour = here.lab("lab-c-trainer", up=("--listen", "127.0.0.1:0"))
    agree(a, neighbour)
    eventually(lambda: paths(a, neighbour) == ["direct"], "a direct session stands")
    before = session(a, b), session(a, neighbour)
    assert before[0][0] == "relay"
    content = CONTENT[: 6 * MIB]
    (a.folder / "model.bin").write_bytes(content)
    command = a.begin("send-file", b.hostname, "model.bin", "--limit", "2MB/s")  # three seconds
    eventually(lambda: moved(a) > 0, "the file is on its way")
    assert a.newest_transfer().path == "relay"
    here.managed.stop()
    assert a.newest_transfer().state == "running"
    asked = neighbour.begin("handshake", b.card, "IRB #2026-0143")
    here.managed.start()
    said = here.managed.said()
    assert said.count("lane handed on") == said.count("lane resumed") >= 2  # the session's, the transfer's
    sent = command.answer()
    assert (sent["digest"], sent["paths"]) == (digest(content), {"relay": len(content)})
    (path,) = b.received()
    assert path.read_bytes() == content
    path.unlink()
    # Nobody typed anything: everybody is back, and no session noticed.
    for lab in here.labs:
        eventually(partial(is_registered, lab), f"{lab.hostname} is back")
    assert (session(a, b), session(a, neighbour)) == before
    # What was asked while there was no server came to it, and through it.
    assert asked.answer()["status"] == "sent"
    (request,) = awaits(b)
    assert request["justification"] == "IRB #2026-0143"


def test_an_upgrade_that_cuts_the_lanes(here: ManagedRegion) -> None:
    """Where nobody keeps them: the transfer finds a new lane by itself."""
    a, b = here.labs[:2]
    here.managed.manager.stores = False
    with under_way(here, a, b, CONTENT[::-1], "second.bin") as (command, _):
        here.managed.stop()
        here.managed.start()
    assert command.answer()["digest"] == digest(CONTENT[::-1])
    (path,) = b.received()
    assert path.read_bytes() == CONTENT[::-1]
    meet(a, b)
