"""What was done under charters: counters of each limit, and the transfers that they count.

A counter belongs to a line of versions, a clause, a giver, a taker and a period: an amendment does not set it
back. A reservation is under the line, the peer and the transfer, so that taking a transfer up again costs
nothing more (SECURITY.md rule 18). Writes join the caller's transaction: whoever reads a counter, decides and
reserves in one is alone at it, also against another process. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from comity.storage.database import Database

TABLES = """
CREATE TABLE charter_use (
    lineage TEXT NOT NULL, clause TEXT NOT NULL, giver TEXT NOT NULL, taker TEXT NOT NULL,
    period TEXT NOT NULL, used INTEGER NOT NULL,
    PRIMARY KEY (lineage, giver, taker, clause, period)
);
CREATE TABLE charter_transfer (
    id INTEGER PRIMARY KEY,
    lineage TEXT NOT NULL, charter TEXT NOT NULL, peer TEXT NOT NULL, transfer TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    digest TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'consumed')),
    UNIQUE (lineage, peer, direction, transfer)
);
CREATE TABLE charter_charge (
    id INTEGER NOT NULL REFERENCES charter_transfer (id) ON DELETE CASCADE,
    clause TEXT NOT NULL, giver TEXT NOT NULL, taker TEXT NOT NULL, period TEXT NOT NULL,
    amount INTEGER NOT NULL, PRIMARY KEY (id, clause)
);
CREATE TABLE charter_volume (
    peer TEXT NOT NULL, day INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (peer, day)
);
CREATE TABLE charter_denied (peer TEXT PRIMARY KEY, in_a_row INTEGER NOT NULL);
CREATE TABLE charter_disposed (
    lineage TEXT NOT NULL, holder TEXT NOT NULL, giver TEXT NOT NULL, digest TEXT NOT NULL,
    disposition TEXT NOT NULL, statement TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (lineage, holder, giver, digest)
);
"""

Direction = Literal["in", "out"]


@dataclass(frozen=True)
class Charge:
    """``amount`` of one limit; ``period`` names the running one."""

    clause: str
    giver: str
    taker: str
    period: str
    amount: int


@dataclass(frozen=True)
class ChartedTransfer:
    """An artifact that passed, or is passing, under a charter. ``peer`` is a fingerprint."""

    lineage: str
    charter: str
    peer: str
    transfer: str
    direction: Direction
    digest: str
    name: str
    bytes: int
    at: int
    state: Literal["reserved", "consumed"] = "reserved"


@dataclass(frozen=True)
class Disposal:
    """What ``holder`` says became of what ``giver`` gave it; ``statement`` is the attestation's digest."""

    lineage: str
    holder: str
    giver: str
    digest: str
    disposition: str
    statement: str
    at: int


