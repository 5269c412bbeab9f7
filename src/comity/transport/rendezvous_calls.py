"""The requests of one rendezvous connection: numbered, bounded, each with a deadline and one answer.

An answer is matched by its id, must be of the kind that was asked for, and must tell of what was asked for:
the server is believed on nothing that can be checked here (docs: protocol, "Rendezvous"). A request whose
caller gave up keeps its place until the server answers it, since it keeps its place there too.

It owns no socket and no task: ``rendezvous_connection`` writes what is asked and brings the answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from comity import limits
from comity.errors import (
    ComityError,
    InvalidInput,
    KeyRetired,
    LinkLost,
    MailboxFull,
    NameTaken,
    NotAdmitted,
    PeerUnreachable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RendezvousRefused,
    RendezvousUnreachable,
    TimedOut,
    UnknownPeer,
    VersionMismatch,
)
from comity.identity.address import Address
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.registry import (
    Done,
    Failure,
    Found,
    GoingAway,
    NodeMessage,
    Posted,
    Record,
    Registered,
    Resolved,
    Ticket,
    encode_message,
    parse_node_message,
)

Answer = Registered | Resolved | Found | Posted | Done | Ticket
A = TypeVar("A", bound=Answer)

#: What a rendezvous can say no with. Its other codes, and those that are none of its business (that a key is
#: the wrong one, say), arrive as a plain refusal.
_REFUSALS: dict[str, type[ComityError]] = {
    error.code: error
    for error in (
        RendezvousRefused,
        NameTaken,
        NotAdmitted,
        KeyRetired,
        RateLimited,
        QuotaExceeded,
        MailboxFull,
        UnknownPeer,
        PeerUnreachable,
        VersionMismatch,
    )
}


class RendezvousAway(RendezvousUnreachable):
    """The rendezvous stopped in order, and says that another will be there ``within`` so many seconds."""

    code = "rendezvous_restarting"
    default_hint = "wait a moment: this node returns by itself"
    within = 1


def refusal(failure: Failure | GoingAway) -> ComityError:
    """The error that a Failure stands for, its text made fit to show; or that the server goes away."""
    if isinstance(failure, GoingAway):
        away = RendezvousAway("the rendezvous is being restarted")
        away.within = failure.within
        return away
    message = printable(failure.message, limits.CLAIM_BYTES) or "the rendezvous refused without a reason"
    return _REFUSALS.get(failure.code, RendezvousRefused)(message)


def encode_request(message: NodeMessage) -> bytes:
    """The message's JSON; InvalidInput where the server would take it for malformed."""
    body = encode_message(message)
    try:
        parse_node_message(body)
    except RemoteProtocolError as error:
        raise InvalidInput(f"the rendezvous cannot be asked this: {printable(error.message, 200)}") from error
    return body


@dataclass(frozen=True)
class _Call:
    expected: type[object]
    answered: asyncio.Future[Answer]


class Calls:
    """What was asked on one connection; ``write`` hands one encoded message to the link."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]], first: int) -> None:
        self._write = write
        self._next = first
        self._waiting: dict[int, _Call] = {}
        self._places = asyncio.Semaphore(limits.RENDEZVOUS_REQUESTS)
        self._ended: str | None = None

    async def ask(self, build: Callable[[int], NodeMessage], expected: type[A]) -> A:
        """The answer to the message that ``build`` makes of an id.

        Raises what the server refuses with, TimedOut after ``limits.RENDEZVOUS_ANSWER_TIMEOUT``,
        RendezvousUnreachable when the connection ends first, RemoteProtocolError, InvalidInput.
        """
        try:
            async with asyncio.timeout(limits.RENDEZVOUS_ANSWER_TIMEOUT):
                return await self._ask(build, expected)
        except TimeoutError:
            raise TimedOut("the rendezvous took too long to answer", hint="run comity status") from None

    async def _ask(self, build: Callable[[int], NodeMessage], expected: type[A]) -> A:
        await self._places.acquire()
        try:
            if self._ended is not None:
                raise RendezvousUnreachable(self._ended)
            body = encode_request(build(self._next))
        except BaseException:
            self._places.release()
            raise
        call = _Call(expected, asyncio.get_running_loop().create_future())
        call.answered.add_done_callback(_seen)
        self._waiting[self._next] = call
        self._next += 1
        try:
            await self._write(body)
        except LinkLost as lost:
            raise RendezvousUnreachable(f"the connection to the rendezvous ended: {lost.message}") from lost
        return cast(A, await call.answered)  # ``answer`` lets nothing but ``expected`` through

    def answer(self, message: Answer | Failure) -> None:
        """Hand an answer to whoever waits for it; RemoteProtocolError where nobody asked this."""
        call = self._waiting.pop(message.id, None)
        if call is None:
            raise RemoteProtocolError("the rendezvous answered what was not asked")
        self._places.release()
        if isinstance(message, Failure):
            _fail(call, refusal(message))
        elif type(message) is call.expected:
            if not call.answered.done():
                call.answered.set_result(message)
        else:
            error = RemoteProtocolError("the rendezvous answered another question than the one asked")
            _fail(call, error)
            raise error

    def end(self, reason: str) -> None:
        """The connection is over: whoever waits, or asks later, gets RendezvousUnreachable."""
        self._ended = reason
        for call in self._waiting.values():
            self._places.release()
            _fail(call, RendezvousUnreachable(reason))
        self._waiting.clear()


def _seen(answered: asyncio.Future[Answer]) -> None:
    """Whoever asked may be gone before it reads the error; asyncio would complain about that."""
    if not answered.cancelled():
        answered.exception()


def _fail(call: _Call, error: ComityError) -> None:
    if not call.answered.done():  # its caller may have given up
        call.answered.set_exception(error)


def check_record(record: Record, network: int) -> Record:
    """The record, if it can belong to a node of ``network``; else RemoteProtocolError."""
    PublicKey.from_hex(record.key)
    check_address(record.address, network)
    try:
        proper = normalise_hostname(record.hostname) == record.hostname
    except InvalidInput:
        proper = False
    if not proper:
        raise RemoteProtocolError("the rendezvous told of a node with an impossible name")
    return record


def check_address(text: str, network: int) -> None:
    """RemoteProtocolError unless ``text`` is an address of ``network``."""
    try:
        here = Address.parse(text).network == network
    except InvalidInput:
        here = False
    if not here:
        raise RemoteProtocolError("the rendezvous told of an address that is not in this network")
