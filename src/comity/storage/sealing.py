"""This node's own sealing keys: the current one, and older ones as long as mail may still be sealed to them.

A key is used until ``limits.SEALING_KEY_RENEWAL`` before it expires, then the next sequence number begins.
Its private half is kept until ``limits.MAIL_LIFETIME`` after its expiry, the longest that a mailbox holds a
message, then deleted and overwritten: who takes the disk later cannot open what was sent before (SECURITY.md
rule 4). Sequences are never used twice, so a home restored from an old backup is noticed. It does not sign
the keys; the notary does.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity import limits
from comity.identity.sealing import SealingPrivateKey
from comity.storage.database import Database

TABLES = """
CREATE TABLE own_sealing_key (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    private BLOB NOT NULL,
    expires INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class OwnSealingKey:
    """``sequence`` counts from 1; ``expires`` in seconds UTC, as the statement about the key must say."""

    sequence: int
    expires: int
    key: SealingPrivateKey


class SealingKeyStore:
    """The keys in a node's database; ``now`` is in seconds UTC everywhere."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def current(self, now: float) -> OwnSealingKey:
        """The key to publish: the newest, or a new one where none lives long enough; deletes the dead."""
        with self._db.transaction():
            self._delete_dead(now)
            row = self._db.execute(
                "SELECT sequence, expires, private FROM own_sealing_key ORDER BY sequence DESC LIMIT 1"
            ).fetchone()
            if row is not None and row["expires"] - now > limits.SEALING_KEY_RENEWAL:
                key = SealingPrivateKey.from_bytes(row["private"])
                return OwnSealingKey(row["sequence"], row["expires"], key)
            return self._add(int(now) + limits.SEALING_KEY_LIFETIME)

    def live(self, now: float) -> list[SealingPrivateKey]:
        """Every private key that mail may still be sealed to, newest first."""
        rows = self._db.execute(
            "SELECT private FROM own_sealing_key WHERE expires > ? ORDER BY sequence DESC",
            (_dead_before(now),),
        )
        return [SealingPrivateKey.from_bytes(private) for (private,) in rows]

    def end_those_of_the_future(self, now: float) -> int:
        """Publish no key any more that outlives one of today; its mail can still be opened. How many."""
        most = int(now) + limits.SEALING_KEY_LIFETIME
        sql = "UPDATE own_sealing_key SET expires = ? WHERE expires > ?"
        return self._db.execute(sql, (int(now), most)).rowcount

    def _add(self, expires: int) -> OwnSealingKey:
        key = SealingPrivateKey.generate()
        self._db.execute(
            "INSERT INTO own_sealing_key (private, expires) VALUES (?, ?)", (key.to_bytes(), expires)
        )
        (sequence,) = self._db.execute("SELECT last_insert_rowid()").fetchone()
        return OwnSealingKey(sequence, expires, key)

    def _delete_dead(self, now: float) -> None:
        deleted = self._db.execute("DELETE FROM own_sealing_key WHERE expires <= ?", (_dead_before(now),))
        if deleted.rowcount:
            self._db.scrub()


def _dead_before(now: float) -> float:
    return now - limits.MAIL_LIFETIME