class UsageStore:
    """The counters of one node."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # ── counters ──────────────────────────────────────────────────────────────────────────────────────

    def used(self, lineage: str, giver: str, taker: str, periods: Mapping[str, str]) -> dict[str, int]:
        """What was counted under each clause in the period that it is given with; 0 where nothing was."""
        rows = self._db.execute(
            "SELECT clause, period, used FROM charter_use WHERE lineage = ? AND giver = ? AND taker = ?",
            (lineage, giver, taker),
        ).fetchall()
        found = {(clause, period): used for clause, period, used in rows}
        return {clause: found.get((clause, period), 0) for clause, period in periods.items()}

    def add(self, lineage: str, charges: Sequence[Charge]) -> None:
        """Count what happened; negative amounts take it back."""
        for charge in charges:
            self._db.execute(
                "INSERT INTO charter_use (lineage, clause, giver, taker, period, used)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lineage, giver, taker, clause, period)"
                " DO UPDATE SET used = used + excluded.used",
                (lineage, charge.clause, charge.giver, charge.taker, charge.period, charge.amount),
            )

    def forget_periods(self, lineage: str, giver: str, taker: str, running: Mapping[str, str]) -> None:
        """Drop counters of periods that are over: clauses that are named here, with their running period."""
        for clause, period in running.items():
            self._db.execute(
                "DELETE FROM charter_use WHERE lineage = ? AND giver = ? AND taker = ? AND clause = ?"
                " AND period < ?",
                (lineage, giver, taker, clause, period),
            )

    # ── transfers ─────────────────────────────────────────────────────────────────────────────────────

    def reserved(
        self, lineage: str, peer: str, direction: Direction, transfer: str
    ) -> ChartedTransfer | None:
        """The transfer that was reserved or consumed under this id."""
        row = self._db.execute(
            "SELECT lineage, charter, peer, transfer, direction, digest, name, bytes, at, state"
            " FROM charter_transfer WHERE lineage = ? AND peer = ? AND direction = ? AND transfer = ?",
            (lineage, peer, direction, transfer),
        ).fetchone()
        return None if row is None else ChartedTransfer(*row)

    def charged(self, lineage: str, peer: str, direction: Direction, transfer: str) -> dict[str, int]:
        """What was counted for this transfer, by clause."""
        rows = self._db.execute(
            "SELECT clause, amount FROM charter_charge JOIN charter_transfer USING (id)"
            " WHERE lineage = ? AND peer = ? AND direction = ? AND transfer = ?",
            (lineage, peer, direction, transfer),
        )
        return dict(tuple(row) for row in rows.fetchall())

    def reserve(self, new: ChartedTransfer, charges: Sequence[Charge]) -> None:
        """Count a transfer before its first byte; its id must be new under this line."""
        cursor = self._db.execute(
            "INSERT INTO charter_transfer (lineage, charter, peer, transfer, direction, digest, name, bytes,"
            " at, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new.lineage, new.charter, new.peer, new.transfer, new.direction),
                *(new.digest, new.name, new.bytes, new.at, new.state),
            ),
        )
        self.add(new.lineage, charges)
        for charge in charges:
            self._db.execute(
                "INSERT INTO charter_charge (id, clause, giver, taker, period, amount)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(cursor.lastrowid, charge.clause, charge.giver),
                    *(charge.taker, charge.period, charge.amount),
                ),
            )

    def consume(self, peer: str, direction: Direction, transfer: str) -> None:
        """All of it was sent: it counts for good."""
        self._db.execute(
            "UPDATE charter_transfer SET state = 'consumed'"
            " WHERE peer = ? AND direction = ? AND transfer = ?",
            (peer, direction, transfer),
        )

    def release(self, peer: str, direction: Direction, transfer: str) -> None:
        """Nothing of it passed: what was reserved is free again. Nothing where it was consumed."""
        rows = self._db.execute(
            "SELECT id, lineage FROM charter_transfer WHERE peer = ? AND direction = ? AND transfer = ?"
            " AND state = 'reserved'",
            (peer, direction, transfer),
        ).fetchall()
        for number, lineage in rows:
            charges = self._db.execute(
                "SELECT clause, giver, taker, period, -amount FROM charter_charge WHERE id = ?", (number,)
            ).fetchall()
            self.add(lineage, [Charge(*charge) for charge in charges])
            self._db.execute("DELETE FROM charter_transfer WHERE id = ?", (number,))

    def transfers(self, lineage: str, peer: str | None = None) -> list[ChartedTransfer]:
        """What passed, or began to, under a line; the oldest first."""
        rows = self._db.execute(
            "SELECT lineage, charter, peer, transfer, direction, digest, name, bytes, at, state"
            " FROM charter_transfer WHERE lineage = ? AND (? IS NULL OR peer = ?) ORDER BY id",
            (lineage, peer, peer),
        )
        return [ChartedTransfer(*row) for row in rows.fetchall()]

    # ── denials in a row (an anomaly's measure) ───────────────────────────────────────────────────────

    def denied(self, peer: str) -> int:
        """How many attempts of a peer in a row were denied."""
        row = self._db.execute("SELECT in_a_row FROM charter_denied WHERE peer = ?", (peer,)).fetchone()
        return int(row[0]) if row else 0

    def deny(self, peer: str) -> None:
        """One more was denied. It counts although the caller's transaction is undone because of it."""
        with self._db.transaction():
            self._db.execute(
                "INSERT INTO charter_denied (peer, in_a_row) VALUES (?, 1)"
                " ON CONFLICT (peer) DO UPDATE SET in_a_row = in_a_row + 1",
                (peer,),
            )
            self._db.after_rollback(lambda: self.deny(peer))

    def begin_row_anew(self, peer: str) -> None:
        """Forget the denials of a peer, also where the caller's transaction is undone."""
        with self._db.transaction():
            self._db.execute("DELETE FROM charter_denied WHERE peer = ?", (peer,))
            self._db.after_rollback(lambda: self.begin_row_anew(peer))

    # ── volume (an anomaly's measure) ─────────────────────────────────────────────────────────────────

    def add_volume(self, peer: str, day: int, size: int, *, keep: int) -> None:
        """Count bytes with a peer on a day (days since 1970); what is ``keep`` days older is forgotten."""
        self._db.execute("DELETE FROM charter_volume WHERE peer = ? AND day < ?", (peer, day - keep))
        self._db.execute(
            "INSERT INTO charter_volume (peer, day, bytes) VALUES (?, ?, ?)"
            " ON CONFLICT (peer, day) DO UPDATE SET bytes = bytes + excluded.bytes",
            (peer, day, size),
        )

    def volume(self, peer: str, first: int, last: int) -> int:
        """The sum of the days from ``first`` to ``last``."""
        row = self._db.execute(
            "SELECT COALESCE(SUM(bytes), 0) FROM charter_volume WHERE peer = ? AND day BETWEEN ? AND ?",
            (peer, first, last),
        ).fetchone()
        return int(row[0])

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────

    def dispose(self, disposal: Disposal) -> None:
        """Keep what a holder said last about an artifact."""
        self._db.execute(
            "INSERT OR REPLACE INTO charter_disposed (lineage, holder, giver, digest, disposition, statement,"
            " at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(disposal.lineage, disposal.holder, disposal.giver, disposal.digest),
                *(disposal.disposition, disposal.statement, disposal.at),
            ),
        )

    def disposals(self, lineage: str) -> list[Disposal]:
        rows = self._db.execute(
            "SELECT lineage, holder, giver, digest, disposition, statement, at FROM charter_disposed"
            " WHERE lineage = ? ORDER BY at, rowid",
            (lineage,),
        )
        return [Disposal(*row) for row in rows.fetchall()]
