"""One connection to the rendezvous, from Open to its end: registration, heartbeat, answers and pushes.

    write Open ─▶ Challenge ─▶ write Register ─▶ Registered ─▶ serve: requests and answers, pushes in between

It never connects and never tries again: ``rendezvous_keeper`` does. The server's nonce enters a typed
statement, and nothing else that it says is signed (SECURITY.md rule 1).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

import msgspec

from comity import limits
from comity.clock import Clock
from comity.errors import (
    ComityError,
    KeyRetired,
    NameTaken,
    NotAdmitted,
    RemoteProtocolError,
    RendezvousRefused,
    RendezvousUnreachable,
    TimedOut,
    VersionMismatch,
)
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.candidates import parse_candidate
from comity.protocol.framing import Kind
from comity.protocol.hello import parse_refused
from comity.protocol.registration import OLDEST_VERSION, VERSION
from comity.protocol.registry import (
    MESSAGE_BYTES,
    Challenge,
    Done,
    Failure,
    GoingAway,
    Mail,
    NodeMessage,
    Open,
    Ping,
    Register,
    Registered,
    RelayOffer,
    Retired,
    ServerMessage,
    Superseded,
    parse_server_message,
)
from comity.protocol.statements import Predecessor
from comity.transport.interface import Buffer, RendezvousListener
from comity.transport.rendezvous_calls import Calls, check_address, encode_request, refusal
from comity.transport.rendezvous_pushes import Pushes

log = logging.getLogger("comity.transport")

S = TypeVar("S", Challenge, Registered)
_FIRST_REGISTRATION = 1


class SupersededHere(RendezvousRefused):
    """Another process registered with this node's key; the rendezvous serves the newer one."""

    code = "superseded"
    default_hint = "stop the other daemon, or this one: comity down"


class FrameChannel(Protocol):
    """What of a SecureChannel is used here; the in-memory network has one too."""

    peer: PublicKey
    remote: str
    via: str
    tls: str
    cipher: str
    group: str

    async def write_frame(self, kind: Kind, *parts: Buffer) -> None:
        """One frame. LinkLost."""

    async def read_frame(self, limit: int) -> tuple[Kind, bytes]:
        """The next frame, its body at most ``limit`` bytes. LinkLost, RemoteProtocolError."""
        ...

    def dismiss(self) -> None:
        """End, with close_notify where that needs no waiting."""


class Registrar(Protocol):
    """Signs a registration over the challenge's nonce (hexadecimal): ``Notary.registration``."""

    def __call__(self, nonce: str, *, hostname: str, public: bool, tags: tuple[str, ...]) -> Envelope: ...


@dataclass(frozen=True)
class Claim:
    """What a node says of itself when it registers."""

    hostname: str
    public: bool
    tags: tuple[str, ...]
    sealing_key: Envelope


