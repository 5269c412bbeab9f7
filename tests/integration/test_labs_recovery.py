"""kill -9 of every process at several moments: nobody registers again by hand, and no agreement is lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial

import pytest

from comity.sdk import audit, node
from tests.labs import Lab, eventually
from tests.region import MIB, Region, agree, awaits, gone, meet, region, under_way

WHY = "IRB #2026-0142"


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(12 * MIB)


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    """Labs a and b have an agreement; everything between them goes through the proxy, and the relay."""
    with region(proxied=True) as made:
        made.pair()
        yield made


@pytest.fixture(autouse=True)
def all_run(here: Region) -> None:
    """A test that failed may have left something dead: the next one begins with everything up."""
    if not here.rendezvous.running:
        here.rendezvous.start()
    a, b = here.labs[:2]
    for lab in (a, b):
        if lab.ask("status")["running"] is False:
            lab.up()
    meet(a, b)


@pytest.fixture
def a(here: Region, all_run: None) -> Lab:
    return here.labs[0]


@pytest.fixture
def b(here: Region, all_run: None) -> Iterator[Lab]:
    """What arrives there is taken away after each test."""
    lab = here.labs[1]
    yield lab
    for path in lab.received():
        path.unlink()


def all_is_well(a: Lab, b: Lab, content: bytes) -> None:
    """They find each other by themselves, the agreement is what it was, and a file gets through."""
    meet(a, b)
    for lab, other, address in ((a, b, "1:0001.0000.0010"), (b, a, "1:0001.0000.0020")):
        assert node.status(lab.client).address == address
        assert other.fingerprint in {trusted.fingerprint for trusted in lab.agreements().trusted}
        assert audit.verify(lab.client).valid
    (a.folder / "model.bin").write_bytes(content)
    sent = a.ask("send-file", "lab-b-trainer", "model.bin")
    assert sent["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    (path,) = b.received()
    assert path.read_bytes() == content


def lost(lab: Lab, other: Lab) -> bool:
    return not lab.sees(other)


def unregistered(lab: Lab) -> bool:
    return bool(lab.ask("status")["rendezvous_state"] == "connecting")


# ── idle ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_idle_daemon(a: Lab, b: Lab, content: bytes) -> None:
    for killed, other in ((a, b), (b, a)):
        killed.kill()
        eventually(partial(lost, other, killed), "the other one has noticed")
        assert killed.ask("status")["running"] is False
        killed.up()
        meet(a, b)
    all_is_well(a, b, content)


def test_an_idle_rendezvous(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    here.rendezvous.kill()
    for lab, other in ((a, b), (b, a)):
        eventually(partial(lost, lab, other), "the relay has gone, too")
        assert lab.refused("find", "lab-z-trainer").told == ("rendezvous_unreachable", 20)
        eventually(partial(unregistered, lab), "its rendezvous has gone")
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
    """It is back before the sender gives up: the same command ends well."""
    with under_way(here, a, b, content) as (command, _):
        b.kill()
        assert [path.suffix for path in b.received()] == [".part"]
        b.up()
    assert command.answer()["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    (path,) = b.received()
    assert path.read_bytes() == content
    path.unlink()
    assert a.newest_transfer().state == b.newest_transfer().state == "done"
    all_is_well(a, b, content)


def test_the_receiver_away_for_long(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    """The command ends before the receiver is back, and says so; run again, it continues."""
    with under_way(here, a, b, content) as (command, _):
        b.kill()
        command.process.terminate()
        command.end()
    eventually(lambda: a.newest_transfer().state == "interrupted", "the sender has put it aside")
    b.up()
    (part,) = b.received()
    assert part.suffix == ".part"
    assert (b.newest_transfer().state, b.newest_transfer().bytes) == ("interrupted", len(content))
    all_is_well(a, b, content)
    assert a.newest_transfer().state == b.newest_transfer().state == "done"


def test_the_sender_during_a_transfer(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    with under_way(here, a, b, content) as (command, _):
        a.kill()
        refusal = command.refusal()
    assert refusal.told == ("not_running", 12)
    eventually(lambda: b.newest_transfer().state == "interrupted", "the receiver has noticed")
    (part,) = b.received()
    assert part.suffix == ".part"
    a.up()
    assert a.newest_transfer().state == "interrupted"
    all_is_well(a, b, content)
    assert a.newest_transfer().state == b.newest_transfer().state == "done"


def test_the_rendezvous_during_a_transfer(here: Region, a: Lab, b: Lab, content: bytes) -> None:
    """And with it the relay that carried the file: it goes on as soon as there is a way again."""
    with under_way(here, a, b, content) as (command, _):
        here.rendezvous.kill()
    eventually(lambda: b.newest_transfer().state == "interrupted", "the receiver has noticed")
    assert [path.suffix for path in b.received()] == [".part"]
    here.rendezvous.start()
    assert command.answer()["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    (path,) = b.received()
    assert path.read_bytes() == content
    path.unlink()
    all_is_well(a, b, content)


# ── around an agreement ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stranger(here: Region) -> Iterator[Lab]:
    """One more lab, without an agreement yet."""
    lab = here.lab(f"lab-{len(here.labs)}-trainer")
    yield lab
    lab.end()


@pytest.mark.parametrize("victim", ["asker", "approver", "rendezvous"])
def test_right_after_approve(here: Region, a: Lab, stranger: Lab, victim: str) -> None:
    """What ``approve`` has printed holds, whoever is killed at that moment."""
    stranger.ask("handshake", a.card, WHY)
    awaits(a)
    if victim == "asker":
        stranger.kill()
    agreement = a.ask("approve", stranger.hostname)["agreement"]
    if victim == "asker":
        stranger.up()
    if victim == "approver":
        a.kill()
        a.up()
    if victim == "rendezvous":
        here.rendezvous.kill()
        here.rendezvous.start()
    meet(stranger, a)
    for lab in (stranger, a):
        assert (agreement, WHY) in {
            (agreed.agreement, agreed.justification) for agreed in lab.agreements().trusted
        }


def test_a_handshake_waits_for_an_offline_node(here: Region, a: Lab, stranger: Lab) -> None:
    """Also through a death of the rendezvous, and of the asker."""
    stranger.down()
    asked = a.ask("handshake", stranger.card, WHY)
    assert (asked["status"], asked["delivered"]) == ("sent", True)
    for process in (a, here.rendezvous):
        process.kill()
    here.rendezvous.start()
    stranger.up()
    (request,) = awaits(stranger)
    assert (request["justification"], request["digest"]) == (WHY, asked["digest"])
    assert stranger.ask("approve", "lab-a-trainer")["session"] is False
    a.up()
    meet(a, stranger)


def test_a_revocation_reaches_a_peer_that_was_away(here: Region, a: Lab, stranger: Lab) -> None:
    agree(a, stranger)
    stranger.kill()
    gone(a, stranger)
    revoked = a.read("revoke", stranger.hostname)
    assert revoked[0].startswith(f"Trust revoked for {stranger.hostname} ")
    assert revoked[-1] == "Peer will be told when it next appears"
    for process in (a, here.rendezvous):
        process.kill()
    here.rendezvous.start()
    stranger.up()
    eventually(lambda: stranger.agreements().trusted == (), "it has been told")
    (ended,) = stranger.agreements().ended
    assert (ended.status, ended.revoked_by) == ("revoked", "them")
    a.up()
    (stranger.folder / "x").write_bytes(b"x")
    assert stranger.refused("send-file", "lab-a-trainer", "x").told == ("untrusted_peer", 31)
    assert not a.sees(stranger)
    assert not stranger.sees(a)
