"""The database keeps what it promises: all or nothing, durable, private, its own version and no newer."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from comity.errors import DiskFull, HomeUnsafe, LocalProtocolError, NewerDatabase, StorageUnusable
from comity.storage.database import MEMORY, Database

NOTES = ("CREATE TABLE notes (text TEXT NOT NULL UNIQUE);\n",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


def notes(db: Database) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY rowid")]


def write(db: Database, text: str) -> None:
    db.execute("INSERT INTO notes VALUES (?)", (text,))


def write_too_much(db: Database) -> None:
    db.execute("PRAGMA max_page_count=8")  # what SQLite answers to a full disk
    with db.transaction():
        for number in range(100):
            write(db, f"{number}" + "x" * 4000)


@contextmanager
def undone(db: Database) -> Iterator[None]:
    """A transaction that ends in an exception."""
    with suppress(ZeroDivisionError), db.transaction():
        yield
        raise ZeroDivisionError


def test_transaction_is_all_or_nothing() -> None:
    with Database(MEMORY, NOTES) as db:
        with undone(db):
            write(db, "a")
        assert notes(db) == []
        with db.transaction():
            assert db.in_transaction
            write(db, "b")
        assert notes(db) == ["b"]
        assert not db.in_transaction


def test_inner_transaction_is_part_of_the_outer() -> None:
    with Database(MEMORY, NOTES) as db:
        with undone(db), db.transaction():
            write(db, "inner")
        assert notes(db) == []


def test_what_an_inner_transaction_did_is_undone_alone() -> None:
    with Database(MEMORY, NOTES) as db:
        with db.transaction():
            write(db, "before")
            with undone(db):
                write(db, "inner")
            write(db, "after")
        assert notes(db) == ["before", "after"]


def test_hooks_run_once_the_state_is_durable() -> None:
    told: list[str] = []
    with Database(MEMORY, NOTES) as db:
        with db.transaction():
            with db.transaction():
                db.after_commit(lambda: told.append(f"{notes(db)} {db.in_transaction}"))
                write(db, "a")
            assert told == []
        assert told == ["['a'] False"]
        db.after_commit(lambda: told.append("at once"))
        assert told[1:] == ["at once"]


def test_hooks_of_what_was_undone_do_not_run() -> None:
    told: list[str] = []
    with Database(MEMORY, NOTES) as db:
        with db.transaction():
            with undone(db):
                db.after_commit(lambda: told.append("inner"))
            db.after_commit(lambda: told.append("outer"))
        with undone(db):
            db.after_commit(lambda: told.append("never"))
        with db.transaction():
            pass
    assert told == ["outer"]


def test_every_hook_runs_even_when_one_fails() -> None:
    told: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    with Database(MEMORY, NOTES) as db:
        with suppress(ZeroDivisionError), db.transaction():
            write(db, "a")
            db.after_commit(fail)
            db.after_commit(lambda: told.append("second"))
        assert notes(db) == ["a"]
    assert told == ["second"]


def test_rollback_hooks_put_on_record_what_must_be() -> None:
    with Database(MEMORY, NOTES) as db:

        def record() -> None:
            write(db, "denied")
            db.after_rollback(record)

        with undone(db):
            with undone(db):
                record()
            assert notes(db) == ["denied"]
        assert notes(db) == ["denied"]
        with db.transaction():
            db.after_rollback(lambda: write(db, "never"))
        with undone(db):
            pass
        assert notes(db) == ["denied"]


async def test_a_transaction_is_not_joined_by_another_task() -> None:
    with Database(MEMORY, NOTES) as db:

        async def second() -> None:
            with db.transaction():
                write(db, "second")

        async def reader() -> None:
            notes(db)

        with db.transaction():
            write(db, "first")
            for other in (second, reader):
                with pytest.raises(LocalProtocolError, match="still open"):
                    await asyncio.create_task(other())
        assert notes(db) == ["first"]


def test_mistakes_of_ours_stay_what_they_are() -> None:
    with Database(MEMORY, NOTES) as db:
        write(db, "a")
        with pytest.raises(sqlite3.IntegrityError):
            write(db, "a")
        with pytest.raises(sqlite3.OperationalError):
            db.execute("SELEC")


def test_full_disk_is_named_and_leaves_what_was_there(folder: Path) -> None:
    with Database(folder / "node.db", NOTES) as db:
        write(db, "kept")
        with pytest.raises(DiskFull, match=r"node\.db"):
            write_too_much(db)
        assert notes(db) == ["kept"]
        write(db, "small")


def test_after_a_failed_disk_nothing_more_joins_the_transaction(folder: Path) -> None:
    def go_on_regardless() -> None:
        with db.transaction():
            with suppress(DiskFull):
                write_too_much(db)
            write(db, "half of it")

    with Database(folder / "node.db", NOTES) as db:
        with pytest.raises(StorageUnusable, match="undone"):
            go_on_regardless()
        assert notes(db) == []


def test_file_is_private_and_so_are_its_logs(folder: Path) -> None:
    before = os.umask(0)
    try:
        with Database(folder / "node.db", NOTES) as db:
            write(db, "a")
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert "node.db" in modes


def test_settings_are_the_safe_ones(folder: Path) -> None:
    with Database(folder / "node.db", NOTES) as db:
        values = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "foreign_keys", "secure_delete", "trusted_schema")
        }
    assert values == {"synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "trusted_schema": 0}


def test_file_open_to_others_is_refused(folder: Path) -> None:
    Database(folder / "node.db", NOTES).close()
    (folder / "node.db").chmod(0o640)
    with pytest.raises(HomeUnsafe, match="0640"):
        Database(folder / "node.db", NOTES)


def test_folder_open_to_others_is_refused(folder: Path) -> None:
    folder.chmod(0o750)
    with pytest.raises(HomeUnsafe, match="0750"):
        Database(folder / "node.db", NOTES)


def test_link_in_place_of_the_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "node.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeUnsafe, match="symbolic link"):
        Database(folder / "node.db", NOTES)
    assert not (tmp_path / "elsewhere").exists()


def test_damaged_file_is_a_clear_error(folder: Path) -> None:
    file = folder / "node.db"
    file.write_bytes(b"not a database, whatever its name says" * 200)
    file.chmod(0o600)
    with pytest.raises(StorageUnusable, match="damaged"):
        Database(file, NOTES)


def test_damage_found_while_reading_is_a_clear_error(folder: Path) -> None:
    file = folder / "node.db"
    with Database(file, NOTES) as db, db.transaction():
        for number in range(500):
            write(db, f"{number}" + "x" * 500)
    content = bytearray(file.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    file.write_bytes(content)
    with Database(file, NOTES) as db, pytest.raises(StorageUnusable, match="damaged"):
        notes(db)


def test_locked_by_another_process_is_a_clear_error(folder: Path) -> None:
    with Database(folder / "node.db", NOTES) as db:
        db.execute("PRAGMA busy_timeout=10")
        other = sqlite3.connect(folder / "node.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnusable, match="locked by another process"):
                write(db, "a")
        finally:
            other.close()


def test_migrations_are_applied_once_and_in_order(folder: Path) -> None:
    more = (*NOTES, "ALTER TABLE notes ADD COLUMN at INTEGER;\nUPDATE notes SET at = 7;\n")
    with Database(folder / "node.db", NOTES) as db:
        write(db, "old")
    for _ in range(2):
        with Database(folder / "node.db", more) as db:
            (row,) = db.execute("SELECT text, at FROM notes").fetchall()
            assert (row["text"], row["at"]) == ("old", 7)
            assert db.execute("PRAGMA user_version").fetchone()[0] == 2


def test_a_migration_keeps_a_copy_of_what_was(folder: Path) -> None:
    more = (*NOTES, "DROP TABLE notes;\nCREATE TABLE notes (text TEXT, at INTEGER);\n")
    with Database(folder / "node.db", NOTES) as db:
        write(db, "old")
    assert [path.name for path in folder.iterdir()] == ["node.db"]
    with Database(folder / "node.db", more) as db:
        assert notes(db) == []
    kept = folder / "node.db.schema-1"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["node.db", "node.db.schema-1"]
    with Database(kept, NOTES) as db:  # the older program can go on from it
        assert notes(db) == ["old"]


def test_opening_an_up_to_date_file_writes_nothing(folder: Path) -> None:
    """On a full disk, what is there can still be looked at."""
    Database(folder / "node.db", NOTES).close()
    before = (folder / "node.db").stat().st_mtime_ns
    with Database(folder / "node.db", NOTES) as db:
        assert notes(db) == []
    assert (folder / "node.db").stat().st_mtime_ns == before


def test_failed_migration_leaves_the_database_as_it_was(folder: Path) -> None:
    Database(folder / "node.db", NOTES).close()
    with pytest.raises(sqlite3.OperationalError):
        Database(folder / "node.db", (*NOTES, "CREATE TABLE more (x);\nINSERT INTO nowhere VALUES (1);\n"))
    with Database(folder / "node.db", NOTES) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []


def test_half_a_statement_is_no_migration() -> None:
    with pytest.raises(LocalProtocolError):
        Database(MEMORY, ("CREATE TABLE a (x)",))


def test_newer_database_is_refused_with_both_versions(folder: Path) -> None:
    Database(folder / "node.db", (*NOTES, "CREATE TABLE more (x);\n")).close()
    with pytest.raises(NewerDatabase, match=r"schema version 2, this program knows 1"):
        Database(folder / "node.db", NOTES)


def test_deleted_rows_leave_no_copy_behind(folder: Path) -> None:
    secret = "a key that must go " * 20
    with Database(folder / "node.db", NOTES) as db:
        write(db, secret)
        db.execute("DELETE FROM notes")
        db.scrub()
        for file in folder.iterdir():
            assert b"a key that must go" not in file.read_bytes()


CHILD = """
import sys
from pathlib import Path
from comity.storage.database import Database
db = Database(Path(sys.argv[1]), (sys.argv[2],))
db.execute("INSERT INTO notes VALUES ('committed')")
with db.transaction():
    for number in range(2000):
        db.execute("INSERT INTO notes VALUES (?)", (f"{number}" + "x" * 4000,))
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_killed_in_a_transaction_keeps_what_was_committed(folder: Path) -> None:
    file = folder / "node.db"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(file), NOTES[0]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    with Database(file, NOTES) as db:
        assert notes(db) == ["committed"]
