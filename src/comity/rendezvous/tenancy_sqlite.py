"""Networks, invitations and the admin log in the server's SQLite file. The contract is in ``tenancy``."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterable

from comity.audit import merkle
from comity.errors import AuditInvalid, LocalProtocolError
from comity.rendezvous.actlog import built, leaf
from comity.rendezvous.quotas import LARGEST
from comity.rendezvous.tenancy import Act, EndedKey, Invitation, LogHead, Network, Relayed, Removal
from comity.storage.database import Database

_NETWORK = "network, name, open, max_nodes, max_mail, created, quotas"
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
        quotas = json.dumps(network.quotas.set(), sort_keys=True)
        values = (network.name, network.open, network.max_nodes, network.max_mail, network.created, quotas)
        try:
            self._db.execute(
                f"INSERT INTO networks (next_number, {_NETWORK}) "  # noqa: S608  constants of this module
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (network) DO UPDATE SET name = excluded.name, "
                "open = excluded.open, max_nodes = excluded.max_nodes, max_mail = excluded.max_mail, "
                "created = excluded.created, quotas = excluded.quotas",
                (_FIRST_NUMBER, network.number, *values),
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

    def note(self, act: Act) -> LogHead:
        self._db.execute(
            "INSERT INTO acts (at, who, act, network, detail) VALUES (?, ?, ?, ?, ?)",
            dataclasses.astuple(act),
        )
        return self._grow()

    def head(self) -> LogHead:
        (size,) = self._db.execute("SELECT COUNT(*) FROM act_tree WHERE level = 0").fetchone()
        return LogHead(size, merkle.root(size, self._tree))

    def rebuilt(self, size: int | None = None) -> LogHead:
        sql = "SELECT at, who, act, network, detail FROM acts ORDER BY id LIMIT ?"
        return built(Act(*row) for row in self._db.execute(sql, (-1 if size is None else size,)))

    def _grow(self) -> LogHead:
        """Bring the tree up to date with the acts: with one more, or with all of an older server's."""
        (size,) = self._db.execute("SELECT COUNT(*) FROM act_tree WHERE level = 0").fetchone()
        sql = "SELECT at, who, act, network, detail FROM acts ORDER BY id LIMIT -1 OFFSET ?"
        for row in self._db.execute(sql, (size,)).fetchall():
            nodes = merkle.nodes_for_append(size, leaf(Act(*row)), self._tree)
            for node in nodes:
                self._db.execute("INSERT INTO act_tree VALUES (?, ?, ?)", node)
            size += 1
        return LogHead(size, merkle.root(size, self._tree))

    def _tree(self, level: int, place: int) -> bytes:
        sql = "SELECT hash FROM act_tree WHERE level = ? AND place = ?"
        row = self._db.execute(sql, (level, place)).fetchone()
        if row is None:
            raise AuditInvalid("the admin log's tree has a hole")
        return bytes(row[0])

    def relayed(self, day: int) -> list[Relayed]:
        sql = "SELECT network, key, day, bytes FROM relayed WHERE day = ?"
        return [Relayed(*row) for row in self._db.execute(sql, (day,))]

    def note_relayed(self, rows: Iterable[Relayed]) -> None:
        for row in rows:
            self._db.execute("DELETE FROM relayed WHERE day < ?", (row.day,))
            self._db.execute("INSERT OR REPLACE INTO relayed VALUES (?, ?, ?, ?)", dataclasses.astuple(row))

    def mark(self, name: str) -> int:
        row = self._db.execute("SELECT at FROM marks WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def set_mark(self, name: str, at: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, at))

    def acts(self, limit: int) -> list[Act]:
        sql = "SELECT at, who, act, network, detail FROM acts ORDER BY id DESC LIMIT ?"
        return [Act(*row) for row in self._db.execute(sql, (limit,))][::-1]

    def _one(self, where: str, value: bytes | int) -> Invitation | None:
        sql = f"SELECT {_INVITATION} FROM invitations WHERE {where}"  # noqa: S608  constants of this module
        row = self._db.execute(sql, (value,)).fetchone()
        return None if row is None else Invitation(*row)


def _network(row: sqlite3.Row) -> Network:
    number, name, is_open, max_nodes, max_mail, created, quotas = row
    return Network(
        number, name, bool(is_open), max_nodes, max_mail, created, LARGEST.changed(json.loads(quotas))
    )
