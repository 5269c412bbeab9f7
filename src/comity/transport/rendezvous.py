"""The node's client of its rendezvous: always connected, or on the way there (docs: protocol, "Rendezvous").

Inner TLS is pinned to the join URL's fingerprint (SECURITY.md rule 7). ``rendezvous_keeper`` stays connected,
``rendezvous_connection`` registers and speaks the protocol, ``rendezvous_calls`` matches answers,
``rendezvous_pushes`` feeds the listener.

Records that it returns are well-formed and answer the question; whether their keys are the right ones is for
trust to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    ComityError,
    LocalProtocolError,
    RemoteProtocolError,
    RendezvousUnreachable,
    TooLarge,
)
from comity.identity.address import Address
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import PublicKey
from comity.protocol.registry import (
    Acknowledge,
    AskRelay,
    Done,
    Find,
    Found,
    NodeMessage,
    Post,
    Posted,
    Record,
    Reserve,
    Resolve,
    Resolved,
    Retire,
    Ticket,
)
from comity.protocol.statements import Predecessor
from comity.transport.interface import LinkInfo, RendezvousListener
from comity.transport.rendezvous_calls import A, check_record
from comity.transport.rendezvous_connection import Claim, Connection, FrameChannel, Registrar
from comity.transport.rendezvous_connector import OnLineage, PinnedConnector
from comity.transport.rendezvous_keeper import Connector, Keeper
from comity.transport.tls import Credentials
from comity.transport.way import Way


class RendezvousClient:
    """``sealing_key`` returns the certificate of the HPKE key in use, the same envelope until that changes.

    ``instance`` (32 hexadecimal digits) is drawn once per daemon start. ``predecessor`` is the key whose
    place this one takes, until it has. ``followed`` keeps what led to a rendezvous's new key. Call it from
    one event loop only. The listener's ``lost`` is told of each end of a connection and of each attempt that
    failed.
    """

    def __init__(
        self,
        join: JoinUrl,
        credentials: Credentials,
        listener: RendezvousListener,
        *,
        sealing_key: Callable[[], Envelope],
        register: Registrar,
        hostname: str,
        public: bool,
        tags: Sequence[str],
        clock: Clock,
        entropy: Entropy,
        instance: str,
        connect: Connector | None = None,
        predecessor: Predecessor | None = None,
        way: Way | None = None,
        followed: OnLineage = lambda _: None,
    ) -> None:
        self.fingerprint = join.named
        self.network = join.network
        self.authority = join.authority
        self._invitation = join.invitation
        self._predecessor = predecessor
        self._listener = listener
        self._sealing_key = sealing_key
        self._register = register
        self._hostname = hostname
        self._public = public
        self._tags = tuple(tags)
        self._clock = clock
        self._instance = instance
        connector = connect or PinnedConnector(join, credentials, way or Way(join.host, join.port), followed)
        self._keeper = Keeper(join.authority, connector, self._over, self._lost, entropy)

    async def run(self) -> None:
        """Stay connected until cancelled, or until ``rendezvous_keeper.FINAL``: ``problem`` then says why."""
        await self._keeper.run()

    # ── what status shows ─────────────────────────────────────────────────────────────────────────────

    @property
    def online(self) -> bool:
        """Whether this node is registered now."""
        return self._keeper.connection is not None

    @property
    def problem(self) -> ComityError | None:
        """Why this node is not registered, or None while it is or before the first attempt has ended."""
        return self._keeper.problem

    @property
    def link(self) -> LinkInfo | None:
        """How the connection runs, while there is one."""
        return self._keeper.link

    @property
    def skew_seconds(self) -> float | None:
        """By how much the rendezvous's clock is ahead of this machine's; None before the first connection."""
        return self._keeper.skew_seconds

    @property
    def address(self) -> str | None:
        """This node's address, while it is registered."""
        connection = self._keeper.connection
        return connection.registered.address if connection and connection.registered else None

    @property
    def observed(self) -> str | None:
        """``ip:port`` that the rendezvous saw this connection come from; None where it says no such thing."""
        connection = self._keeper.connection
        return connection.registered.observed or None if connection and connection.registered else None

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────

    async def resolve(
        self, *, hostname: str | None = None, address: str | None = None, key: PublicKey | None = None
    ) -> Record:
        """See ``interface.Rendezvous``; RemoteProtocolError for a record that answers another question."""
        if sum(given is not None for given in (hostname, address, key)) != 1:
            raise LocalProtocolError("resolve takes exactly one of hostname, address and key")
        name = None if hostname is None else normalise_hostname(hostname)
        place = None if address is None else str(Address.parse(address))
        hexadecimal = None if key is None else key.hex
        answer = await self._ask(
            lambda number: Resolve(id=number, hostname=name, address=place, key=hexadecimal), Resolved
        )
        record = check_record(answer.record, self.network)
        if (name or record.hostname, place or record.address, hexadecimal or record.key) != (
            record.hostname,
            record.address,
            record.key,
        ):
            raise RemoteProtocolError("the rendezvous answered with another node than the one asked for")
        return record

    async def find(self, tag: str | None = None) -> tuple[Record, ...]:
        """See ``interface.Rendezvous``; RemoteProtocolError for records that were not asked for."""
        answer = await self._ask(lambda number: Find(id=number, tag=tag), Found)
        for record in answer.records:
            check_record(record, self.network)
            if not record.public or (tag is not None and tag not in record.tags):
                raise RemoteProtocolError("the rendezvous listed a node that does not belong in the list")
        return answer.records

    async def post(self, recipient: PublicKey, message_id: bytes, blob: bytes, *, keep: bool) -> bool:
        """See ``interface.Rendezvous``; TooLarge for a blob over ``limits.MAIL_BYTES``."""
        if len(blob) > limits.MAIL_BYTES:
            raise TooLarge(f"a message of {len(blob)} bytes; {limits.MAIL_BYTES} is the most")
        answer = await self._ask(
            lambda number: Post(
                id=number, recipient=recipient.hex, message_id=message_id.hex(), blob=blob, keep=keep
            ),
            Posted,
        )
        return answer.delivered

    async def acknowledge(self, sender: PublicKey, message_id: bytes) -> None:
        """See ``interface.Rendezvous``."""
        await self._ask(
            lambda number: Acknowledge(id=number, sender=sender.hex, message_id=message_id.hex()), Done
        )

    async def reserve(self, senders: Sequence[PublicKey]) -> None:
        """See ``interface.Rendezvous``; beyond ``limits.RESERVED_SENDERS`` the rest count as strangers."""
        keys = tuple(sender.hex for sender in senders[: limits.RESERVED_SENDERS])
        await self._ask(lambda number: Reserve(id=number, senders=keys), Done)

    async def ask_relay(self, peer: PublicKey, call: bytes) -> bytes:
        """See ``interface.Rendezvous``."""
        answer = await self._ask(lambda number: AskRelay(id=number, peer=peer.hex, call=call.hex()), Ticket)
        return bytes.fromhex(answer.ticket)

    async def retire(self, key: PublicKey, retirement: str) -> None:
        """See ``interface.Rendezvous``; KeyRetired may end the connection before the answer comes."""
        await self._ask(lambda number: Retire(id=number, key=key.hex, retirement=retirement), Done)

    def update(self, *, public: bool, tags: Sequence[str]) -> None:
        """See ``interface.Rendezvous``."""
        self._public, self._tags = public, tuple(tags)
        if self._keeper.connection is not None:
            self._keeper.connection.renew()

    # ── what the connection asks for ──────────────────────────────────────────────────────────────────

    async def _ask(self, build: Callable[[int], NodeMessage], expected: type[A]) -> A:
        connection = await self._keeper.present()
        try:
            return await connection.calls.ask(build, expected)
        except RendezvousUnreachable:
            # Cut off by a restart. Whatever is asked may be asked twice: a message id is kept once.
            if not self._keeper.returning:
                raise
        return await (await self._keeper.present()).calls.ask(build, expected)

    def _claim(self) -> Claim:
        return Claim(self._hostname, self._public, self._tags, self._sealing_key())

    def _lost(self, problem: ComityError) -> None:
        self._listener.lost(problem)

    def _over(self, channel: FrameChannel) -> Connection:
        return Connection(
            channel,
            self._listener,
            self._claim,
            self._register,
            network=self.network,
            instance=self._instance,
            clock=self._clock,
            invitation=self._invitation,
            predecessor=self._predecessor,
            succeeded=self._succeeded,
        )

    def _succeeded(self) -> None:
        self._predecessor = None  # taken over for good
