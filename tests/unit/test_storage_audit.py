"""The audit log's rows are only ever added, and the clock's mark only ever grows."""

from __future__ import annotations

import sqlite3

import pytest

from comity.audit import merkle
from comity.errors import AuditInvalid
from comity.storage.audit import AuditStore
from comity.storage.clockmark import ClockMark
from comity.storage.database import MEMORY, Database
from comity.storage.schema import open_node_database

SALT = bytes(32)


@pytest.fixture
def db() -> Database:
    return open_node_database(MEMORY)


@pytest.fixture
def store(db: Database) -> AuditStore:
    store = AuditStore(db)
    for number in range(7):
        store.append(bytes([number]) * 32, SALT, b"body %d" % number)
    store.add_checkpoint(7, b"note")
    return store


def test_reads_back_what_was_appended(store: AuditStore) -> None:
    assert store.size() == 7
    entries = list(store.entries())
    assert [entry.index for entry in entries] == list(range(7))
    assert entries[3].commitment == b"\x03" * 32
    assert (entries[3].salt, entries[3].body) == (SALT, b"body 3")
    assert [entry.index for entry in store.entries(after=4)] == [5, 6]
    assert [entry.index for entry in store.entries(containing=b"y 5")] == [5]


def test_stores_the_tree(store: AuditStore) -> None:
    frontier = merkle.Frontier()
    for number in range(7):
        frontier.append(frontier.nodes_for(merkle.leaf_hash(bytes([number]) * 32)))
    assert store.root() == frontier.root()
    assert store.node_count() == 2 * 7 - 3
    with pytest.raises(AuditInvalid, match=r"\(9, 9\) is missing"):
        store.node(9, 9)


def test_empty(db: Database) -> None:
    store = AuditStore(db)
    assert (store.size(), store.node_count(), store.last_checkpoint()) == (0, 0, None)
    assert store.root() == merkle.EMPTY_ROOT


def test_checkpoints_newest_first(store: AuditStore) -> None:
    store.add_checkpoint(9, b"later")
    assert store.last_checkpoint() == (9, b"later")
    assert list(store.checkpoints()) == [(9, b"later"), (7, b"note")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = x'00' WHERE idx = 2",
        "UPDATE audit_entry SET body = NULL WHERE idx = 2",  # its salt has to go with it
        "UPDATE audit_entry SET salt = NULL, body = NULL, idx = 9 WHERE idx = 6",
        "UPDATE audit_entry SET salt = NULL, body = NULL, commitment = zeroblob(32) WHERE idx = 2",
        "DELETE FROM audit_entry WHERE idx = 6",
        "DELETE FROM audit_entry",
        "INSERT INTO audit_entry VALUES (9, zeroblob(32), zeroblob(32), x'00')",
        "INSERT OR REPLACE INTO audit_entry VALUES (3, zeroblob(32), zeroblob(32), x'00')",
        "INSERT INTO audit_entry VALUES (7, zeroblob(31), zeroblob(32), x'00')",
        "INSERT INTO audit_entry VALUES (7, zeroblob(32), zeroblob(32), 'text')",
        "INSERT OR REPLACE INTO audit_node VALUES (0, 3, zeroblob(32))",
        "UPDATE audit_node SET hash = zeroblob(32) WHERE level = 0 AND idx = 3",
        "DELETE FROM audit_node WHERE level = 1",
        "UPDATE audit_checkpoint SET note = x'00'",
        "INSERT OR REPLACE INTO audit_checkpoint VALUES (7, x'00')",
        "INSERT INTO audit_checkpoint VALUES (6, x'00')",
        "DELETE FROM audit_checkpoint",
    ],
)
def test_rows_are_never_changed(db: Database, store: AuditStore, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        db.execute(statement)
    assert store.size() == 7
    assert store.last_checkpoint() == (7, b"note")


def test_body_and_salt_can_be_erased_together(db: Database, store: AuditStore) -> None:
    root = store.root()
    db.execute("UPDATE audit_entry SET salt = NULL, body = NULL WHERE idx = 2")
    erased = list(store.entries())[2]
    assert (erased.salt, erased.body, erased.commitment) == (None, None, b"\x02" * 32)
    assert store.root() == root


def test_clock_mark_only_grows(db: Database) -> None:
    mark = ClockMark(db)
    assert mark.floor() == 0
    for now in (100.25, 99.0, 100.0):
        mark.advance(now)
        assert mark.floor() == 100.25
