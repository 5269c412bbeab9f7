"""What waits, what was cancelled, and what peers' files take: alike in a file and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from comity.storage.database import MEMORY, Database
from comity.storage.exchange import ExchangeStore, NewTransfer, Outcome
from comity.storage.occupancy import Lying, Occupancy
from comity.storage.schema import open_node_database
from comity.storage.sendqueue import Queued, SendQueue
from tests.exchanges import AGREEMENT, RECEIVER, SENDER, digest_of

OUTCOME = Outcome(
    digest=digest_of(b"content"), manifest=digest_of(b"m"), receipt=digest_of(b"r"), envelope="{}"
)
NEW = NewTransfer(
    direction="out",
    peer=SENDER.public,
    transfer="00" * 16,
    hostname="alice",
    address="1:0001.0000.0010",
    name="f",
    bytes=7,
    agreement=AGREEMENT,
    started=1000.5,
    state="queued",
)


@pytest.fixture(params=["file", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "home").mkdir(mode=0o700)
    where = MEMORY if request.param == "memory" else tmp_path / "home" / "node.db"
    with open_node_database(where) as opened:
        yield opened


def queued(db: Database, number: int, new: NewTransfer = NEW) -> int:
    row = ExchangeStore(db).begin(replace(new, transfer=f"{number:032x}"))
    SendQueue(db).add(Queued(row, f"/models/{number}", "1:2:3:4:5", None))
    return row


def test_the_queue_is_in_order_for_each_peer(db: Database) -> None:
    queue, store = SendQueue(db), ExchangeStore(db)
    rows = [queued(db, number) for number in range(3)]
    other = queued(db, 9, replace(NEW, peer=RECEIVER.public))
    assert queue.peers() == [SENDER.public, RECEIVER.public] or queue.peers() == [
        RECEIVER.public,
        SENDER.public,
    ]
    assert (queue.waiting(), queue.waiting(SENDER.public), queue.waiting(RECEIVER.public)) == (4, 3, 1)
    assert queue.first(SENDER.public) == Queued(rows[0], "/models/0", "1:2:3:4:5", None)
    store.taken_up(rows[0])  # it runs
    first = queue.first(SENDER.public)
    assert first is not None
    assert first.row == rows[1]
    store.interrupted(rows[0], 1001.0, "the link was lost")
    first = queue.first(SENDER.public)
    assert first is not None
    assert first.row == rows[0]
    store.requeued(rows[0], "nobody is there")
    assert (store.get(rows[0]).state, store.get(rows[0]).problem) == ("queued", "nobody is there")
    store.delivered(rows[0], 1002.0, "direct", OUTCOME)
    queue.forget(rows[0])
    assert not queue.holds(rows[0])
    assert queue.holds(other)
    assert queue.waiting() == 3


def test_what_is_queued_is_not_given_up_for_its_age(db: Database) -> None:
    store = ExchangeStore(db)
    row = queued(db, 1)
    store.interrupted(row, 1.0, "lost")
    alone = store.begin(replace(NEW, transfer="ff" * 16, state="running"))
    store.interrupted(alone, 1.0, "lost")
    assert [found.id for found in store.interrupted_ones()] == [alone]


def test_a_cancelled_one_is_found_by_its_beginning_and_owed(db: Database) -> None:
    store = ExchangeStore(db)
    row = store.begin(replace(NEW, transfer="5e0c41d2" + "00" * 12, state="running"))
    store.begin(replace(NEW, transfer="5e0c0000" + "00" * 12, state="running"))
    assert [found.id for found in store.beginning("5e0c41", 2)] == [row]
    assert len(store.beginning("5e0c", 2)) == 2
    assert store.beginning("5e0c%", 2) == store.beginning("_e0c", 2) == []
    store.cancelled(row, 1001.0, "it was cancelled here", done=3, path="direct")
    assert store.owed(SENDER.public) == []
    store.owe(row)
    assert [found.id for found in store.owed(SENDER.public)] == [row]
    assert store.owed(RECEIVER.public) == []
    assert store.owed_peers() == [SENDER.public]
    found = store.get(row)
    assert (found.state, found.bytes_done, found.problem) == ("cancelled", 3, "it was cancelled here")
    store.told(row)
    assert store.owed_peers() == []
    assert store.unfinished() == [store.beginning("5e0c0000", 1)[0]]


def test_what_comes_in_counts_from_its_beginning_until_it_is_gone(db: Database) -> None:
    store, occupancy = ExchangeStore(db), Occupancy(db)
    coming = replace(NEW, direction="in", state="running", bytes=100)
    store.begin(replace(coming, direction="out", bytes=10_000))
    rows = [store.begin(replace(coming, transfer=f"{number:032x}")) for number in range(1, 6)]
    store.begin(replace(coming, peer=RECEIVER.public))
    assert occupancy.of(SENDER.public) == 500
    store.interrupted(rows[0], 1001.0, "lost")
    store.failed(rows[1], 1001.0, "no")
    store.cancelled(rows[2], 1001.0, "no", done=0, path=None)
    for row in rows[3:]:
        store.committing(row, "alice-1", f"f{row}", OUTCOME)
    assert occupancy.of(SENDER.public) == 300
    assert occupancy.lying(SENDER.public) == []
    store.arrived(rows[3], 1002.0, "direct")
    assert occupancy.lying(SENDER.public) == [Lying(rows[3], "alice-1", f"f{rows[3]}")]
    assert occupancy.of(SENDER.public) == 300
    occupancy.removed(rows[3], 1003.0)
    assert (occupancy.of(SENDER.public), occupancy.lying(SENDER.public)) == (200, [])
    assert occupancy.of(RECEIVER.public) == 100
