"""Nodes with all that the exchange stands on but the wire: real stores, guard, audit log and notary."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from comity import limits
from comity.clock import SystemClock
from comity.control.audit import AuditEntry, AuditLogRequest
from comity.control.exchange import Progress, ReceivedFile, ReceivedRequest, SendFileRequest, SendResult
from comity.entropy import SystemEntropy
from comity.errors import UntrustedPeer
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey
from comity.policy.operation import Standing
from comity.protocol.trust.relationship import Agreement
from comity.services.audit import AuditService
from comity.services.exchange import ExchangeService, Rules, Surroundings
from comity.services.exchange.surroundings import Sessions
from comity.services.guard import Guard
from comity.services.notary import Notary
from comity.services.trust import KnownPeer
from comity.storage.blobs import BlobStore, FileBlobStore
from comity.storage.database import Database
from comity.storage.exchange import ExchangeStore, StoredTransfer
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database
from comity.storage.sendqueue import SendQueue
from comity.storage.trust import TrustStore
from comity.transport.interface import Network
from tests.exchanges import AGREEMENT, RENDEZVOUS

REALM: Fingerprint = RENDEZVOUS.public.fingerprint


class Partners:
    """Implements ``services.exchange.Trust``: who is trusted, as the test says."""

    def __init__(self) -> None:
        self.peers: dict[PublicKey, KnownPeer] = {}
        self.allow: tuple[str, ...] = ("exchange",)

    def add(self, key: PublicKey, hostname: str, agreement: str = AGREEMENT) -> None:
        terms = Agreement(
            digest=agreement,
            request="",
            approval="",
            request_digest="",
            requester="us",
            justification="IRB 2026-001",
            reason="",
            requested_by="",
            organization="",
            contact="",
            charter=None,
            allow=("exchange",),
            approved_at=0,
            until=2**33,
            rank=1,
            their_sequence=1,
        )
        self.peers[key] = KnownPeer(key, hostname, "1:0001.0000.0010", f"{hostname}-{key.hex[:8]}", terms)

    def end(self, key: PublicKey) -> None:
        del self.peers[key]

    async def resolve(self, text: str) -> KnownPeer:
        for peer in self.peers.values():
            if peer.hostname == text:
                return peer
        raise UntrustedPeer(f"there is no agreement with {text}")

    def known(self, peer: PublicKey) -> KnownPeer | None:
        return self.peers.get(peer)

    def standing(self, peer: PublicKey) -> Standing | None:
        known = self.peers.get(peer)
        if known is None:
            return None
        return Standing(agreement=known.agreement.digest, status="active", until=2**33, allow=self.allow)


class AlwaysUp:
    """Implements ``services.exchange.surroundings.Sessions``: everybody is there."""

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        return True


class Node:
    """One institution. ``home`` keeps its files and its database from one life to the next."""

    def __init__(
        self,
        home: Path,
        hostname: str,
        network: Callable[[PublicKey], Network],
        *,
        identity: Identity | None = None,
        blobs: BlobStore | None = None,
        store: Callable[[Database], ExchangeStore] = ExchangeStore,
        patience: float = limits.EXCHANGE_ANSWER_TIMEOUT,
        pauses: tuple[float, ...] = (),
        rules: Rules | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        home.mkdir(mode=0o700, exist_ok=True)
        self.home = home
        self.hostname = hostname
        self.identity = identity or Identity.generate()
        self.key = self.identity.public
        self.trust = Partners()
        self.clock = SystemClock()
        self.db: Database = open_node_database(home / "node.db")
        entropy = SystemEntropy()
        self.audit = AuditService(self.db, AuditKey.generate(self.key), self.clock, entropy)
        self.store = store(self.db)
        self.blobs = blobs or FileBlobStore(home / "incoming", home / "received")
        self.network = network(self.key)
        trust_store = TrustStore(self.db, f"{REALM}/1")
        self.around = Surroundings(
            network=self.network,
            trust=self.trust,
            guard=Guard(self.trust.standing, self.audit, self.clock),
            audit=self.audit,
            notary=Notary(self.identity, REALM, 1, trust_store, self.clock, entropy),
            db=self.db,
            store=self.store,
            queue=SendQueue(self.db),
            sessions=sessions or AlwaysUp(),
            blobs=self.blobs,
            clock=self.clock,
            entropy=entropy,
            patience=patience,
            pauses=pauses,
            rules=rules or Rules(),
        )
        self.exchange = ExchangeService(self.around)

    def close(self) -> None:
        self.exchange.stop()
        self.db.close()
        if isinstance(self.blobs, FileBlobStore):
            self.blobs.close()

    async def send(
        self, peer: str, file: Path | int, name: str | None = None, *, limit: int | None = None
    ) -> SendResult:
        """As the API does it, with a descriptor that it closes afterwards."""
        progress: list[Progress] = []
        with opened(file) as descriptor:
            called = name if name is not None else os.path.basename(str(file))
            request = SendFileRequest(peer=peer, name=called, file="", limit=limit)
            return await self.exchange.send(request, descriptor, progress.append)

    async def files(self) -> tuple[ReceivedFile, ...]:
        return (await self.exchange.received(ReceivedRequest())).files

    def entries(self, kind: str) -> list[AuditEntry]:
        return list(self.audit.log(AuditLogRequest(kind=kind)).entries)

    def rows(self) -> list[StoredTransfer]:
        return self.store.newest(100)

    def on_disk(self) -> list[str]:
        """Everything in both folders."""
        found = [path for folder in ("incoming", "received") for path in (self.home / folder).rglob("*")]
        return sorted(path.relative_to(self.home).as_posix() for path in found if not path.is_dir())


def acquaint(left: Node, right: Node) -> None:
    """An agreement between both."""
    left.trust.add(right.key, right.hostname)
    right.trust.add(left.key, left.hostname)


@contextmanager
def opened(file: Path | int) -> Iterator[int]:
    if isinstance(file, int):
        yield file
        return
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
