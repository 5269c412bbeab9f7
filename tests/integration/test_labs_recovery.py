"""kill -9 of every process at several moments: nobody registers again by hand, and no agreement is lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial

import pytest

from tests.labs import Lab, eventually
from tests.region import MIB, Region, agree, awaits, meet, region, under_way

WHY = "IRB #2026-0142"
BACK = 15.0


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(40 * MIB)


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    """Labs a and b have an agreement; everything between them goes through the proxy, and the relay."""
    with region(proxied=True) as made:
        made.pair()
        yield made


@pytest.fixture
def a(here: Region) -> Lab:
    return here.labs[0]


@pytest.fixture
def b(here: Region) -> Iterator[Lab]:
    """What arrives there is taken away after each test."""
    lab = here.labs[1]
    yield lab
    for path in lab.received():
        path.unlink()


def alone(lab: Lab) -> bool:
    return lab.info().sessions == ()


def all_is_well(a: Lab, b: Lab, content: bytes) -> None:
    """They find each other by themselves, the agreement is what it was, and a file gets through."""
    assert meet(a, b, BACK) < BACK
    for lab, other, address in ((a, b, "1:0001.0000.0010"), (b, a, "1:0001.0000.0020")):
        assert lab.ask("status")["address"] == address
        (trusted,) = lab.ask("trust")["trusted"]
        assert (trusted["fingerprint"], trusted["status"]) == (other.fingerprint, "active")
        assert lab.ask("audit", "verify")["valid"]
    (a.folder / "model.bin").write_bytes(content)
    sent = a.ask("send-file", "lab-b-trainer", "model.bin")
    assert sent["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    (path,) = b.received()
    assert path.read_bytes() == content


# ── idle ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_idle_daemon(a: Lab, b: Lab, content: bytes) -> None:
    for killed, other in ((a, b), (b, a)):
        killed.kill()
        eventually(partial(alone, other), "the other one has noticed")
        assert killed.ask("status")["running"] is False
        killed.up()
        meet(a, b, BACK)
    all_is_well(a, b, content)


def test_an_idle_rendezvous(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    here.rendezvous.kill()
    for lab in (a, b):
        eventually(partial(alone, lab), "the relay has gone, too")
        assert lab.refused("find", "lab-z-trainer").told == ("rendezvous_unreachable", 20)
        assert lab.ask("status")["rendezvous_state"] == "connecting"
    here.rendezvous.start()
    all_is_well(a, b, content)


def test_all_at_once(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    """As when the power comes back."""
    for process in (a, here.rendezvous, b):
        process.kill()
    here.rendezvous.start()
    starting = [lab.begin("up") for lab in (a, b)]
    for lab, start in zip((a, b), starting, strict=True):
        lab.pid = start.answer()["pid"]
    all_is_well(a, b, content)


# ── during a transfer ─────────────────────────────────────────────────────────────────────────────────


def test_the_receiver_during_a_transfer(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    with under_way(here, a, b, content) as (command, _):
        b.kill()
    assert command.refusal().told == ("transfer_failed", 44)
    assert [path.suffix for path in b.received()] == [".part"]
    b.up()
    assert b.received() == []
    newest = b.ask("transfers")["transfers"][0]
    assert (newest["state"], newest["bytes"]) == ("failed", len(content))
    all_is_well(a, b, content)


def test_the_sender_during_a_transfer(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    with under_way(here, a, b, content) as (command, _):
        a.kill()
        refusal = command.refusal()
    assert refusal.told == ("not_running", 12)
    eventually(lambda: b.ask("transfers")["transfers"][0]["state"] == "failed", "lab b has noticed")
    assert b.received() == []
    a.up()
    assert a.ask("transfers")["transfers"][0]["state"] == "failed"
    all_is_well(a, b, content)


def test_the_rendezvous_during_a_transfer(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    with under_way(here, a, b, content) as (command, _):
        here.rendezvous.kill()
    assert command.refusal().told == ("transfer_failed", 44)
    eventually(lambda: b.ask("transfers")["transfers"][0]["state"] == "failed", "lab b has noticed")
    assert b.received() == []
    here.rendezvous.start()
    all_is_well(a, b, content)


# ── around an agreement ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def strangers(here: Region) -> Iterator[tuple[Lab, Lab]]:
    """Two more labs, without an agreement yet."""
    number = len(here.labs)
    labs = here.lab(f"asker-{number}"), here.lab(f"approver-{number}")
    yield labs
    for lab in labs:
        lab.end()


@pytest.mark.parametrize("victim", ["asker", "approver", "rendezvous"])
def test_right_after_approve(here: Region, strangers: tuple[Lab, Lab], victim: str) -> None:
    """What ``approve`` has printed holds, whoever is killed at that moment."""
    asker, approver = strangers
    asker.ask("handshake", approver.card, WHY)
    awaits(approver)
    if victim == "asker":
        asker.kill()
    agreement = approver.ask("approve", asker.hostname)["agreement"]
    if victim == "approver":
        approver.kill()
        approver.up()
    if victim == "asker":
        asker.up()
    if victim == "rendezvous":
        here.rendezvous.kill()
        here.rendezvous.start()
    meet(asker, approver, BACK)
    for lab in strangers:
        (trusted,) = lab.ask("trust")["trusted"]
        assert (trusted["agreement"], trusted["justification"]) == (agreement, WHY)


def test_a_handshake_waits_for_an_offline_node(here: Region, strangers: tuple[Lab, Lab]) -> None:
    """Also through a death of the rendezvous, and of the asker."""
    asker, approver = strangers
    approver.down()
    asked = asker.ask("handshake", approver.card, WHY)
    assert (asked["status"], asked["delivered"]) == ("sent", True)
    for process in (asker, here.rendezvous):
        process.kill()
    here.rendezvous.start()
    approver.up()
    (request,) = awaits(approver)
    assert (request["justification"], request["digest"]) == (WHY, asked["digest"])
    approved = approver.ask("approve", asker.hostname)
    assert approved["session"] is False
    asker.up()
    meet(asker, approver, BACK)


def test_a_revocation_reaches_a_peer_that_was_away(here: Region, strangers: tuple[Lab, Lab]) -> None:
    one, two = strangers
    agree(one, two)
    two.kill()
    revoked = one.read("revoke", two.hostname)
    assert revoked[0].startswith(f"Trust revoked for {two.hostname} ")
    assert revoked[-1] == "Peer will be told when it next appears"
    for process in (one, here.rendezvous):
        process.kill()
    here.rendezvous.start()
    two.up()
    eventually(lambda: two.ask("trust")["trusted"] == [], "it has been told")
    (ended,) = two.ask("trust")["ended"]
    assert (ended["status"], ended["revoked_by"]) == ("revoked", "them")
    one.up()
    (two.folder / "x").write_bytes(b"x")
    assert two.refused("send-file", one.hostname, "x").told == ("untrusted_peer", 31)
    assert (one.info().sessions, two.info().sessions) == ((), ())
