"""The relay: two sides that hold the two tickets of one lane are joined, and never look at each other's bytes
here.

    RELAY_PREFACE ‖ ticket in hexadecimal ‖ line feed       each side, as its connection's first bytes
    RELAY_READY                                             the server, to both, once both are there

Whoever shows a ticket that opens nothing, or talks before the other side is there, is cut off without a byte.
This module pairs; ``protocol.tickets`` decides what a ticket opens, ``wires`` carries the bytes.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import LinkLost, RateLimited, RemoteProtocolError, TimedOut
from comity.protocol.registry import RELAY_PREFACE, RELAY_PREFACE_BYTES, RELAY_READY
from comity.protocol.tickets import Lane, Role, Seat, TicketBook
from comity.rendezvous.journal import Journal
from comity.rendezvous.manager import KeptLane
from comity.rendezvous.meters import Meters
from comity.rendezvous.presence import NodeKey
from comity.rendezvous.quotas import exceeded
from comity.rendezvous.terms import Terms
from comity.rendezvous.usage import Usage
from comity.rendezvous.wire import Carried, Pace, Wire
from comity.rendezvous.wires import Wires
from comity.transport.readiness import Readiness


class TicketRefused(RemoteProtocolError):
    """Not a ticket, or one that is unknown, used or expired."""

    code = "relay_ticket_refused"


@dataclass
class _Waiting:
    """``over`` is done when there is nothing more to wait for; ``joined``: because the other side came."""

    sock: socket.socket
    readiness: Readiness
    over: asyncio.Future[None]
    joined: bool = False


@dataclass
class _Running:
    """A lane that carries bytes, and how many of them are counted."""

    lane: Lane
    wire: Wire
    there: int = 0
    back: int = 0


class Relay:
    """Use it from the event loop's thread. It carries ``most`` lanes at once."""

    def __init__(
        self,
        wires: Wires,
        clock: Clock,
        entropy: Entropy,
        journal: Journal,
        terms: Terms,
        usage: Usage,
        meters: Meters,
        most: int = limits.RELAY_LANES,
    ) -> None:
        self._terms = terms
        self._usage = usage
        self._meters = meters
        self._paces: dict[NodeKey, Pace] = {}
        self._wires = wires
        self._clock = clock
        self._entropy = entropy
        self._journal = journal
        self._most = most
        self._book = TicketBook()
        self._waiting: dict[int, _Waiting] = {}
        self._lanes: Counter[NodeKey] = Counter()
        self._sides: dict[socket.socket, _Running] = {}  # by the dialler's
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        """Lanes that carry bytes."""
        return len(self._sides)

    def lanes_of(self, network: int, key: bytes) -> int:
        """How many of them one node has."""
        return self._lanes[network, key]

    def measure(self) -> None:
        """Count what moved since the last time, and end the lanes of who has used up a quota."""
        for running in list(self._sides.values()):
            self._count(running, *running.wire.carried)
            lane, quotas = running.lane, self._terms.of(running.lane.network)
            over = self._usage.of_network(lane.network) >= quotas.relay_day or any(
                self._usage.of((lane.network, key)) >= quotas.node_relay_day
                for key in (lane.dialler, lane.acceptor)
            )
            for node in ((lane.network, lane.dialler), (lane.network, lane.acceptor)):
                if node in self._paces:
                    self._paces[node].rate = quotas.node_relay_rate
            if over:
                self._journal.refused("quota_exceeded", lane=lane.number, network=lane.network)
                self._wires.cut(running.wire)

    def _count(self, running: _Running, there: int, back: int) -> None:
        lane = running.lane
        for key, now, before in ((lane.dialler, there, running.there), (lane.acceptor, back, running.back)):
            self._usage.add((lane.network, key), now - before)
            self._meters.relayed[lane.network] += now - before
        running.there, running.back = there, back

    def _pace(self, network: int, key: bytes) -> Pace | None:
        """One for all lanes of a node that has a quota on its rate."""
        rate = self._terms.of(network).node_relay_rate
        if rate >= limits.RELAY_BYTES_MOST:
            return None
        return self._paces.setdefault((network, key), Pace(rate))

    def issue(self, network: int, dialler: bytes, acceptor: bytes) -> tuple[bytes, bytes]:
        """Two tickets for one lane, the dialler's first. RateLimited, QuotaExceeded."""
        if len(self) >= self._most:
            raise RateLimited("the relay carries as many lanes as it can")
        quotas = self._terms.of(network)
        if self._lanes[network, acceptor] >= quotas.node_lanes:
            raise RateLimited("the other node has as many relay lanes as it can")
        if self._lanes[network, dialler] >= quotas.node_lanes:
            raise exceeded("this node has as many relay lanes as it can", "node_lanes")
        if self._usage.of((network, dialler)) >= quotas.node_relay_day:
            raise exceeded("this node has sent as much through the relay as it may today", "node_relay_day")
        if self._usage.of((network, acceptor)) >= quotas.node_relay_day:
            raise exceeded("the other node has sent as much as it may today", "node_relay_day")
        if self._usage.of_network(network) >= quotas.relay_day:
            raise exceeded("this network has sent as much through the relay as it may today", "relay_day")
        tickets = (self._entropy.token(limits.TICKET_BYTES), self._entropy.token(limits.TICKET_BYTES))
        self._book.issue(network, dialler, acceptor, tickets, self._clock.monotonic())
        return tickets

    async def seat(self, sock: socket.socket) -> Seat:
        """Read the preface of a new connection.

        TicketRefused, LinkLost, TimedOut; the socket stays the caller's.
        """
        preface = b""
        try:
            async with asyncio.timeout(limits.PREFACE_TIMEOUT):
                while len(preface) < RELAY_PREFACE_BYTES:
                    more = await self._loop.sock_recv(sock, RELAY_PREFACE_BYTES - len(preface))
                    if not more:
                        raise LinkLost("the connection ended before its ticket")
                    preface += more
        except TimeoutError:
            raise TimedOut("no whole ticket came in time") from None
        ticket = _ticket(preface)
        seat = None if ticket is None else self._book.redeem(ticket, self._clock.monotonic())
        if seat is None:
            raise TicketRefused("this ticket opens nothing")
        return seat

    async def take(self, sock: socket.socket, seat: Seat) -> None:
        """Join the lane's two sides, or wait for the other one, and return once this one is seen to.

        It owns the socket from the call on. TimedOut where nobody came; RemoteProtocolError or LinkLost where
        this side didn't wait.
        """
        other = self._waiting.pop(seat.lane.number, None)
        if other is None:
            await self._wait(sock, seat)
            return
        if other.over.done():  # it left or talked just now, and its own task closes it
            sock.close()
            raise LinkLost("one side left before the lane began")
        other.readiness.unwatch()
        other.joined = True
        other.over.set_result(None)
        first, second = (sock, other.sock) if seat.role is Role.DIALLER else (other.sock, sock)
        try:
            for side in (first, second):
                side.send(RELAY_READY)  # into an empty buffer: three bytes always fit
        except OSError as error:
            first.close()
            second.close()
            raise LinkLost("one side left before the lane began") from error
        self._begin(seat.lane, first, second)

    def resume(self, kept: KeptLane) -> None:
        """Go on with a lane of the server that was here before."""
        self._begin(kept.lane, kept.dialler, kept.acceptor, "lane resumed")

    async def surrender(self) -> list[KeptLane]:
        """Stop, and leave the lanes that can go on to a successor; their sockets are the caller's."""
        sides = dict(self._sides)
        pairs = await asyncio.to_thread(self._wires.surrender)
        return [KeptLane(sides[dialler].lane, dialler, acceptor) for dialler, acceptor in pairs]

    def expire(self) -> None:
        """Forget tickets whose time is up."""
        self._book.expire(self._clock.monotonic())

    async def _wait(self, sock: socket.socket, seat: Seat) -> None:
        waiting = _Waiting(sock, Readiness(sock), self._loop.create_future())
        self._waiting[seat.lane.number] = waiting

        def disturbed() -> None:
            if not waiting.over.done():
                waiting.over.set_result(None)

        waiting.readiness.watch(disturbed)
        try:
            async with asyncio.timeout(max(0.0, seat.lane.expires - self._clock.monotonic())):
                await waiting.over
            if not waiting.joined:
                raise LinkLost("one side left, or talked, before the other was there")
        except TimeoutError:
            raise TimedOut("the other side did not come to the relay") from None
        finally:
            if not waiting.joined:
                self._waiting.pop(seat.lane.number, None)
                waiting.readiness.unwatch()
                sock.close()

    def _begin(
        self, lane: Lane, dialler: socket.socket, acceptor: socket.socket, event: str = "lane began"
    ) -> None:
        for key in (lane.dialler, lane.acceptor):
            self._lanes[lane.network, key] += 1

        def ended(carried: Carried) -> None:  # on the relay's thread
            self._loop.call_soon_threadsafe(self._end, lane, dialler, carried)

        paces = self._pace(lane.network, lane.dialler), self._pace(lane.network, lane.acceptor)
        self._sides[dialler] = _Running(lane, self._wires.join(dialler, acceptor, ended, paces))
        self._journal.info(event, lane=lane.number, network=lane.network, lanes=len(self))

    def _end(self, lane: Lane, dialler: socket.socket, carried: Carried) -> None:
        self._count(self._sides.pop(dialler), carried.there, carried.back)
        for key in (lane.dialler, lane.acceptor):
            node = (lane.network, key)
            self._lanes[node] -= 1
            if not self._lanes[node]:
                del self._lanes[node]
                self._paces.pop(node, None)
        self._journal.info(
            "lane handed on" if carried.kept else "lane ended",
            lane=lane.number,
            network=lane.network,
            bytes_from_dialler=carried.there,
            bytes_from_acceptor=carried.back,
            seconds=round(carried.seconds, 3),
            lanes=len(self),
        )


def _ticket(preface: bytes) -> bytes | None:
    text = preface.removeprefix(RELAY_PREFACE)
    if len(preface) != RELAY_PREFACE_BYTES or len(text) != 2 * limits.TICKET_BYTES + 1 or text[-1:] != b"\n":
        return None
    try:
        ticket = bytes.fromhex(text[:-1].decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return None
    return ticket if ticket.hex().encode() == text[:-1] else None
