"""One institution in the trust tests: the real services on a database in memory, sessions that only note."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from comity import control
from comity.clock import ManualClock
from comity.entropy import PredictableEntropy
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity, PublicKey
from comity.identity.place import Place
from comity.protocol.registry import Record
from comity.protocol.statements import Predecessor
from comity.services.audit import AuditService
from comity.services.courier import Courier
from comity.services.guard import Guard
from comity.services.membership import Membership, Memberships
from comity.services.notary import Notary
from comity.services.presence import Presence
from comity.services.reserving import Reserving
from comity.services.sealing import SealingCertificate
from comity.services.settled import Settled
from comity.services.trust import KnownPeer, TrustService
from comity.services.trust.delivery import Delivery
from comity.services.trust.ledger import Claims, Ledger
from comity.services.trust.peers import PeerBook
from comity.storage.database import MEMORY, Database
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database
from comity.storage.sealing import SealingKeyStore
from comity.storage.trust import TrustStore
from tests.trust.office import Office


class NotedSessions:
    """Sessions that exist for whoever was made trusted; ``tell`` is delivered where ``wire`` leads
    somewhere.
    """

    def __init__(self) -> None:
        self.trusted: list[PublicKey] = []
        self.ended: list[PublicKey] = []
        self.wire: Callable[[Envelope], None] | None = None
        self.hold: asyncio.Event | None = None  # until it is set, nobody acknowledges what is told

    def peer_trusted(self, peer: PublicKey) -> None:
        self.trusted.append(peer)

    def peer_ended(self, peer: PublicKey) -> int:
        self.ended.append(peer)
        return 1

    def cut(self, peer: PublicKey) -> int:
        return 2

    def view(self, peer: PublicKey) -> control.SessionView | None:
        return None

    async def tell(self, peer: PublicKey, envelope: Envelope) -> bool:
        if self.hold is not None:
            await self.hold.wait()
        if self.wire is None:
            return False
        self.wire(envelope)
        return True

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        return False


class Site:
    """A node's trust, ready to talk through ``office`` under ``hostname``."""

    def __init__(
        self,
        office: Office,
        hostname: str,
        number: int,
        *,
        identity: Identity | None = None,
        predecessor: Predecessor | None = None,
        db: Database | None = None,
    ) -> None:
        self.office = office
        self.clock = ManualClock(office.clock.now())
        self.identity = identity or Identity.generate()
        self.key = self.identity.public
        self.hostname = hostname
        self.address = f"1:0001.0000.{number:04x}"
        self.client = office.client(self.key)
        self.db = db or open_node_database(MEMORY)
        entropy = PredictableEntropy(number)
        self.audit = AuditService(self.db, AuditKey.generate(self.key), self.clock, entropy)
        self.store = TrustStore(self.db, f"{office.fingerprint}/1")
        self.notary = Notary(self.identity, office.fingerprint, 1, self.store, self.clock, entropy)
        self.sealing = SealingKeyStore(self.db)
        self.courier = Courier(
            self.client, self.notary, self.store, self.sealing, self.audit, self.clock, entropy
        )
        self.sessions = NotedSessions()
        self.memberships = Memberships(self.store)
        self.membership = Membership(
            place=Place("main", JoinUrl("office.test", 9000, fingerprint=office.fingerprint)),
            realm=self.notary.realm,
            hostname=hostname,
            presence=Presence(()),
            rendezvous=self.client,
            courier=self.courier,
            certificate=SealingCertificate(
                self.sealing, self.notary, Settled(self.db, self.audit), self.clock
            ),
            reserving=Reserving(self.store, self.client, str(self.notary.realm)),
            predecessor=predecessor,
        )
        self.memberships.add(self.membership)
        self.peers = PeerBook(self.store, self.memberships, self.key, self.clock)
        self.guard = Guard(lambda peer: self.trust.standing(peer), self.audit, self.clock)
        self.ledger = Ledger(
            db=self.db,
            store=self.store,
            notary=self.notary,
            peers=self.peers,
            sessions=self.sessions,
            guard=self.guard,
            audit=self.audit,
            clock=self.clock,
            entropy=entropy,
            claims=Claims(hostname, f"{hostname} hospital", f"pi@{hostname}.example"),
            own_address=lambda _: self.address,
        )
        delivery = Delivery(self.store, self.memberships, self.sessions)
        self.trust = TrustService(self.ledger, self.peers, delivery, self.memberships, self.sessions)
        self.trust.start()
        office.register(self.record())

    def record(self, hostname: str | None = None, address: str | None = None) -> Record:
        """This node's registry record, or one that lies about its name."""
        current = self.sealing.current(self.clock.now())
        statement = self.notary.sealing_key(current.key.public, current.sequence, current.expires)
        return Record(
            hostname=hostname or self.hostname,
            address=address or self.address,
            key=self.key.hex,
            tags=(),
            public=False,
            online=True,
            last_seen=int(self.clock.now()),
            sealing_key=statement.to_json().decode(),
        )

    def rename(self, hostname: str) -> None:
        """Go by another name in every statement from now on."""
        self.ledger.claims = msgspec.structs.replace(self.ledger.claims, hostname=hostname)

    def card(self) -> str:
        return f"comity:{self.hostname}@{self.client.authority}#{self.key.fingerprint}"

    async def read_mail(self) -> None:
        """Open what waits, in order."""
        for mail in list(self.office.mail.get(self.key.hex, [])):
            await self.courier.opened(mail)

    async def ask(self, peer: str, why: str = "IRB #2026-0142", **more: object) -> control.HandshakeResult:
        request = control.HandshakeRequest(peer=peer, justification=why, **more)  # type: ignore[arg-type]  # test sugar
        return await self.trust.asking.handshake(request)

    async def approve(self, peer: str, **more: object) -> control.ApproveResult:
        request = control.ApproveRequest(peer=peer, wait_seconds=0, **more)  # type: ignore[arg-type]  # test sugar
        return await self.trust.answering.approve(request)

    async def pending(self) -> tuple[control.PendingRequest, ...]:
        return (await self.trust.answering.pending()).pending

    async def revoke(self, peer: str) -> control.RevokeResult:
        return await self.trust.ending.revoke(control.RevokeRequest(peer=peer, wait_seconds=1))

    def agreement_with(self, other: Site) -> KnownPeer | None:
        return self.trust.known(other.key)

    def refusals(self) -> list[tuple[str, ...]]:
        """The reasons of each message that was turned away."""
        entries = self.audit.log(control.AuditLogRequest(kind="mail.refused")).entries
        return [entry.reasons for entry in entries]


async def agree(asker: Site, answerer: Site) -> None:
    """A handshake by card, read and approved."""
    await asker.ask(answerer.card())
    await answerer.read_mail()
    await answerer.pending()
    await answerer.approve(asker.hostname)
    await asker.read_mail()
