"""Countersigned heads: those of this node's log by partners, and those of partners' logs by this node.

Of a partner's log only the last head that was signed is kept, as C2SP tlog-witness has it, and every head
that contradicts it. Of the own log each head that a partner was asked about is kept: ``line`` is empty until
the answer is here. Rows join the caller's transaction; it decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comity import limits
from comity.identity.keys import PublicKey
from comity.storage.audit import Executes

TABLES = """
CREATE TABLE audit_cosignature (
    size INTEGER NOT NULL, witness TEXT NOT NULL, root BLOB NOT NULL,
    at INTEGER NOT NULL DEFAULT 0, line BLOB NOT NULL DEFAULT x'', certificate BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (size, witness)
) WITHOUT ROWID;
CREATE TABLE witnessed_log (
    owner TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, at INTEGER NOT NULL,
    note BLOB NOT NULL, certificate BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE witness_conflict (
    owner TEXT NOT NULL, shown BLOB NOT NULL, signed BLOB NOT NULL, kind TEXT NOT NULL, why TEXT NOT NULL,
    at INTEGER NOT NULL, certificate BLOB NOT NULL,
    PRIMARY KEY (owner, shown)
);
"""


@dataclass(frozen=True)
class Cosigned:
    """One head of the own log. ``line`` and ``certificate`` are empty while no answer is here; ``at`` is the
    witness's time in seconds UTC.
    """

    size: int
    witness: PublicKey
    root: bytes
    at: int
    line: bytes
    certificate: bytes


@dataclass(frozen=True)
class WitnessedLog:
    """The last head of a partner's log that this node signed, at ``at`` seconds UTC. ``note`` is as the
    partner signed it; ``certificate`` its log key's.
    """

    owner: PublicKey
    size: int
    root: bytes
    at: int
    note: bytes
    certificate: bytes


@dataclass(frozen=True)
class KeptConflict:
    """Two notes of a partner's log that contradict each other."""

    owner: PublicKey
    shown: bytes
    signed: bytes
    kind: str
    why: str
    at: int
    certificate: bytes


class WitnessStore:
    """Both sides of countersigning."""

    def __init__(self, db: Executes) -> None:
        self._db = db

    # ── the own log ───────────────────────────────────────────────────────────────────────────────────

    def asked(self, witness: PublicKey, size: int, root: bytes) -> None:
        """A partner is about to be asked about this head."""
        self._db.execute(
            "INSERT OR IGNORE INTO audit_cosignature (size, witness, root) VALUES (?, ?, ?)",
            (size, witness.hex, root),
        )

    def cosigned(self, witness: PublicKey, size: int, at: int, line: bytes, certificate: bytes) -> None:
        """It countersigned a head that it was asked about."""
        self._db.execute(
            "UPDATE audit_cosignature SET at = ?, line = ?, certificate = ? WHERE size = ? AND witness = ?",
            (at, line, certificate, size, witness.hex),
        )

    def last_cosigned(self, witness: PublicKey) -> int:
        """The greatest size that it has countersigned, 0 for none."""
        row = self._db.execute(
            "SELECT COALESCE(MAX(size), 0) FROM audit_cosignature WHERE witness = ? AND line != x''",
            (witness.hex,),
        ).fetchone()
        return int(row[0])

    def latest(self) -> list[Cosigned]:
        """Of each witness the greatest head that it has countersigned."""
        return self._cosigned(
            "WHERE line != x'' AND size = (SELECT MAX(size) FROM audit_cosignature AS other "
            "WHERE other.witness = audit_cosignature.witness AND other.line != x'')"
        )

    def heads(self) -> list[Cosigned]:
        """The newest heads that anybody was asked about, ``limits.EXPORT_COSIGNATURES`` at most."""
        return self._cosigned(f"ORDER BY size DESC LIMIT {limits.EXPORT_COSIGNATURES}")

    def _cosigned(self, condition: str) -> list[Cosigned]:
        rows = self._db.execute(
            f"SELECT size, witness, root, at, line, certificate FROM audit_cosignature {condition}"  # noqa: S608  constants above
        ).fetchall()
        return [
            Cosigned(int(size), PublicKey.from_hex(witness), bytes(root), int(at), bytes(line), bytes(cert))
            for size, witness, root, at, line, cert in rows
        ]

    # ── partners' logs ────────────────────────────────────────────────────────────────────────────────

    def last_signed(self, owner: PublicKey) -> WitnessedLog | None:
        """What this node signed last of a partner's log."""
        found = self._witnessed("WHERE owner = ?", owner.hex)
        return found[0] if found else None

    def all_signed(self) -> list[WitnessedLog]:
        """What this node signed last of each partner's log."""
        return self._witnessed("ORDER BY owner")

    def sign(self, log: WitnessedLog) -> None:
        """This head is the last one from now on; called before it is signed."""
        self._db.execute(
            "INSERT OR REPLACE INTO witnessed_log (owner, size, root, at, note, certificate) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (log.owner.hex, log.size, log.root, log.at, log.note, log.certificate),
        )

    def _witnessed(self, condition: str, *values: Any) -> list[WitnessedLog]:
        rows = self._db.execute(
            f"SELECT owner, size, root, at, note, certificate FROM witnessed_log {condition}",  # noqa: S608  constants above
            values,
        ).fetchall()
        return [
            WitnessedLog(PublicKey.from_hex(owner), int(size), bytes(root), int(at), bytes(note), bytes(cert))
            for owner, size, root, at, note, cert in rows
        ]

    # ── contradictions ────────────────────────────────────────────────────────────────────────────────

    def keep(self, conflict: KeptConflict) -> bool:
        """Keep it; whether it is new. Of one partner ``limits.WITNESS_CONFLICTS`` are kept."""
        (count,) = self._db.execute(
            "SELECT COUNT(*) FROM witness_conflict WHERE owner = ?", (conflict.owner.hex,)
        ).fetchone()
        if count >= limits.WITNESS_CONFLICTS:
            return False
        added = self._db.execute(
            "INSERT OR IGNORE INTO witness_conflict (owner, shown, signed, kind, why, at, certificate) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                conflict.owner.hex,
                conflict.shown,
                conflict.signed,
                conflict.kind,
                conflict.why,
                conflict.at,
                conflict.certificate,
            ),
        )
        return added.rowcount > 0

    def conflicts(self) -> list[KeptConflict]:
        """All of them, oldest first."""
        rows = self._db.execute(
            "SELECT owner, shown, signed, kind, why, at, certificate FROM witness_conflict ORDER BY at"
        ).fetchall()
        return [
            KeptConflict(
                PublicKey.from_hex(owner), bytes(shown), bytes(signed), kind, why, int(at), bytes(cert)
            )
            for owner, shown, signed, kind, why, at, cert in rows
        ]
