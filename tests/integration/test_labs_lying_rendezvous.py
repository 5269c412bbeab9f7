"""A rendezvous whose operator is the enemy: real programs throughout, and somebody who edits its database
while it runs, or cuts what its relay carries.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from tests.labs import Lab, eventually
from tests.region import MIB, Region, agree, awaits, meet, region, under_way

WHY = "IRB #2026-0142"


class Operator:
    """Whoever can write to the rendezvous's database."""

    def __init__(self, here: Region) -> None:
        self._path = here.rendezvous.state / "rendezvous.db"

    def execute(self, *statements: tuple[str, tuple[Any, ...]]) -> list[Any]:
        """Run these in one transaction; the rows of the last one."""
        rows: list[Any] = []
        with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
            for statement, values in statements:
                rows = db.execute(statement, values).fetchall()
        return rows

    def swap_names(self, one: Lab, two: Lab) -> None:
        """Give each of two nodes the other's hostname."""
        rename = "UPDATE nodes SET hostname = ? WHERE hostname = ?"
        self.execute(
            (rename, ("between", one.hostname)),
            (rename, (one.hostname, two.hostname)),
            (rename, (two.hostname, "between")),
        )

    def swap_addresses(self, one: Lab, two: Lab) -> None:
        """Give each of two nodes the other's address. ``one`` and ``two`` bear their own names."""
        number = "SELECT number FROM nodes WHERE hostname = ?"
        ((first,),) = self.execute((number, (one.hostname,)))
        ((second,),) = self.execute((number, (two.hostname,)))
        renumber = "UPDATE nodes SET number = ? WHERE hostname = ?"
        self.execute(
            (renumber, (-1, one.hostname)),
            (renumber, (first, two.hostname)),
            (renumber, (second, one.hostname)),
        )

    def letters(self, to: Lab | None = None) -> list[Any]:
        """All that wait, or what waits for one lab: between others a letter may be on its way."""
        found = self.execute(
            ("SELECT network, recipient, sender, message_id, posted, reserved, blob FROM letters", ())
        )
        return [letter for letter in found if to is None or letter[1] == key_of(to)]

    def post(self, letter: Any) -> None:
        self.execute(
            (
                "INSERT INTO letters (network, recipient, sender, message_id, posted, reserved, blob)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                letter,
            )
        )


def key_of(lab: Lab) -> bytes:
    return bytes.fromhex(FileKeyStore(Home(lab.home).identity_key).load().public.hex)


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    """Lab a has agreements with labs b and c."""
    with region(proxied=True) as made:
        a, _ = made.pair()
        agree(a, made.lab("lab-c-trainer"))
        yield made


def test_a_substituted_key(here: Region) -> None:
    """Lab d has told lab a its card. The operator gives lab d's name to mallory."""
    a = here.labs[0]
    d, mallory = here.lab("lab-d-trainer"), here.lab("mallory-trainer")
    operator = Operator(here)
    for lab in (d, mallory):
        lab.down()  # what is posted to them stays where it can be counted
    operator.swap_names(d, mallory)

    refusal = a.refused("handshake", d.card, WHY)
    assert refusal.told == ("identity_mismatch", 34)
    assert d.fingerprint in refusal.message
    assert mallory.fingerprint in refusal.message
    assert "by phone" in refusal.hint
    assert operator.letters(d) + operator.letters(mallory) == []
    assert a.agreements().outgoing == ()
    requested = a.ask("audit", "log", "--kind", "handshake.requested")["entries"]
    assert [entry["detail"]["hostname"] for entry in requested] == ["lab-b-trainer", "lab-c-trainer"]

    pinned = a.refused("handshake", "lab-d-trainer", WHY, "--fingerprint", d.fingerprint)
    assert pinned.told == ("identity_mismatch", 34)
    assert operator.letters(d) + operator.letters(mallory) == []

    said = a.read("handshake", "lab-d-trainer", WHY)
    assert said[1] == "Identity: unconfirmed. The rendezvous says that lab-d-trainer has this fingerprint:"
    assert said[2].replace(" ", "") == mallory.fingerprint
    assert (len(operator.letters(mallory)), operator.letters(d)) == (1, [])
    assert a.refused("confirm", "lab-d-trainer", d.fingerprint).told == ("identity_mismatch", 34)

    mallory.ask("init", "--hostname", "lab-d-trainer", "--rename")
    mallory.up()
    awaits(mallory)
    mallory.ask("approve", "lab-a-trainer")
    meet(a, mallory)
    identities = {agreed.fingerprint: agreed.identity for agreed in a.agreements().trusted}
    assert identities[mallory.fingerprint] == "unconfirmed"
    assert sum("Identity: unconfirmed" in line for line in a.read("trust")) == 1
    assert d.refused("up").told == ("name_taken", 22)  # the theft does not stay hidden from its owner


def test_names_and_addresses_of_approved_peers_stay_theirs(here: Region) -> None:
    a, b, c = here.labs[:3]
    operator = Operator(here)
    operator.swap_addresses(b, c)
    operator.swap_names(b, c)
    (a.folder / "for-b").write_bytes(b"for lab b alone")
    for peer in ("lab-b-trainer", "1:0001.0000.0020", b.card):
        a.ask("send-file", peer, "for-b")
        assert a.ask("ping", peer)["hostname"] == "lab-b-trainer"
    assert [path.name for path in b.received()] == ["for-b", "for-b.2", "for-b.3"]
    a.down()
    a.up()
    meet(a, b)
    a.ask("send-file", "lab-b-trainer", "for-b")
    assert len(b.received()) == 4
    assert c.received() == []
    operator.swap_names(b, c)
    operator.swap_addresses(b, c)


def test_a_relay_stream_cut_short(here: Region) -> None:
    """With a reset, and as if all had been said: neither passes for the end of the file, which goes on over
    another link by itself.
    """
    a, b = here.labs[:2]
    for reset in (True, False):
        before = b.received()
        content = os.urandom(12 * MIB)
        with under_way(here, a, b, content) as (command, _):
            here.proxy.cut(reset=reset)
        sent = command.answer()
        assert sent["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        (path,) = set(b.received()) - set(before)
        assert path.read_bytes() == content
        meet(a, b)


def test_an_old_approval_that_comes_again(here: Region) -> None:
    a, _, c = here.labs[:3]
    operator = Operator(here)
    assert a.ask("revoke", "lab-c-trainer")["notified"]
    a.ask("handshake", c.card, WHY)
    awaits(c)
    a.down()
    c.ask("approve", "lab-a-trainer")
    (approval,) = operator.letters(a)
    a.up()
    meet(a, c)
    assert a.ask("revoke", "lab-c-trainer")["notified"]
    a.down()
    eventually(lambda: operator.letters() == [], "all mail was taken")
    operator.post(approval)
    a.up()
    eventually(lambda: operator.letters() == [], "the old approval was taken")
    assert c.fingerprint not in {agreed.fingerprint for agreed in a.agreements().trusted}
    (a.folder / "x").write_bytes(b"x")
    assert a.refused("send-file", "lab-c-trainer", "x").told == ("untrusted_peer", 31)
    assert c.refused("ping", "lab-a-trainer").told == ("untrusted_peer", 31)
