"""What the exchange works with, handed in as one value; tests hand in others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.exchange.receipt import Parties
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.services.notary import Notary
from comity.services.trust import KnownPeer
from comity.storage.blobs import BlobStore
from comity.storage.database import Database
from comity.storage.exchange import ExchangeStore
from comity.storage.sendqueue import SendQueue
from comity.transport.interface import Network

#: What agreements and policies call it.
SERVICE = "exchange"


class Trust(Protocol):
    """What the exchange asks about peers; ``services.trust.TrustService`` answers."""

    async def resolve(self, text: str) -> KnownPeer:
        """The approved peer that a PEER argument names. UnknownPeer, UntrustedPeer, AmbiguousPeer."""

    def known(self, peer: PublicKey) -> KnownPeer | None:
        """The peer with this key, if an agreement with it is in force."""


class Sessions(Protocol):
    """Who is there; ``services.session.SessionService`` knows."""

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        """Whether a session with this peer stands within ``timeout`` seconds."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What this node's person decided (docs: configuration). Bytes, bytes a second, seconds; None: no bound.

    ``inbox_quota`` is of each peer, ``bandwidth`` of all that is sent together.
    """

    inbox_quota: int | None = None
    artifact_limit: int | None = None
    bandwidth: int | None = None
    partials_kept: float = limits.PARTIAL_LIFETIME


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """``db`` is where ``store`` and ``audit`` write, so that one transaction holds both.

    ``patience``: seconds for an offer to come on a new stream, and for its answer. ``pauses``: seconds before
    each attempt to go on where a link was lost; they begin anew after an attempt that moved much.
    """

    network: Network
    trust: Trust
    guard: Guard
    audit: AuditService
    notary: Notary
    db: Database
    store: ExchangeStore
    queue: SendQueue
    sessions: Sessions
    blobs: BlobStore
    clock: Clock
    entropy: Entropy
    patience: float = limits.EXCHANGE_ANSWER_TIMEOUT
    rules: Rules = field(default_factory=Rules)
    pauses: tuple[float, ...] = limits.RETRY_PAUSES

    def parties(self, *, sender: PublicKey, receiver: PublicKey) -> Parties:
        """Who a receipt between these two is about, in the realm where they meet."""
        realm = self.notary.realm_of(receiver if sender == self.notary.public else sender)
        return Parties(sender, receiver, realm.rendezvous, realm.network)

    def over(self, peer: KnownPeer, operation: Operation) -> str | None:
        """Why a transfer that was allowed may not go on, if so: what was agreed has ended or changed."""
        if self.ended(peer):
            return "the agreement ended"
        if not self.guard.governs(peer.key):
            return None
        decision = self.guard.consider(operation)
        return None if decision.allowed else "; ".join(decision.reasons)

    def ended(self, peer: KnownPeer) -> bool:
        """Whether the agreement that a transfer with ``peer`` began under is over."""
        now = self.trust.known(peer.key)
        return now is None or now.agreement.digest != peer.agreement.digest
