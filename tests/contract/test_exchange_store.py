"""Transfers are kept alike in a file and in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.storage.database import MEMORY
from comity.storage.exchange import ExchangeStore, NewTransfer, Outcome
from comity.storage.schema import open_node_database
from tests.exchanges import AGREEMENT, RECEIVER, SENDER, digest_of

OUTCOME = Outcome(
    digest=digest_of(b"content"), manifest=digest_of(b"m"), receipt=digest_of(b"r"), envelope="{}"
)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExchangeStore]:
    (tmp_path / "home").mkdir(mode=0o700)
    where = MEMORY if request.param == "memory" else tmp_path / "home" / "node.db"
    with open_node_database(where) as db:
        yield ExchangeStore(db)


def new(transfer: str = "5e" * 16, direction: str = "in", name: str = "f") -> NewTransfer:
    return NewTransfer(
        direction="in" if direction == "in" else "out",
        peer=SENDER.public,
        transfer=transfer,
        hostname="alice",
        address="1:0001.0000.0010",
        name=name,
        bytes=7,
        agreement=AGREEMENT,
        started=1000.5,
    )


def test_an_arrival_goes_through_its_states(store: ExchangeStore) -> None:
    row = store.begin(new())
    assert store.get(row).state == "running"
    assert store.unfinished() == [store.get(row)]
    store.committing(row, "alice-1", "f.2", OUTCOME)
    found = store.get(row)
    assert (found.state, found.folder, found.stored, found.receipt) == (
        *("committing", "alice-1", "f.2"),
        OUTCOME.receipt,
    )
    assert store.unfinished() == [found]
    assert store.received(10) == []
    store.arrived(row, 1001.0, "relay")
    found = store.get(row)
    assert (found.state, found.ended, found.bytes_done, found.path) == ("done", 1001.0, 7, "relay")
    assert found.envelope == OUTCOME.envelope
    assert store.unfinished() == []
    assert store.received(10) == [found]


def test_a_delivery_keeps_its_receipt(store: ExchangeStore) -> None:
    row = store.begin(new(direction="out"))
    store.delivered(row, 1001.0, "direct", OUTCOME)
    found = store.get(row)
    assert (found.state, found.digest, found.manifest) == ("done", OUTCOME.digest, OUTCOME.manifest)
    assert (found.receipt, found.envelope) == (OUTCOME.receipt, OUTCOME.envelope)
    assert store.received(10) == []


def test_a_failure_forgets_a_receipt_that_was_not_given(store: ExchangeStore) -> None:
    row = store.begin(new())
    store.committing(row, "alice-1", "f", OUTCOME)
    store.failed(row, 1001.0, "the disk is full", done=3, path="direct")
    found = store.get(row)
    assert (found.state, found.problem, found.bytes_done) == ("failed", "the disk is full", 3)
    assert (found.folder, found.stored, found.receipt, found.envelope) == (None, None, None, None)


def test_ids_are_known_by_direction_and_peer(store: ExchangeStore) -> None:
    store.begin(new())
    assert store.find("in", SENDER.public, "5e" * 16) is not None
    assert store.find("out", SENDER.public, "5e" * 16) is None
    assert store.find("in", RECEIVER.public, "5e" * 16) is None
    assert store.find("in", SENDER.public, "00" * 16) is None
    store.begin(new(direction="out"))


def test_lists_are_newest_first_and_bounded(store: ExchangeStore) -> None:
    rows = [store.begin(new(f"{number:032x}", name=f"f{number % 2}")) for number in range(4)]
    for at, row in enumerate(reversed(rows)):
        store.arrived(row, 2000.0 + at, None)
    assert [found.id for found in store.newest(3)] == rows[:0:-1]
    assert [found.id for found in store.received(3)] == rows[:3]  # by arrival
    assert [found.id for found in store.received(10, "f1")] == [rows[1], rows[3]]
    assert store.received(10, "none") == []