class Connection:
    """``claim`` is asked for what to register at the start, when told to ``renew``, and at each heartbeat.
    ``succeeded`` is told once this node is registered: it has taken its ``predecessor`` over, if it has one.
    """

    def __init__(
        self,
        channel: FrameChannel,
        listener: RendezvousListener,
        claim: Callable[[], Claim],
        register: Registrar,
        *,
        network: int,
        instance: str,
        clock: Clock,
        invitation: str | None = None,
        predecessor: Predecessor | None = None,
        succeeded: Callable[[], None] = lambda: None,
    ) -> None:
        self._channel = channel
        self._claim = claim
        self._register = register
        self._network = network
        self._instance = instance
        self._invitation = invitation
        self._predecessor = predecessor
        self._succeeded = succeeded
        self._clock = clock
        self._nonce = ""
        self._claimed: Claim | None = None
        self._changed = asyncio.Event()
        self._pushes = Pushes(listener)
        self.calls = Calls(self._write, _FIRST_REGISTRATION + 1)
        self.registered: Registered | None = None
        self.skew = 0.0

    def renew(self) -> None:
        """Register again, soon, if there is anything new to claim."""
        self._changed.set()

    async def open(self) -> None:
        """Register. Raises what the server refuses with, TimedOut, LinkLost, RemoteProtocolError."""
        try:
            async with asyncio.timeout(limits.RENDEZVOUS_ANSWER_TIMEOUT):
                await self._open()
        except TimeoutError:
            raise TimedOut("the rendezvous took too long to register this node") from None

    async def serve(self) -> NoReturn:
        """Beat, answer and push until the connection ends; raises why. SupersededHere is final."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (self._read_on(), self._keep_up(), self._pushes.hand_out()):
                    tasks.create_task(part)
        except ExceptionGroup as group:
            raise _cause(group) from group
        raise RendezvousUnreachable("the connection ended")  # no part returns

    def end(self, reason: str) -> None:
        """Let go of the link and of everybody who waits for an answer."""
        self.calls.end(reason)
        self._channel.dismiss()

    # ── registration ──────────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> None:
        hello = Open(oldest=OLDEST_VERSION, newest=VERSION, network=self._network, instance=self._instance)
        challenge = await self._exchange(hello, Challenge)
        if not OLDEST_VERSION <= challenge.version <= VERSION:
            raise VersionMismatch(f"the rendezvous chose version {challenge.version}, which was not offered")
        self.skew = challenge.time - self._clock.now()
        self._nonce = challenge.nonce
        claim = self._claim()
        self._accept(await self._exchange(self._registration(_FIRST_REGISTRATION, claim), Registered), claim)

    async def _exchange(self, message: NodeMessage, expected: type[S]) -> S:
        await self._write(encode_request(message))
        answer = await self._read()
        if isinstance(answer, Failure):
            raise refusal(answer)
        if not isinstance(answer, expected):
            said = type(answer).__name__.lower()
            raise RemoteProtocolError(f"the rendezvous said {said} instead of {expected.__name__.lower()}")
        return answer

    def _registration(self, number: int, claim: Claim) -> Register:
        statement = self._register(self._nonce, hostname=claim.hostname, public=claim.public, tags=claim.tags)
        return Register(
            id=number,
            statement=statement.to_json().decode(),
            sealing_key=claim.sealing_key.to_json().decode(),
            invitation=self._invitation,
            predecessor=None if self.registered else self._predecessor,
        )

    def _accept(self, answer: Registered, claim: Claim) -> None:
        if answer.hostname != claim.hostname:
            raise RemoteProtocolError("the rendezvous registered this node under another name")
        check_address(answer.address, self._network)
        endpoint = parse_candidate(answer.observed)
        answer = msgspec.structs.replace(answer, observed="" if endpoint is None else str(endpoint))
        if self.registered is None:
            self._pushes.put(answer)
            self._succeeded()
        self.registered, self._claimed = answer, claim

    # ── the link's three tasks ────────────────────────────────────────────────────────────────────────

    async def _read_on(self) -> NoReturn:
        while True:
            try:
                async with asyncio.timeout(limits.RENDEZVOUS_DEAD_AFTER):
                    message = await self._read()
            except TimeoutError:
                raise RendezvousUnreachable(
                    f"nothing was heard for {limits.RENDEZVOUS_DEAD_AFTER:g} seconds"
                ) from None
            self._take(message)

    def _take(self, message: ServerMessage) -> None:
        match message:
            case Mail() | RelayOffer() | Retired():
                self._pushes.put(message)
            case Superseded():
                if message.instance != self._instance:
                    raise SupersededHere("another daemon with this node's key has registered")
                raise RendezvousUnreachable("a newer connection of this daemon took the place of this one")
            case GoingAway() | Failure(id=0):
                raise refusal(message)
            case Challenge():
                raise RemoteProtocolError("the rendezvous sent a challenge out of place")
            case _:
                self.calls.answer(message)

    async def _keep_up(self) -> NoReturn:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.RENDEZVOUS_HEARTBEAT):
                    await self._changed.wait()
            self._changed.clear()
            claim = self._current_claim()
            try:
                if claim is None or claim == self._claimed:
                    await self.calls.ask(lambda number: Ping(id=number), Done)
                else:
                    await self._register_again(claim)
            except (NameTaken, NotAdmitted, KeyRetired):
                raise
            except RendezvousRefused as error:  # tried again at the next heartbeat
                log.warning("the rendezvous refused: %s", error.message)

    def _current_claim(self) -> Claim | None:
        """What is to be claimed now; as before, where this node can't say (its disk is full, say)."""
        try:
            return self._claim()
        except ComityError as error:
            log.warning("nothing new is registered: %s", error.message)
            return self._claimed

    async def _register_again(self, claim: Claim) -> None:
        answer = await self.calls.ask(lambda number: self._registration(number, claim), Registered)
        self._accept(answer, claim)

    # ── frames ────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self, body: bytes) -> None:
        await self._channel.write_frame(Kind.DATA, body)

    async def _read(self) -> ServerMessage:
        kind, body = await self._channel.read_frame(MESSAGE_BYTES)
        if kind is Kind.REFUSED:
            raise RendezvousRefused(
                f"the rendezvous refused the connection: {printable(parse_refused(body).reason, 200)}"
            )
        if kind is not Kind.DATA:
            raise RemoteProtocolError(f"the rendezvous sent a frame of kind {kind.name.lower()}")
        return parse_server_message(body)


def _cause(group: ExceptionGroup[Exception]) -> Exception:
    """Why the link's tasks ended: our own bug before anything else, as it must not pass for a lost link."""
    bugs = group.split(ComityError)[1]
    if bugs is not None:
        return bugs
    first: Exception = group
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first
