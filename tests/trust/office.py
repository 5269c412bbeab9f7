"""A rendezvous double for trust tests: the real Protocol over a dictionary, with levers for each of its lies.

It keeps every byte that it was handed, so that a test can search them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from comity.clock import Clock
from comity.errors import RendezvousUnreachable, UnknownPeer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey
from comity.protocol.registry import Mail, Record
from comity.transport.interface import LinkInfo


@dataclass
class Office:
    """The server. ``substitute`` maps a hostname to the record that is handed out instead of the true one."""

    clock: Clock
    identity: Identity = field(default_factory=Identity.generate)
    records: dict[str, Record] = field(default_factory=dict)  # by key, in hexadecimal
    substitute: dict[str, Record] = field(default_factory=dict)
    mail: dict[str, list[Mail]] = field(default_factory=dict)
    seen: list[bytes] = field(default_factory=list)
    posted: list[tuple[str, Mail]] = field(default_factory=list)
    retired: dict[str, str] = field(default_factory=dict)  # retirements by key, in hexadecimal
    up: bool = True
    away: set[str] = field(default_factory=set)  # keys, in hexadecimal, of nodes that are not online

    @property
    def fingerprint(self) -> Fingerprint:
        return self.identity.public.fingerprint

    def register(self, record: Record) -> None:
        self.records[record.key] = record

    def client(self, key: PublicKey) -> OfficeClient:
        return OfficeClient(self, key)


class OfficeClient:
    """One node's connection: implements ``transport.interface.Rendezvous``."""

    network = 1
    authority = "office.test:9000"

    def __init__(self, office: Office, key: PublicKey) -> None:
        self.office = office
        self.own = key
        self.fingerprint = office.fingerprint
        self.reserved: list[PublicKey] = []
        self.asked: list[str] = []
        self.hold: asyncio.Event | None = None  # until it is set, what is posted is not answered
        self.hold_resolve: asyncio.Event | None = None
        self._failures: dict[str, list[Exception]] = {"resolve": [], "acknowledge": [], "retire": []}

    def fail_next_resolve(self, error: Exception) -> None:
        self._failures["resolve"].append(error)

    def fail_next_acknowledge(self, error: Exception) -> None:
        self._failures["acknowledge"].append(error)

    @property
    def link(self) -> LinkInfo | None:
        return None

    async def run(self) -> None:
        """It is connected as long as the office is open."""

    @property
    def online(self) -> bool:
        return self.office.up

    async def resolve(
        self, *, hostname: str | None = None, address: str | None = None, key: PublicKey | None = None
    ) -> Record:
        self._check("resolve")
        if self.hold_resolve is not None:
            await self.hold_resolve.wait()
        self.asked.append(hostname or address or (key.hex if key else ""))
        if hostname in self.office.substitute:
            return self.office.substitute[hostname]
        if key is not None and key.hex in self.office.substitute:
            return self.office.substitute[key.hex]
        for record in self.office.records.values():
            if record.hostname == hostname or record.address == address or (key and record.key == key.hex):
                return record
        raise UnknownPeer("no such node")

    async def find(self, tag: str | None = None) -> tuple[Record, ...]:
        self._check()
        return tuple(r for r in self.office.records.values() if r.public and (tag is None or tag in r.tags))

    async def post(self, recipient: PublicKey, message_id: bytes, blob: bytes, *, keep: bool) -> bool:
        self._check()
        if self.hold is not None:
            await self.hold.wait()
        self.office.seen.append(blob)
        mail = Mail(
            sender=self.own.hex,
            message_id=message_id.hex(),
            blob=blob,
            posted=int(self.office.clock.now()),
            keep=keep,
        )
        waiting = self.office.mail.setdefault(recipient.hex, [])
        if all(other.message_id != mail.message_id for other in waiting):
            waiting.append(mail)
            self.office.posted.append((recipient.hex, mail))
        return recipient.hex not in self.office.away

    async def acknowledge(self, sender: PublicKey, message_id: bytes) -> None:
        self._check("acknowledge")
        waiting = self.office.mail.get(self.own.hex, [])
        self.office.mail[self.own.hex] = [m for m in waiting if m.message_id != message_id.hex()]

    async def reserve(self, senders: Sequence[PublicKey]) -> None:
        self._check()
        self.reserved = list(senders)

    async def ask_relay(self, peer: PublicKey, call: bytes) -> bytes:
        raise RendezvousUnreachable("this office has no relay")

    async def retire(self, key: PublicKey, retirement: str) -> None:
        self._check("retire")
        self.office.retired[key.hex] = retirement
        self.office.records.pop(key.hex, None)

    def update(self, *, public: bool, tags: Sequence[str]) -> None:
        record = self.office.records[self.own.hex]
        self.office.register(
            Record(
                hostname=record.hostname,
                address=record.address,
                key=record.key,
                tags=tuple(tags),
                public=public,
                online=True,
                last_seen=record.last_seen,
                sealing_key=record.sealing_key,
            )
        )

    def _check(self, what: str = "") -> None:
        if not self.office.up:
            raise RendezvousUnreachable("the office is closed")
        if self._failures.get(what):
            raise self._failures[what].pop(0)
