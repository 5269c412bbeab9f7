"""Whoever writes into the audit log's tables is found by ``verify``, and the first bad entry is named.

The attacker here has the database, drops the triggers and ignores the constraints, but has not the log key.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from comity.audit.merkle import leaf_hash
from comity.clock import ManualClock
from comity.control.audit import AuditLogRequest, AuditVerifyResult
from comity.entropy import PredictableEntropy
from comity.errors import AuditInvalid
from comity.identity.keys import Identity
from comity.services.audit import AuditService
from comity.storage.audit import AuditStore
from comity.storage.database import Database
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database

SIZE = 11
KEY = AuditKey.generate(Identity.generate().public)
Attack = Callable[[sqlite3.Connection], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of 11 entries, signed at 1, 6 and 11."""
    path = tmp_path / "node.db"
    with open_node_database(path) as db:
        audit = service(db)
        for number in range(SIZE):
            audit.append("event", n=number)
            if number == 5:
                assert audit.verify().valid
        audit.close()
    return path


def service(db: Database, key: AuditKey = KEY) -> AuditService:
    return AuditService(db, key, ManualClock(), PredictableEntropy(1))


def attack(path: Path, change: Attack) -> AuditVerifyResult:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        change(connection)
    finally:
        connection.close()
    with open_node_database(path) as db:
        before = AuditStore(db).last_checkpoint()
        result = service(db).verify()
        assert AuditStore(db).last_checkpoint() == before, "what is wrong is not signed"
    return result


