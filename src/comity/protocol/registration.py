"""One node's connection to its rendezvous, seen from the server: what may be said when (docs: protocol).

    arrived ──open──▶ challenged ──register──▶ judging ──admitted──▶ registered ──▶ requests
                          ▲                       │ denied                │ register: judging again
                          └───────────────────────┘                       ▼
    any state: whatever is not in the table, and ``Ended`` ─────────▶ closed

The connection's TLS key is known before the first message; a registration counts only if that key issued it,
for this rendezvous, over this connection's nonce (SECURITY.md rules 1 and 7). A registered node may register
again with the same nonce, to change what it claims.

It doesn't know networks, names, sequences or who is online, and so tells nobody which networks there are:
``Admit`` asks the registry, which answers ``Admitted`` or
``Denied``. The nonce and the time are arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from comity import limits
from comity.errors import ComityError, InvalidInput, NotAdmitted, RemoteProtocolError, VersionMismatch
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import PublicKey
from comity.protocol.registry import (
    Acknowledge,
    AskRelay,
    Challenge,
    Find,
    NodeMessage,
    Open,
    Ping,
    Post,
    Register,
    Reserve,
    Resolve,
    Retire,
)
from comity.protocol.statements import (
    Registration,
    SealingKey,
    Statement,
    check_lifetime,
    open_statement,
)
from comity.protocol.succession import open_rotation
from comity.protocol.versions import Speaks, choose

S = TypeVar("S", bound=Statement)

VERSION = 2
OLDEST_VERSION = 1
#: From this version on a node understands GoingAway.
GOING_AWAY_VERSION = 2

Request = Resolve | Find | Post | Acknowledge | Reserve | AskRelay | Retire | Ping


class Phase(Enum):
    ARRIVED = "arrived"
    CHALLENGED = "challenged"
    JUDGING = "judging"
    REGISTERED = "registered"
    CLOSED = "closed"


@dataclass(frozen=True)
class Claim:
    """A verified registration: this key, under this name, with this sealing key.

    ``sealing_key`` is the envelope in JSON, ``sealing`` the statement in it, ``invitation`` a token;
    ``predecessor`` is a key that has named this one its successor, by the envelope ``rotation``.
    """

    network: int
    key: PublicKey
    instance: str
    hostname: str
    public: bool
    tags: tuple[str, ...]
    sealing_key: str
    sealing: SealingKey
    invitation: str | None = field(default=None, repr=False)
    predecessor: PublicKey | None = None
    rotation: str = ""


# ── events in ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Admitted:
    """The registry took the claim, durably."""


@dataclass(frozen=True)
class Denied:
    """The registry refused the claim."""


@dataclass(frozen=True)
class Ended:
    """The connection is over, for whatever reason."""


Event = NodeMessage | Admitted | Denied | Ended

# ── events out ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Say:
    message: Challenge


@dataclass(frozen=True)
class Admit:
    """Ask the registry; ``id`` is the request to answer."""

    id: int
    claim: Claim


@dataclass(frozen=True)
class Serve:
    request: Request


@dataclass(frozen=True)
class Refuse:
    """Answer no. ``id`` 0: and end the connection."""

    id: int
    error: ComityError


Effect = Say | Admit | Serve | Refuse

_REQUESTS = (Resolve, Find, Post, Acknowledge, Reserve, AskRelay, Retire, Ping)

#: (phase, event) → next phase. What is missing here breaks the protocol and closes.
TRANSITIONS: dict[tuple[Phase, type], Phase] = {
    (Phase.ARRIVED, Open): Phase.CHALLENGED,
    (Phase.CHALLENGED, Register): Phase.JUDGING,
    (Phase.REGISTERED, Register): Phase.JUDGING,
    (Phase.JUDGING, Admitted): Phase.REGISTERED,
    **{(Phase.REGISTERED, request): Phase.REGISTERED for request in _REQUESTS},
    **{(phase, Ended): Phase.CLOSED for phase in Phase},
}


class Entry:
    """The state of one connection of ``peer``, the key that its TLS proved."""

    def __init__(self, rendezvous: Fingerprint, peer: PublicKey, nonce: bytes) -> None:
        self._rendezvous = rendezvous
        self._peer = peer
        self._nonce = nonce.hex()
        self._network = 0
        self._instance = ""
        self.version = OLDEST_VERSION
        self._before = Phase.ARRIVED  # where a denied registration goes back to
        self.phase = Phase.ARRIVED

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from ``event`` at ``now`` (seconds UTC)."""
        if isinstance(event, Denied) and self.phase is Phase.JUDGING:
            self.phase = self._before
            return []
        phase = TRANSITIONS.get((self.phase, type(event)))
        if phase is None:
            said = type(event).__name__.lower()
            return self._close(RemoteProtocolError(f"{said} is out of place while {self.phase.value}"))
        self._before, self.phase = self.phase, phase
        match event:
            case Open():
                return self._open(event, now)
            case Register():
                return self._register(event, now)
            case Admitted() | Denied() | Ended():
                return []
            case _:
                return [Serve(event)]

    def _close(self, error: ComityError) -> list[Effect]:
        self.phase = Phase.CLOSED
        return [Refuse(0, error)]

    def _open(self, event: Open, now: float) -> list[Effect]:
        try:
            version = choose(
                Speaks("the node", event.oldest, event.newest),
                Speaks("the rendezvous", OLDEST_VERSION, VERSION),
            )
        except VersionMismatch as error:
            return self._close(error)
        if self._peer.fingerprint == self._rendezvous:
            return self._close(not_admitted())
        self._network, self._instance, self.version = event.network, event.instance, version
        return [Say(Challenge(version=version, nonce=self._nonce, time=int(now)))]

    def _register(self, event: Register, now: float) -> list[Effect]:
        try:
            return [Admit(event.id, self._claim(event, now))]
        except ComityError as error:
            self.phase = self._before
            return [Refuse(event.id, error)]

    def _claim(self, event: Register, now: float) -> Claim:
        registration, _ = self._read(event.statement, Registration, limits.REGISTRATION_LIFETIME, now)
        if registration.nonce != self._nonce:
            raise RemoteProtocolError("registration answers another challenge than this connection's")
        if normalise_hostname(registration.hostname) != registration.hostname:
            raise InvalidInput("the hostname is not in its normal form: lower case, composed letters")
        old = None
        if event.predecessor is not None:
            old, _ = open_rotation(
                event.predecessor, self._peer, rendezvous=self._rendezvous, network=self._network, now=now
            )
        sealing, envelope = self._read(event.sealing_key, SealingKey, limits.SEALING_KEY_LIFETIME, now)
        return Claim(
            network=self._network,
            key=self._peer,
            instance=self._instance,
            hostname=registration.hostname,
            public=registration.public,
            tags=tuple(dict.fromkeys(registration.tags)),
            sealing_key=envelope.to_json().decode(),  # others are told no byte that is not signed
            sealing=sealing,
            invitation=event.invitation,
            predecessor=old,
            rotation=event.predecessor.rotation if event.predecessor else "",
        )

    def _read(self, text: str, kind: type[S], lifetime: int, now: float) -> tuple[S, Envelope]:
        envelope = Envelope.from_json(text.encode())
        statement = open_statement(
            envelope,
            kind,
            issuer=self._peer,
            rendezvous=self._rendezvous,
            network=self._network,
            now=now,
        )
        check_lifetime(statement, lifetime)
        return statement, envelope


def not_admitted() -> NotAdmitted:
    """The one answer to whoever may not come in, whatever the reason."""
    return NotAdmitted("not admitted to this network")
