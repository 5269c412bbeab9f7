"""Networks, invitations and the admin log in the server's SQLite file. The contract is in ``tenancy``."""

from __future__ import annotations

import dataclasses
import sqlite3

from comity.errors import LocalProtocolError
from comity.rendezvous.tenancy import Act, EndedKey, Invitation, Network, Removal
from comity.storage.database import Database

_NETWORK = "network, name, open, max_nodes, max_mail, created"
_INVITATION = "id, network, digest, uses, used, created, expires, revoked, note"
_FIRST_NUMBER = 16  # limits.NODE_FIRST, as in the first schema


class SqliteTenancy:
    def __init__(self, database: Database) -> None:
        self._db = database

    def networks(self) -> list[Network]:
        rows = self._db.execute(f"SELECT {_NETWORK} FROM networks ORDER BY network")  # noqa: S608  constants of this module
        return [_network(row) for row in rows]

    def network(self, number: int) -> Network | None:
        sql = f"SELECT {_NETWORK} FROM networks WHERE network = ?"  # noqa: S608  constants of this module
        row = self._db.execute(sql, (number,)).fetchone()
        return None if row is None else _network(row)

    def put_network(self, network: Network) -> None:
        values = (network.name, network.open, network.max_nodes, network.max_mail, network.created)
        try:
            self._db.execute(
                "INSERT INTO networks (network, next_number, name, open, max_nodes, max_mail, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (network) DO UPDATE SET name = excluded.name, "
                "open = excluded.open, max_nodes = excluded.max_nodes, max_mail = excluded.max_mail, "
                "created = excluded.created",
                (network.number, _FIRST_NUMBER, *values),
            )
        except sqlite3.IntegrityError as error:
            raise LocalProtocolError(f"the books hold this already: {error}") from error

    def add_invitation(self, invitation: Invitation) -> Invitation:
        cursor = self._db.execute(
            "INSERT INTO invitations (network, digest, uses, used, created, expires, revoked, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            dataclasses.astuple(invitation)[1:],
        )
        return dataclasses.replace(invitation, id=int(cursor.lastrowid or 0))

    def invitation(self, number: int) -> Invitation | None:
        return self._one("id = ?", number)

    def invitation_of(self, digest: bytes) -> Invitation | None:
        return self._one("digest = ?", digest)

    def invitations(self, network: int) -> list[Invitation]:
        sql = f"SELECT {_INVITATION} FROM invitations WHERE network = ? ORDER BY id"  # noqa: S608  constants of this module
        return [Invitation(*row) for row in self._db.execute(sql, (network,))]

    def put_invitation(self, invitation: Invitation) -> None:
        self._db.execute(
            "UPDATE invitations SET used = ?, revoked = ? WHERE id = ?",
            (invitation.used, invitation.revoked, invitation.id),
        )

    def last_invitation(self) -> int:
        return int(self._db.execute("SELECT COALESCE(MAX(id), 0) FROM invitations").fetchone()[0])

    def remove(self, network: int, key: bytes, removal: Removal) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO removals VALUES (?, ?, ?, ?)",
            (network, key, removal.number, removal.before),
        )

    def removal(self, network: int, key: bytes) -> Removal | None:
        sql = "SELECT number, before FROM removals WHERE network = ? AND key = ?"
        row = self._db.execute(sql, (network, key)).fetchone()
        return None if row is None else Removal(*row)

    def readmit(self, network: int, key: bytes) -> None:
        self._db.execute("DELETE FROM removals WHERE network = ? AND key = ?", (network, key))

    def release(self, network: int, hostname: str, key: bytes) -> None:
        self._db.execute("INSERT OR IGNORE INTO released_names VALUES (?, ?, ?)", (network, hostname, key))

    def released(self, network: int, hostname: str, key: bytes) -> bool:
        sql = "SELECT 1 FROM released_names WHERE network = ? AND hostname = ? AND key = ?"
        return self._db.execute(sql, (network, hostname, key)).fetchone() is not None

    def end_key(self, ended: EndedKey) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO ended_keys VALUES (?, ?, ?, ?, ?)", dataclasses.astuple(ended)
        )

    def ended_key(self, key: bytes) -> EndedKey | None:
        row = self._db.execute(
            "SELECT key, at, how, reason, proof FROM ended_keys WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else EndedKey(*row)

    def end_member(self, key: bytes, network: int) -> None:
        self._db.execute("INSERT OR IGNORE INTO ended_members VALUES (?, ?)", (key, network))

    def ended_in(self, key: bytes) -> set[int]:
        rows = self._db.execute("SELECT network FROM ended_members WHERE key = ?", (key,))
        return {int(network) for (network,) in rows}

    def note(self, act: Act) -> None:
        self._db.execute(
            "INSERT INTO acts (at, who, act, network, detail) VALUES (?, ?, ?, ?, ?)",
            dataclasses.astuple(act),
        )

    def acts(self, limit: int) -> list[Act]:
        sql = "SELECT at, who, act, network, detail FROM acts ORDER BY id DESC LIMIT ?"
        return [Act(*row) for row in self._db.execute(sql, (limit,))][::-1]

    def _one(self, where: str, value: bytes | int) -> Invitation | None:
        sql = f"SELECT {_INVITATION} FROM invitations WHERE {where}"  # noqa: S608  constants of this module
        row = self._db.execute(sql, (value,)).fetchone()
        return None if row is None else Invitation(*row)


def _network(row: sqlite3.Row) -> Network:
    number, name, is_open, max_nodes, max_mail, created = row
    return Network(number, name, bool(is_open), max_nodes, max_mail, created)