def flip(table: str, column: str, where: str, bit: int = 0) -> Attack:
    """Flip one bit of one value."""

    def change(connection: sqlite3.Connection) -> None:
        read = f"SELECT {column} FROM {table} WHERE {where}"  # noqa: S608  names from this file
        (value,) = connection.execute(read).fetchone()
        content = bytearray(value)
        content[bit // 8 % len(content)] ^= 1 << bit % 8
        write = f"UPDATE {table} SET {column} = ? WHERE {where}"  # noqa: S608  names from this file
        connection.execute(write, (bytes(content),))

    return change


def run(*statements: str) -> Attack:
    def change(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    return change


@pytest.mark.parametrize("column", ["commitment", "salt", "body"])
@pytest.mark.parametrize("index", range(SIZE))
@pytest.mark.parametrize("bit", [0, 100])
def test_flipped_bit_in_an_entry_is_named(path: Path, column: str, index: int, bit: int) -> None:
    result = attack(path, flip("audit_entry", column, f"idx = {index}", bit))
    assert not result.valid
    assert result.problem.startswith(f"entry {index}: ")
    assert result.size == index, "only what precedes it was found to hold"


@pytest.mark.parametrize(
    ("level", "index", "entry"),
    [(0, 0, 0), (0, 7, 7), (0, 10, 10), (1, 0, 1), (1, 4, 9), (2, 1, 7), (3, 0, 7)],
)
def test_flipped_bit_in_the_tree_is_named(path: Path, level: int, index: int, entry: int) -> None:
    result = attack(path, flip("audit_node", "hash", f"level = {level} AND idx = {index}"))
    assert result.problem == f"entry {entry}: it does not fit the stored tree at node ({level}, {index})"


@pytest.mark.parametrize("size", [1, 6, SIZE])
@pytest.mark.parametrize("bit", [0, 13 * 8, 90 * 8, 100 * 8 + 3])
def test_flipped_bit_in_a_checkpoint_is_found(path: Path, size: int, bit: int) -> None:
    result = attack(path, flip("audit_checkpoint", "note", f"size = {size}", bit))
    assert not result.valid
    assert result.problem


@pytest.mark.parametrize("index", [0, 4, 10])
def test_deleted_entry_is_named(path: Path, index: int) -> None:
    result = attack(path, run(f"DELETE FROM audit_entry WHERE idx = {index}"))  # noqa: S608  numbers from above
    assert result.problem.startswith(f"entry {index}: missing")


def test_truncated_log_is_held_against_its_checkpoint(path: Path) -> None:
    result = attack(
        path,
        run(
            "DELETE FROM audit_entry WHERE idx >= 8",
            "DELETE FROM audit_node WHERE (level = 0 AND idx >= 8) OR (level = 1 AND idx >= 4)",
        ),
    )
    assert result.problem == "entry 8: missing, of the 11 that were signed"


def test_emptied_log_is_found(path: Path) -> None:
    result = attack(path, run("DELETE FROM audit_entry", "DELETE FROM audit_node"))
    assert result.problem.startswith("entry 0: missing")


def test_log_without_checkpoints_is_found(path: Path) -> None:
    result = attack(path, run("DELETE FROM audit_checkpoint"))
    assert result.problem == "there are entries, and no checkpoint of them"


def test_swapped_entries_are_found(path: Path) -> None:
    result = attack(
        path,
        run(
            "UPDATE audit_entry SET idx = 99 WHERE idx = 3",
            "UPDATE audit_entry SET idx = 3 WHERE idx = 4",
            "UPDATE audit_entry SET idx = 4 WHERE idx = 99",
        ),
    )
    assert result.problem.startswith("entry 3: ")


def test_rewritten_history_with_a_fitting_tree_is_found(path: Path) -> None:
    """The attacker changes the last entry, recomputes commitment and tree, but cannot sign."""

    def change(connection: sqlite3.Connection) -> None:
        salt, body = connection.execute("SELECT salt, body FROM audit_entry WHERE idx = 10").fetchone()
        forged = body.replace(b'"n":10', b'"n":99')
        assert forged != body
        commitment = hashlib.sha256(salt + forged).digest()
        connection.execute(
            "UPDATE audit_entry SET body = ?, commitment = ? WHERE idx = 10", (forged, commitment)
        )
        connection.execute(
            "UPDATE audit_node SET hash = ? WHERE level = 0 AND idx = 10", (leaf_hash(commitment),)
        )

    result = attack(path, change)
    assert result.problem == "the entries do not add up to the root that was signed"


def test_half_erased_entry_is_named(path: Path) -> None:
    result = attack(path, run("UPDATE audit_entry SET salt = NULL WHERE idx = 2"))
    assert result.problem == "entry 2: only half of it was erased"


@pytest.mark.parametrize("value", ["NULL", "7", "'text'", "x''"])
@pytest.mark.parametrize("column", ["commitment", "body"])
def test_values_of_other_types_are_named(path: Path, column: str, value: str) -> None:
    if (column, value) == ("commitment", "NULL"):
        value = "zeroblob(0)"  # NOT NULL holds even without the checks
    change = f"UPDATE audit_entry SET {column} = {value} WHERE idx = 5"  # noqa: S608  literals from above
    result = attack(path, run(change))
    assert result.problem.startswith("entry 5: ")


def test_surplus_nodes_are_found(path: Path) -> None:
    result = attack(path, run("INSERT INTO audit_node VALUES (9, 0, zeroblob(32))"))
    assert result.problem == "the stored tree has 20 nodes instead of 19"


def test_missing_node_is_named(path: Path) -> None:
    result = attack(path, run("DELETE FROM audit_node WHERE level = 2 AND idx = 0"))
    assert result.problem == "entry 3: tree node (2, 0) is missing"


def test_checkpoint_moved_to_another_size_is_found(path: Path) -> None:
    result = attack(path, run("UPDATE audit_checkpoint SET size = 5 WHERE size = 6"))
    assert result.problem == "checkpoint of 5 entries: it was signed for another log"


def test_checkpoint_beyond_the_entries_is_found(path: Path) -> None:
    result = attack(path, run("UPDATE audit_checkpoint SET size = 40 WHERE size = 11"))
    assert result.problem == "checkpoint of 40 entries: it was signed for another log"


def test_checkpoints_of_another_key_are_found(path: Path) -> None:
    with open_node_database(path) as db:
        other = AuditKey(KEY.origin, AuditKey.generate(Identity.generate().public).private)
        result = service(db, other).verify()
    assert not result.valid
    assert "0 signatures of the key" in result.problem


def test_unreadable_entry_is_not_shown_as_something_else(path: Path) -> None:
    attack(path, run("UPDATE audit_entry SET body = x'7b7d' WHERE idx = 5"))
    with open_node_database(path) as db, pytest.raises(AuditInvalid):
        service(db).log(AuditLogRequest())
