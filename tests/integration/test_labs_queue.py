"""Real daemons: a file queued for a lab that is away, cancelling from each side, and a bound on bandwidth."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial

import pytest

from comity.sdk import exchange
from tests.labs import Command, Lab, eventually
from tests.region import MIB, Region, gone, meet, region


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        made.pair()
        yield made


@pytest.fixture
def a(here: Region) -> Lab:
    lab = here.labs[0]
    if not lab.pid:
        lab.up()
    return lab


@pytest.fixture
def b(here: Region) -> Iterator[Lab]:
    """What arrives there is taken away after each test."""
    lab = here.labs[1]
    if not lab.pid:
        lab.up()
    yield lab
    for path in lab.received():
        path.unlink()


def make(lab: Lab, name: str, size: int) -> bytes:
    content = os.urandom(size)
    (lab.folder / name).write_bytes(content)
    return content


def arrived(lab: Lab, count: int) -> bool:
    return len([path for path in lab.received() if path.suffix != ".part"]) == count


def states(lab: Lab) -> list[str]:
    """The newest first."""
    return [transfer.state for transfer in exchange.transfers(lab.client).transfers]


# ── the queue ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_queued_file_arrives_though_both_were_killed_in_between(a: Lab, b: Lab) -> None:
    meet(a, b)
    b.kill()
    gone(a, b)
    first, second = make(a, "first.bin", 2 * MIB), make(a, "second.bin", 1000)
    queued = a.ask("send-file", "lab-b-trainer", "first.bin", "--queue")
    assert (queued["state"], queued["to"], queued["position"]) == ("queued", "lab-b-trainer", 1)
    assert a.ask("send-file", "lab-b-trainer", "second.bin", "--queue")["position"] == 2
    assert states(a)[:2] == ["queued", "queued"]
    a.kill()
    a.up()
    assert states(a)[:2] == ["queued", "queued"]
    b.up()
    eventually(partial(arrived, b, 2), "both files are there", 60)
    eventually(lambda: len(b.received()) == 2, "the names of their parts are gone")
    found = {path.name: path.read_bytes() for path in b.received()}
    assert found == {"first.bin": first, "second.bin": second}
    eventually(lambda: states(a)[:2] == ["done", "done"], "the receipts are here")
    newest, before = exchange.transfers(a.client).transfers[:2]
    assert (before.name, newest.name) == ("first.bin", "second.bin")
    assert before.digest == f"sha256:{hashlib.sha256(first).hexdigest()}"
    assert before.transfer == queued["transfer"]


def test_a_queued_file_that_changed_is_not_sent_and_that_is_said(a: Lab, b: Lab) -> None:
    meet(a, b)
    b.down()
    gone(a, b)
    make(a, "changing.bin", 1000)
    a.ask("send-file", "lab-b-trainer", "changing.bin", "--queue")
    make(a, "changing.bin", 1000)
    b.up()
    failed = a.failed_transfer()
    assert "changed after it was queued" in failed.problem
    eventually(lambda: "queued file not sent" in a.said(), "that is in the log")
    assert b.received() == []


def test_a_sender_killed_in_the_middle_of_its_queue_goes_on_by_itself(a: Lab, b: Lab) -> None:
    meet(a, b)
    content = make(a, "large.bin", 24 * MIB)
    a.ask("send-file", "lab-b-trainer", "large.bin", "--queue", "--limit", "4MB/s")
    eventually(lambda: _moving(a) > 0, "it is on its way")
    a.kill()
    a.up()
    eventually(partial(arrived, b, 1), "it arrived", 90)
    eventually(lambda: len(b.received()) == 1, "its part's own name is gone")
    (path,) = b.received()
    assert path.read_bytes() == content
    eventually(lambda: states(b)[0] == "done", "it is on record")


def _moving(lab: Lab) -> int:
    newest = exchange.transfers(lab.client).transfers[0]
    return newest.bytes_done if newest.state == "running" else 0


# ── cancelling, by hand ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", ["sender", "receiver"])
def test_either_side_cancels_in_the_middle(a: Lab, b: Lab, by: str) -> None:
    meet(a, b)
    make(a, "unwanted.bin", 40 * MIB)
    sending: Command = a.begin("send-file", "lab-b-trainer", "unwanted.bin", "--limit", "1MB/s")
    eventually(lambda: _moving(b) + _moving(a) > 0 and bool(b.received()), "it is on its way")
    lab = a if by == "sender" else b
    (listed,) = (each for each in exchange.transfers(lab.client).transfers if each.state == "running")
    (said,) = [line for line in lab.read("cancel", listed.transfer[:8]) if line.startswith("Cancelled")]
    assert "unwanted.bin" in said
    refusal = sending.refusal()
    assert refusal.told == ("transfer_cancelled", 57)
    for each in (a, b):
        eventually(lambda each=each: states(each)[0] == "cancelled", f"{each.hostname} knows")  # type: ignore[misc]  # mypy can't infer a lambda with a default
    eventually(lambda: b.received() == [], "nothing is left of it")
    assert any("cancelled" in line for line in a.read("transfers"))
    assert a.refused("cancel", "ffffffff").told == ("unknown_transfer", 58)


# ── what a person sees ────────────────────────────────────────────────────────────────────────────────


def test_somebody_else_watches(a: Lab, b: Lab) -> None:
    """The control API tells of transfers that another command, or another lab, began."""
    meet(a, b)
    make(a, "watched.bin", 3 * MIB)
    sending = a.begin("send-file", "lab-b-trainer", "watched.bin", "--limit", "2MB/s")
    for progress in exchange.watch(b.client):
        assert (progress.direction, progress.peer, progress.name) == ("in", a.hostname, "watched.bin")
        if progress.state == "done":
            break
        assert progress.state in ("receiving", "verifying")
        assert 0 <= progress.bytes_done <= progress.bytes == 3 * MIB
    assert sending.answer()["bytes_sent"] == 3 * MIB


def test_quotas_are_settings(a: Lab, b: Lab) -> None:
    b.down()
    b.ask("config", "set", "inbox_quota", "1MB")
    b.ask("config", "set", "artifact_limit", "900kB")
    b.up()
    try:
        meet(a, b)
        make(a, "model.bin", 800_000)
        a.ask("send-file", "lab-b-trainer", "model.bin")
        assert a.refused("send-file", "lab-b-trainer", "model.bin").told == ("inbox_full", 49)
        make(a, "larger.bin", 900_001)
        assert a.refused("send-file", "lab-b-trainer", "larger.bin").told == ("too_large", 46)
        b.received()[0].unlink()
        make(a, "again.bin", 850_000)
        again = ("send-file", "lab-b-trainer", "again.bin")
        eventually(lambda: a.begin(*again).end().returncode == 0, "its absence is noticed")
    finally:
        b.down()
        b.ask("config", "set", "inbox_quota", "1TB")
        b.ask("config", "set", "artifact_limit", "")
        b.up()
