"""A node as the rendezvous knows it.

An identity and the statements that it signs, right or wrong on request.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from comity import limits
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey
from comity.protocol.registration import OLDEST_VERSION, VERSION, Claim
from comity.protocol.registry import Open, Register
from comity.protocol.statements import (
    Predecessor,
    Registration,
    SealingKey,
    Statement,
    payload,
    payload_type,
)


@dataclass(frozen=True)
class Registrant:
    """``claimed`` is the issuer that its statements name, its own key by default."""

    rendezvous: Fingerprint
    hostname: str
    identity: Identity = field(default_factory=Identity.generate)
    network: int = 1
    public: bool = False
    tags: tuple[str, ...] = ()
    instance: str = "0" * 32
    newest: int = VERSION
    claimed: PublicKey | None = None
    lifetime: int = 60
    sealing_lifetime: int = limits.SEALING_KEY_LIFETIME
    sealing_sequence: int = 1
    sealing_public: str = "ab" * 1216
    invitation: str | None = None
    predecessor: Predecessor | None = None

    @property
    def key(self) -> bytes:
        return self.identity.public.raw

    def open(self) -> Open:
        return Open(oldest=OLDEST_VERSION, newest=self.newest, network=self.network, instance=self.instance)

    def register(self, nonce: bytes, now: float, request: int = 1) -> Register:
        return Register(
            id=request,
            statement=self.sign(self.registration(nonce, now)),
            sealing_key=self.sign(self.sealing(now)),
            invitation=self.invitation,
            predecessor=self.predecessor,
        )

    def registration(self, nonce: bytes, now: float) -> Registration:
        return Registration(
            rendezvous=str(self.rendezvous),
            network=self.network,
            issuer=(self.claimed or self.identity.public).hex,
            nonce=nonce.hex(),
            issued=int(now),
            expires=int(now) + self.lifetime,
            hostname=self.hostname,
            public=self.public,
            tags=self.tags,
        )

    def sealing(self, now: float) -> SealingKey:
        return SealingKey(
            rendezvous=str(self.rendezvous),
            network=self.network,
            issuer=(self.claimed or self.identity.public).hex,
            nonce="00" * 32,
            issued=int(now),
            expires=int(now) + self.sealing_lifetime,
            public=self.sealing_public,
            sequence=self.sealing_sequence,
        )

    def sign(self, statement: Statement) -> str:
        envelope = self.identity.sign_statement(payload_type(type(statement)), payload(statement))
        return envelope.to_json().decode()

    def claim(self, now: float) -> Claim:
        """What a verified registration of this node claims."""
        sealing = self.sealing(now)
        return Claim(
            network=self.network,
            key=self.identity.public,
            instance=self.instance,
            hostname=self.hostname,
            public=self.public,
            tags=self.tags,
            sealing_key=self.sign(sealing),
            sealing=sealing,
            invitation=self.invitation,
            predecessor=PublicKey.from_hex(self.predecessor.key) if self.predecessor else None,
            rotation=self.predecessor.rotation if self.predecessor else "",
        )
