"""The one place where a node's statements are made, signed and read.

It fills in what every statement carries (SECURITY.md rule 2) and takes the per-pair sequence in the caller's
transaction. Reading checks signature, addressee, age and sequence, in this order, and persists the sequence.
What a statement changes is decided elsewhere.

A statement to a peer is made and read in the realm where that peer is met; to nobody in particular, in the
notary's own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey
from comity.protocol.charter import statements as charters
from comity.protocol.realm import Realm
from comity.protocol.statements import (
    Approval,
    ArtifactSignature,
    HandshakeRequest,
    PairStatement,
    Reachability,
    Receipt,
    Registration,
    Rejection,
    Revocation,
    SealingKey,
    Statement,
    check_lifetime,
    open_statement,
    payload,
    payload_type,
)
from comity.protocol.succession import NOWHERE, Retirement
from comity.storage.trust import TrustStore

P = TypeVar("P", bound=PairStatement)
S = TypeVar("S", bound=Statement)

#: For how many seconds a statement may hold, by its type: whoever signs a longer life is refused.
LIFETIMES: dict[type[Statement], int] = {
    **charters.LIFETIMES,
    ArtifactSignature: limits.RECEIPT_LIFETIME,
    HandshakeRequest: limits.REQUEST_LIFETIME,
    Approval: limits.REQUEST_LIFETIME,
    Rejection: limits.REQUEST_LIFETIME,
    Revocation: limits.REVOCATION_LIFETIME,
    Reachability: limits.REACHABILITY_LIFETIME,
}


class Replayed(RemoteProtocolError):
    """A statement whose sequence is not beyond the last one accepted from its issuer."""

    code = "replayed"


class AlreadySeen(Replayed):
    """The very statement that was accepted last: a redelivery, to be acknowledged and forgotten."""

    code = "already_seen"


class Notary:
    """``realms`` are those that this node is a member of, by default its own one."""

    def __init__(
        self,
        identity: Identity,
        rendezvous: Fingerprint,
        network: int,
        store: TrustStore,
        clock: Clock,
        entropy: Entropy,
        realms: Callable[[], Collection[Realm]] | None = None,
    ) -> None:
        self._identity = identity
        self.public = identity.public
        self.realm = Realm(rendezvous, network)
        self._realms = realms or (lambda: (self.realm,))
        self._store = store
        self._clock = clock
        self._entropy = entropy

    def at(self, realm: Realm) -> Notary:
        """The same, with another realm of its own."""
        return Notary(
            self._identity,
            realm.rendezvous,
            realm.network,
            self._store,
            self._clock,
            self._entropy,
            self._realms,
        )

    def realm_of(self, peer: PublicKey) -> Realm:
        """Where a peer is met; this notary's own realm where nothing is known of it."""
        found = self._store.realm_of(peer)
        return self.realm if found is None else Realm.parse(found)

    def sign(self, statement: Statement) -> Envelope:
        """The envelope of a statement that is complete."""
        return self._identity.sign_statement(payload_type(type(statement)), payload(statement))

    def make(self, kind: type[P], peer: PublicKey, lifetime: int, **fields: Any) -> P:
        """A statement to ``peer`` with the next sequence; ``lifetime`` in seconds, ``fields`` are the kind's
        own.
        """
        return kind(
            **self._frame(lifetime, self.realm_of(peer)),
            subject=peer.hex,
            sequence=self._store.next_sequence(peer, signal=kind is Reachability),
            **fields,
        )

    def declare(self, kind: type[S], among: PublicKey, **fields: Any) -> tuple[S, Envelope]:
        """A statement that concerns more than one other: it names no recipient and has no sequence.

        ``among`` is one of those whom it concerns, all met in one realm.
        """
        statement = kind(**self._frame(LIFETIMES[kind], self.realm_of(among)), **fields)
        return statement, self.sign(statement)

    def declared(
        self, envelope: Envelope, kind: type[S], issuer: PublicKey, among: PublicKey | None = None
    ) -> S:
        """A statement of ``issuer`` that concerns more than one other; RemoteProtocolError.

        It may be old: the act that it is about decides until when it counts. A peer's is made where that is
        met; of our own, and of a key that we know from another's charter, any realm of ours will do. With
        ``among`` only the one where that peer is met.
        """
        statement = open_statement(envelope, kind, issuer=issuer, rendezvous=None, network=None, now=None)
        met = self._store.realm_of(among or issuer)
        realms = self._realms() if met is None else [Realm.parse(met)]
        said = Realm(Fingerprint.parse(statement.rendezvous), statement.network)
        if said not in realms:
            known = {realm.rendezvous for realm in realms}
            which = "network" if said.rendezvous in known else "rendezvous"
            raise RemoteProtocolError(f"{kind.TYPE} was made for another {which}")
        check_lifetime(statement, LIFETIMES[kind])
        if statement.issued > self._clock.now() + limits.CLOCK_SKEW:
            raise RemoteProtocolError(f"{kind.TYPE} was issued in the future")
        return statement

    def pair(self, kind: type[P], peer: PublicKey, lifetime: int, **fields: Any) -> Envelope:
        """``make`` and ``sign`` in one."""
        return self.sign(self.make(kind, peer, lifetime, **fields))

    def registration(self, nonce: str, *, hostname: str, public: bool, tags: tuple[str, ...]) -> Envelope:
        """The answer to a rendezvous's challenge: typed, so that no challenge can be anything else (rule
        1).
        """
        frame = self._frame(limits.REGISTRATION_LIFETIME) | {"nonce": nonce}
        return self.sign(Registration(**frame, hostname=hostname, public=public, tags=tags))

    def sealing_key(self, public: bytes, sequence: int, expires: int) -> Envelope:
        """The certificate of an HPKE key of ours (rule 4)."""
        frame = self._frame(limits.SEALING_KEY_LIFETIME) | {"expires": expires}
        return self.sign(SealingKey(**frame, public=public.hex(), sequence=sequence))

    def retirement(self, reason: str) -> Envelope:
        """The end of this node's key, for good and everywhere: it names no realm."""
        return self.sign(Retirement(**self._frame(limits.REVOCATION_LIFETIME, NOWHERE), reason=reason))

    def receipt(
        self,
        peer: PublicKey,
        *,
        nonce: str,
        agreement: str,
        charter: str | None,
        manifest: str,
        digest: str,
        size: int,
    ) -> Envelope:
        """Our word that ``peer``'s artifact of ``size`` bytes arrived whole (rule 12)."""
        frame = self._frame(limits.RECEIPT_LIFETIME, self.realm_of(peer)) | {"nonce": nonce}
        return self.sign(
            Receipt(
                **frame,
                subject=peer.hex,
                agreement=agreement,
                charter=charter,
                manifest=manifest,
                digest=digest,
                bytes=size,
            )
        )

    def read(self, envelope: Envelope, kind: type[P], issuer: PublicKey) -> P:
        """``check``, and the statement's sequence is spent."""
        statement = self.check(envelope, kind, issuer)
        self._store.set_seen(issuer, statement.sequence, envelope.digest)
        return statement

    def check(self, envelope: Envelope, kind: type[P], issuer: PublicKey, realm: Realm | None = None) -> P:
        """A fresh statement of ``issuer`` to us that was not seen before; else RemoteProtocolError, Replayed,
        AlreadySeen. ``realm`` is where it came, by default where its issuer is met.

        A revocation is heard whatever the clocks say: its sequence keeps it from being replayed, and it takes
        nothing but trust away.
        """
        at = realm or self.realm_of(issuer)
        statement = open_statement(
            envelope,
            kind,
            issuer=issuer,
            rendezvous=at.rendezvous,
            network=at.network,
            now=None if kind is Revocation else self._clock.now(),
        )
        if statement.subject != self.public.hex:
            raise RemoteProtocolError(f"{kind.TYPE} is addressed to another key")
        if issuer == self.public:
            raise RemoteProtocolError(f"{kind.TYPE} claims to come from ourselves")
        check_lifetime(statement, LIFETIMES[kind])
        last, last_digest = self._store.seen(issuer, str(at))
        if statement.sequence <= last:
            again = statement.sequence == last and envelope.digest == last_digest
            refusal = AlreadySeen if again else Replayed
            raise refusal(f"{kind.TYPE} number {statement.sequence} came after number {last}")
        return statement

    def _frame(self, lifetime: int, realm: Realm | None = None) -> dict[str, Any]:
        now = int(self._clock.now())
        at = realm or self.realm
        return {
            "rendezvous": str(at.rendezvous),
            "network": at.network,
            "issuer": self.public.hex,
            "nonce": self._entropy.token(32).hex(),
            "issued": now,
            "expires": now + lifetime,
        }
