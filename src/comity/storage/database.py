"""One SQLite file, opened so that what was committed stays: transactions, migrations, hooks.

It holds no table of its own; each store brings its SQL, and ``storage.schema`` lists it. What it promises:

- Durable: ``synchronous=FULL``; a write-ahead log on local filesystems, a rollback journal elsewhere.
- All or nothing: ``with db.transaction()`` begins IMMEDIATE; one inside another is part of it, and an
  exception undoes what happened since its own ``with``. No transaction may span an ``await``: another task
  would join it.
- Kept: before a migration, a copy of the file is put beside it, as ``NAME.schema-N``.
- Private: mode 0600 in a 0700 folder, deleted rows overwritten (``secure_delete``).
- One thread: the one that opened it.

SQL must run on SQLite 3.34 (RHEL 9): no STRICT, no RETURNING. Callers read rows as ``sqlite3.Row``, which
unpacks like a tuple and also answers to column names.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from comity import limits
from comity.errors import LocalProtocolError, NewerDatabase, StorageUnusable
from comity.storage.failures import DatabaseReported
from comity.storage.filesystem import is_local
from comity.storage.private import check_private_folder, move_private, touch_private

MEMORY = ":memory:"

Parameters = Sequence[Any] | Mapping[str, Any]
Hook = Callable[[], None]

_SETTINGS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",  # macOS: fsync alone leaves data in the drive's cache
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
)


class Cursor(sqlite3.Cursor):
    """sqlite3's cursor, raising our errors for what happens outside our code while rows are read."""

    def __init__(self, connection: sqlite3.Connection, reported: DatabaseReported) -> None:
        super().__init__(connection)
        self._reported = reported

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        with self._reported:
            super().execute(sql, parameters)
        return self

    def fetchone(self) -> Any:
        with self._reported:
            return super().fetchone()

    def fetchall(self) -> list[Any]:
        with self._reported:
            return super().fetchall()

    def __next__(self) -> Any:
        with self._reported:
            return super().__next__()


class Database:
    """An open database. ``migrations``: SQL scripts; the file's ``user_version`` counts those it has had.

    Raises NewerDatabase where the file has had more, HomeUnsafe where others could read it, StorageUnusable
    where it is damaged or locked, DiskFull. Every method raises the last two.
    """

    def __init__(self, path: Path | str, migrations: Sequence[str]) -> None:
        self.path = str(path)
        self._reported = DatabaseReported(self.path)
        self._level = 0
        self._task: object = None
        self._after_commit: list[Hook] = []
        self._after_rollback: list[Hook] = []
        if self.path != MEMORY:
            check_private_folder(Path(self.path).absolute().parent)
            touch_private(Path(self.path))
        with self._reported:
            self._connection = sqlite3.connect(
                self.path, isolation_level=None, timeout=limits.DATABASE_LOCK_TIMEOUT
            )
        try:
            self._configure()
            self._migrate(migrations)
        except BaseException:
            self._connection.close()
            raise

    def execute(self, sql: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement; outside a transaction it is committed by itself."""
        self._check()
        cursor: Cursor = self._connection.cursor(lambda connection: Cursor(connection, self._reported))
        return cursor.execute(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything in the ``with`` block is committed at the end of the outermost one, or undone."""
        self._check()
        level, commits, rollbacks = self._level, len(self._after_commit), len(self._after_rollback)
        self._run(f"SAVEPOINT level_{level}" if level else "BEGIN IMMEDIATE")
        self._level, self._task = level + 1, _current_task()
        try:
            yield
            self._check()
            self._run(f"RELEASE level_{level}" if level else "COMMIT")
        except BaseException:
            self._undo(level, commits, rollbacks)
            raise
        self._level = level
        if not level:
            hooks, self._after_commit, self._after_rollback = self._after_commit, [], []
            _run_all(hooks)

    @property
    def in_transaction(self) -> bool:
        return self._level > 0

    def after_commit(self, callback: Hook) -> None:
        """Call once what was written so far is durable, never if it is undone; outside a transaction, now."""
        if self._level:
            self._after_commit.append(callback)
        else:
            callback()

    def after_rollback(self, callback: Hook) -> None:
        """Call if what was written so far is undone, after that; for what must be on record either way.

        Where only an inner ``with`` is undone, the callback runs inside the outer transaction and has to
        register again.
        """
        if self._level:
            self._after_rollback.append(callback)

    def scrub(self) -> None:
        """Overwrite deleted rows' older copies in the write-ahead log too, once no transaction is open."""
        self.after_commit(lambda: self._run("PRAGMA wal_checkpoint(TRUNCATE)"))

    def close(self) -> None:
        with self._reported:
            self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _configure(self) -> None:
        self._connection.row_factory = sqlite3.Row
        for setting in _SETTINGS:
            self._run(setting)
        if self.path != MEMORY:
            self._run("PRAGMA journal_mode=" + ("WAL" if is_local(Path(self.path)) else "DELETE"))

    def _migrate(self, migrations: Sequence[str]) -> None:
        version = self._version()
        if version > len(migrations):
            raise NewerDatabase(
                f"{self.path} has schema version {version}, this program knows {len(migrations)} at most"
            )
        if version == len(migrations):
            return  # without a write, so that a full disk can still be looked at
        if version and self.path != MEMORY:
            self._keep_copy(version)
        with self.transaction():
            for script in migrations[self._version() :]:
                for statement in _statements(script):
                    self._run(statement)
            self._run(f"PRAGMA user_version={len(migrations)}")

    def _keep_copy(self, version: int) -> None:
        """Before a newer program changes the tables: a copy for the older one, beside the database."""
        path = Path(f"{self.path}.schema-{version}")
        draft = path.with_name(f".{path.name}")
        draft.unlink(missing_ok=True)
        touch_private(draft)
        with self._reported:
            copy = sqlite3.connect(draft)
            try:
                copy.execute("PRAGMA synchronous=FULL").close()
                self._connection.backup(copy)
            finally:
                copy.close()
        move_private(draft, path)

    def _version(self) -> int:
        (version,) = self.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _undo(self, level: int, commits: int, rollbacks: int) -> None:
        self._level = level
        alive = self._connection.in_transaction  # SQLite itself undoes everything when a disk fails
        if alive:
            self._run(f"ROLLBACK TO level_{level}" if level else "ROLLBACK")
            if level:
                self._run(f"RELEASE level_{level}")
        del self._after_commit[commits:]
        if alive or not level:
            hooks = self._after_rollback[rollbacks:]
            del self._after_rollback[rollbacks:]
            _run_all(hooks)

    def _check(self) -> None:
        if not self._level:
            return
        if self._task is not _current_task():
            raise LocalProtocolError("a database transaction of one task was still open when another came")
        if not self._connection.in_transaction:
            raise StorageUnusable(f"{self.path}: the disk failed, and the transaction was undone")

    def _run(self, sql: str) -> None:
        with self._reported:
            self._connection.execute(sql).close()


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, each ending at a line's end. (executescript would commit between them.)"""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise LocalProtocolError("a migration ends in the middle of a statement")


def _run_all(hooks: Sequence[Hook]) -> None:
    """All of them in order, even when one raises."""
    with ExitStack() as stack:
        for hook in reversed(hooks):
            stack.callback(hook)


def _current_task() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop in this thread
        return None
