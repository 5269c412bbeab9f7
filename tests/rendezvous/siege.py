"""Everything that a rendezvous can be asked to write, asked at once, until it is killed; and, after it has
started again, whether all that it had acknowledged is there.

Posters leave letters, readers acknowledge them, joiners register, rename themselves and follow older keys, an
administrator invites, revokes, removes, releases and sets quotas, and a witness retires keys. Each waits for
the answer before it asks again, and tells the ledger.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comity.errors import LinkLost, PeerUnreachable, RemoteProtocolError, TimedOut
from comity.identity.card import JoinUrl
from comity.identity.keys import Identity, PublicKey
from comity.protocol.registry import Acknowledge, Done, Failure, Mail, Post, Posted, Retire
from comity.rendezvous.hatch import ask
from tests.rendezvous.client import SYSTEM, Client, Refusal, dial
from tests.rendezvous.ledger import Ledger, Thing, Uses
from tests.rendezvous.nodes import Registrant
from tests.trust.keys import predecessor, retirement

CLOSED = 2  # the network's number; the first one is open
READERS, POSTERS, JOINERS = 2, 3, 2
_MOST_KEPT = 12  # letters from one poster to one reader, less than a stranger may leave
_LEAST_JOINED = 4  # before some are removed, renamed, …
_PAUSE = 0.005  # seconds


class Siege:
    """Over all of a server's lives. ``hatch`` is its administrators' socket."""

    def __init__(self, hatch: Path, seed: int) -> None:
        self.ledger = Ledger()
        self.dice = random.Random(seed)
        self._hatch = hatch
        self._numbers = itertools.count(1)
        self._joined: dict[bytes, Registrant] = {}  # that nobody is changing just now
        self._changing: dict[bytes, Registrant] = {}
        self._ending: dict[
            bytes, str
        ] = {}  # of those, what they are refused with afterwards, if it came to it
        self._following: list[tuple[Registrant, Registrant]] = []  # an old key and a new one, likewise
        self._gone: list[tuple[Registrant, str]] = []
        self._addresses: dict[bytes, str] = {}
        self._told: list[tuple[str, str]] = []  # admin acts of this life, and what their details begin with
        self._clients: list[Client] = []
        self._cut = False  # the server is gone

    async def begin(self, join: JoinUrl) -> None:
        """In the first life: a network by invitation, and those who stay."""
        self._join = join
        self._readers = [self._node(f"reader-{number}") for number in range(READERS)]
        self._posters = [self._node(f"poster-{number}") for number in range(POSTERS)]
        self._witness = self._node("witness")
        created = await self._order("network-create", name="study")
        assert created["network"] == CLOSED
        with self.ledger.changing((("quota",), created["max_mail"])):
            pass
        try:
            for who in (*self._readers, *self._posters, self._witness):
                with self.ledger.changing((_thing(who), who.hostname)):
                    await self._enter(who)
        finally:
            self._hang_up()

    # ── a life ────────────────────────────────────────────────────────────────────────────────────────

    async def assail(self, kill: Callable[[], Awaitable[None]]) -> None:
        """Ask for everything at once until ``kill`` has returned and all connections have ended."""
        self._cut = False
        self._told.clear()
        crowd = [
            *(self._post(who) for who in self._posters),
            *(self._read(who) for who in self._readers),
            *(self._join_on() for _ in range(JOINERS)),
            self._administer(),
            self._retire_on(),
        ]
        works = [asyncio.create_task(_until_cut(work)) for work in crowd]
        try:
            await kill()
            self._cut = True
            await asyncio.gather(*works)
        finally:
            for work in works:
                work.cancel()
            await asyncio.wait(works)
            self._hang_up()

    async def inspect(self, join: JoinUrl) -> None:
        """After a restart: AssertionError where something is missing, or half of something is there."""
        try:
            await self._inspect(join)
        finally:
            self._hang_up()

    # ── what is there ─────────────────────────────────────────────────────────────────────────────────

    async def _inspect(self, join: JoinUrl) -> None:
        assert join == self._join
        nodes = (await self._order("nodes"))["nodes"]
        self._look_at_nodes(nodes)
        for shown in (await self._order("invite-list", network=str(CLOSED)))["invitations"]:
            self.ledger.uses.setdefault(
                shown["id"], Uses(shown["uses"])
            )  # the answer with its token was lost
            self.ledger.look_at_uses(shown["id"], shown["used"])
            self.ledger.look(("revoked", shown["id"]), True if shown["state"] == "revoked" else None)
        for shown in (await self._order("network-list"))["networks"]:
            if shown["network"] == CLOSED:
                self.ledger.look(("quota",), shown["max_mail"])
        log = [(each["act"], each["detail"]) for each in (await self._order("admin-log", limit=500))["acts"]]
        for act, detail in self._told:
            assert any(act == each and said.startswith(detail) for each, said in log), (
                act,
                detail,
                log[-20:],
            )
        waiting = {each["hostname"]: each["mail"] for each in nodes}
        for reader in self._readers:
            await self._look_at_mail(reader, waiting[reader.hostname])
        await self._knock()

    def _look_at_nodes(self, nodes: list[dict[str, Any]]) -> None:
        shown = {(each["network"], each["fingerprint"]): each for each in nodes}
        assert len({each["address"] for each in nodes}) == len(nodes)
        for _, network, key in self.ledger.known("node"):
            assert isinstance(network, int)
            assert isinstance(key, bytes)
            found = shown.pop((network, str(PublicKey.parse(key).fingerprint)), None)
            self.ledger.look(("node", network, key), None if found is None else found["hostname"])
            if found is not None:
                assert self._addresses.setdefault(key, found["address"]) == found["address"]
            who, ending = self._changing.pop(key, None), self._ending.pop(key, None)
            if who is not None and found is not None and found["hostname"]:
                self._joined[key] = replace(who, hostname=found["hostname"], predecessor=None)
            elif who is not None and found is None and ending is not None:
                self._gone.append((who, ending))
        assert not shown, f"nobody registered {shown}"
        for old, new in self._following:
            both = [self.ledger.may(_thing(each)) != {None} for each in (old, new)]
            assert both.count(True) == 1, f"half of a rotation: {both}"
        self._following.clear()

    async def _look_at_mail(self, reader: Registrant, count: int) -> None:
        client = await self._enter(reader)
        letters = [await client.mail() for _ in range(count)]
        there = {_letter(reader, mail) for mail in letters}
        for thing in self.ledger.known("letter"):
            if thing[1] == reader.key:
                self.ledger.look(thing, thing in there or None)
                there.discard(thing)
        assert not there, "letters that nobody posted, or that were acknowledged"

    async def _knock(self) -> None:
        """Two of those who were removed, retired or followed by another key try to come back."""
        if not self._gone:
            return
        for who, code in (self._gone[-1], self.dice.choice(self._gone)):
            with pytest.raises(Refusal) as refused:
                await self._enter(who)
            assert refused.value.code == code

    # ── who asks ──────────────────────────────────────────────────────────────────────────────────────

    async def _post(self, who: Registrant) -> None:
        client = await self._enter(who)
        while not self._cut:
            reader = self.dice.choice(self._readers)
            sent = [thing for thing in self.ledger.known("letter") if thing[1:3] == (reader.key, who.key)]
            if len(sent) >= _MOST_KEPT:
                await asyncio.sleep(_PAUSE)
                continue
            request = Post(
                id=1,
                recipient=reader.identity.public.hex,
                message_id=secrets.token_hex(16),
                blob=secrets.token_bytes(self.dice.choice((100, 5_000, 60_000))),
                keep=True,
            )
            with self.ledger.changing((("letter", reader.key, who.key, request.message_id), True)):
                await client.ask(request, Posted)

    async def _read(self, who: Registrant) -> None:
        client = await self._enter(who)
        while not self._cut:
            mail = await client.mail()
            # Its poster may hear only later that it was kept: that does not undo what follows here.
            self.ledger.witness(_letter(who, mail), True)
            if self.dice.random() < 0.7:  # the others wait for another life
                request = Acknowledge(id=1, sender=mail.sender, message_id=mail.message_id)
                with self.ledger.changing((_letter(who, mail), None)):
                    await client.ask(request, Done)

    async def _join_on(self) -> None:
        while not self._cut:
            how = self.dice.choice((self._join_open, self._join_invited, self._rename, self._follow))
            await how()
            await asyncio.sleep(0)

    async def _join_open(self) -> None:
        who = self._node(f"lab-{next(self._numbers)}")
        with self._changed(who), self.ledger.changing((_thing(who), who.hostname)):
            await self._visit(who)

    async def _join_invited(self) -> None:
        usable = [number for number, uses in self.ledger.uses.items() if uses.token]
        if not usable:
            return
        number = self.dice.choice(usable[-10:])
        uses, revoked = self.ledger.uses[number], ("revoked", number)
        who = replace(self._node(f"lab-{next(self._numbers)}"), network=CLOSED, invitation=uses.token)
        was_open = self.ledger.may(revoked) == {None} and uses.high < uses.most
        was_closed = self.ledger.may(revoked) == {True} or uses.low >= uses.most
        try:
            with self._changed(who), self.ledger.changing((_thing(who), who.hostname), use=number):
                await self._visit(who)
        except Refusal:
            assert not (was_open and self.ledger.may(revoked) == {None} and uses.high < uses.most)
        else:
            assert not was_closed, "a spent or revoked invitation let somebody in"

    async def _rename(self) -> None:
        if who := self._pick():
            who = replace(who, hostname=f"lab-{next(self._numbers)}")
            with self._changed(who), self.ledger.changing((_thing(who), who.hostname)):
                await self._visit(who)

    async def _follow(self) -> None:
        """A key takes an older one's place: both or neither."""
        if old := self._pick():
            identity = Identity.generate()
            word = predecessor(old.identity, identity, old.rendezvous, SYSTEM, network=old.network)
            new = replace(old, identity=identity, predecessor=word, invitation=None)
            self._following.append((old, new))
            with (
                self._changed(old, "key_retired"),
                self._changed(new),
                self.ledger.changing((_thing(old), None), (_thing(new), new.hostname)),
            ):
                await self._visit(new)
            self._following.remove((old, new))

    async def _retire_on(self) -> None:
        client = await self._enter(self._witness)
        while not self._cut:
            await asyncio.sleep(_PAUSE)
            if who := self._pick():
                word = retirement(who.identity, who.rendezvous, SYSTEM)
                with self._changed(who, "key_retired"), self.ledger.changing((_thing(who), None)):
                    await client.ask(Retire(id=1, key=who.identity.public.hex, retirement=word), Done)
                self._told.append(("key retired", who.hostname))

    async def _administer(self) -> None:
        while not self._cut:
            how = self.dice.choice(
                (self._invite, self._revoke, self._remove, self._release, self._change_quota)
            )
            await how()
            await asyncio.sleep(0)

    async def _invite(self) -> None:
        most = self.dice.randint(1, 3)
        made = await self._order("invite-create", network=str(CLOSED), uses=most, expires=3600, note="")
        token = JoinUrl.parse(made["url"]).invitation
        assert token is not None
        self.ledger.uses[made["id"]] = Uses(most, token)
        self._told.append(("invited", f"invitation {made['id']}, uses: {most}"))

    async def _revoke(self) -> None:
        if self.ledger.uses:
            number = self.dice.choice(list(self.ledger.uses)[-10:])
            with self.ledger.changing((("revoked", number), True)):
                await self._order("invite-revoke", id=number)

    async def _remove(self) -> None:
        if who := self._pick():
            with self._changed(who, "not_admitted"), self.ledger.changing((_thing(who), None)):
                await self._order("remove", network=str(who.network), node=who.hostname)
            self._told.append(("node removed", who.hostname))

    async def _release(self) -> None:
        if who := self._pick():
            with self.ledger.changing((_thing(who), "")):
                await self._order("release", network=str(who.network), hostname=who.hostname)
            self._changing.pop(who.key)
            self._told.append(("name released", who.hostname))

    async def _change_quota(self) -> None:
        quota = self.dice.randint(1000, 2000)
        with self.ledger.changing((("quota",), quota)):
            await self._order("network-change", network=str(CLOSED), max_mail=quota)

    # ── how they ask ──────────────────────────────────────────────────────────────────────────────────

    def _node(self, hostname: str) -> Registrant:
        return Registrant(self._join.fingerprint, hostname=hostname)

    def _pick(self) -> Registrant | None:
        """Somebody who joined, and is nobody else's to change."""
        if len(self._joined) < _LEAST_JOINED:
            return None
        key = self.dice.choice(list(self._joined))
        self._changing[key] = self._joined.pop(key)
        return self._changing[key]

    @contextmanager
    def _changed(self, who: Registrant, ending: str | None = None) -> Iterator[None]:
        """Around a request about ``who``, that ends it or leaves it registered as it is here."""
        before = self._changing.get(who.key)
        self._changing[who.key] = who
        if ending is not None:
            self._ending[who.key] = ending
        try:
            yield
        except Refusal:
            self._changing.pop(who.key)
            self._ending.pop(who.key, None)
            if before is not None:
                self._joined[who.key] = before
            raise
        self._changing.pop(who.key)
        self._ending.pop(who.key, None)
        if ending is None:
            self._joined[who.key] = replace(who, predecessor=None)
        else:
            self._gone.append((who, ending))

    async def _visit(self, who: Registrant) -> None:
        client = await self._enter(who)
        client.channel.abort()
        self._clients.remove(client)

    async def _enter(self, who: Registrant) -> Client:
        client = await dial(self._join, who)
        self._clients.append(client)
        await client.open()
        answer = await client.register()
        assert self._addresses.setdefault(who.key, answer.address) == answer.address
        return client

    def _hang_up(self) -> None:
        while self._clients:
            self._clients.pop().channel.abort()

    async def _order(self, operation: str, **request: object) -> dict[str, Any]:
        line = await asyncio.to_thread(ask, self._hatch, operation, request)
        if line is None:
            raise LinkLost("no server is there")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            raise Refusal(Failure(id=0, code=answer["error"]["code"], message=answer["error"]["message"]))
        result: dict[str, Any] = answer["result"]
        return result


async def _until_cut(work: Coroutine[Any, Any, None]) -> None:
    """Until the server is gone. A Refusal where none is due is a failure."""
    with suppress(LinkLost, PeerUnreachable, TimedOut, RemoteProtocolError, ConnectionError):
        await work


def _thing(who: Registrant) -> Thing:
    return ("node", who.network, who.key)


def _letter(reader: Registrant, mail: Mail) -> Thing:
    return ("letter", reader.key, bytes.fromhex(mail.sender), mail.message_id)
