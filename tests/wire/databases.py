"""Databases as earlier states of the program left them, as SQL: a node's, and a rendezvous's.

A node that has agreed with another one, and a rendezvous that knows both, keeps a letter, has an invitation
out and a key that has ended. What the sealing keys and the log key drew is the system's, so that no two
recordings are alike: they are made once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from comity.clock import ManualClock
from comity.control.rendezvous import InviteCreateRequest, NetworkCreateRequest
from comity.protocol.succession import open_retirement
from comity.rendezvous import acts, membership, retiring
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.stores import Letter
from comity.storage.schema import open_node_database
from tests.rendezvous.nodes import Registrant
from tests.trust.office import Office
from tests.trust.site import Site, agree
from tests.wire.keys import CALL, LAB_A, LAB_B, NEXT_A, NOW, RENDEZVOUS, SERVER, sign
from tests.wire.statements import retirement
from tests.wire.talks import NODES

TOKEN = "5a" * 32


def dump(path: Path) -> str:
    """The file as SQL, with the number of migrations that it has had."""
    with sqlite3.connect(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        lines = [*connection.iterdump(), f"PRAGMA user_version={version};"]
    connection.close()
    return "\n".join(lines) + "\n"


def load(sql: str, path: Path) -> Path:
    """The file that such SQL describes, as private as it was."""
    path.parent.chmod(0o700)
    path.touch(mode=0o600)
    with sqlite3.connect(path) as connection:
        connection.executescript(sql)
    connection.close()
    return path


def node(path: Path) -> None:
    """Lab A's: one agreement, one that was revoked, a request that waits, a peer's key that was retired."""

    async def live() -> None:
        office = Office(ManualClock(float(NOW)), SERVER)
        with open_node_database(path) as db:
            site = Site(office, "lab-a-trainer", 0x10, identity=LAB_A, db=db)
            partner = Site(office, "charité-trainer", 0x20, identity=LAB_B)
            other = Site(office, "lab-c", 0x30, identity=NEXT_A)
            await agree(site, partner)
            await agree(other, site)
            await site.revoke("lab-c")
            await site.trust.retiring.told(NEXT_A.public, sign_retirement(), site.notary.realm)
            asker = Site(office, "lab-d", 0x40)
            await asker.ask(site.card(), "may we?")
            await site.read_mail()

    asyncio.run(live())


def sign_retirement() -> str:
    """Of the key that was lab C's."""
    return sign(msgspec.structs.replace(retirement(), issuer=NEXT_A.public.hex)).decode()


def rendezvous(path: Path) -> None:
    """Two networks, three nodes, a letter, an invitation, and a key that has been retired."""
    books = SqliteBooks(path)
    with books.transaction():
        for who in NODES.values():
            membership.admit(books, who.claim(NOW), NOW)
        gone = Registrant(RENDEZVOUS, "lab-c", NEXT_A)
        membership.admit(books, gone.claim(NOW), NOW)
        said = open_retirement(NEXT_A.public, sign_retirement())
        retiring.retire(books, NEXT_A.public, said, sign_retirement(), NOW, LAB_A.public)
        acts.create_network(books, NetworkCreateRequest("lung-study"), NOW, "uid 0")
        acts.invite(books, InviteCreateRequest("lung-study", 2, 3600), TOKEN, NOW, "uid 0")
        key, sender = LAB_B.public.raw, LAB_A.public.raw
        books.letters.reserve(1, key, [sender])
        books.letters.add(
            Letter(
                network=1, recipient=key, sender=sender, message_id=bytes.fromhex(CALL), blob=b"sealed",
                posted=NOW, reserved=True,
            )
        )  # fmt: skip
    books.close()


#: By the name of their files.
DATABASES: dict[str, Callable[[Path], None]] = {"node": node, "rendezvous": rendezvous}


def record(name: str) -> str:
    """One as head makes it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.db")
        DATABASES[name](path)
        return dump(path)
