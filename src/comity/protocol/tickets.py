"""The ticket book: which two keys may meet at the relay, on which side, and until when (SECURITY.md rule 8).

A lane has two tickets of 256 bits, one for each role, bound to the network and to both keys; each opens its
own side once, within ``limits.TICKET_LIFETIME``. The book holds their SHA-256 digests only, so a copy of its
memory opens nothing. It pairs the sides of one lane and of no other.

It draws no tickets (entropy is an argument), reads no clock, and moves no bytes: ``rendezvous.relay`` does.
What a stolen ticket is worth: a place on a blind wire, at whose other end TLS expects the key that was
dialled.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from enum import Enum

from comity import limits
from comity.errors import LocalProtocolError, RateLimited


class Role(Enum):
    DIALLER = "dialler"
    ACCEPTOR = "acceptor"


@dataclass(frozen=True)
class Lane:
    """One meeting of two keys (32 raw bytes each) at the relay; ``number`` tells lanes apart."""

    number: int
    network: int
    dialler: bytes
    acceptor: bytes
    expires: float

    def key(self, role: Role) -> bytes:
        return self.dialler if role is Role.DIALLER else self.acceptor


@dataclass(frozen=True)
class Seat:
    """What a redeemed ticket opens: one side of one lane."""

    lane: Lane
    role: Role


class TicketBook:
    """The tickets that are out. Lanes count against their dialler until both sides came or time is up."""

    def __init__(self) -> None:
        self._number = 0
        self._seats: dict[bytes, Seat] = {}  # by the ticket's digest
        self._open: dict[int, Lane] = {}  # oldest first, and so in the order in which they expire
        self._came: set[tuple[int, Role]] = set()
        self._asked: Counter[tuple[int, bytes]] = Counter()

    def __len__(self) -> int:
        """Lanes whose two sides have not both come."""
        return len(self._open)

    def issue(
        self, network: int, dialler: bytes, acceptor: bytes, tickets: tuple[bytes, bytes], now: float
    ) -> Lane:
        """Enter a lane; ``tickets`` are two fresh secrets, the dialler's first.

        RateLimited while the dialler has ``limits.TICKETS_PER_NODE`` lanes that have not met.
        """
        if any(len(ticket) != limits.TICKET_BYTES for ticket in tickets) or tickets[0] == tickets[1]:
            raise LocalProtocolError(f"a lane takes two different tickets of {limits.TICKET_BYTES} bytes")
        self.expire(now)
        if self._asked[network, dialler] >= limits.TICKETS_PER_NODE:
            raise RateLimited("too many relay tickets are out for this node")
        self._number += 1
        lane = Lane(self._number, network, dialler, acceptor, now + limits.TICKET_LIFETIME)
        self._open[lane.number] = lane
        self._asked[network, dialler] += 1
        for ticket, role in zip(tickets, Role, strict=True):
            self._seats[_digest(ticket)] = Seat(lane, role)
        return lane

    def redeem(self, ticket: bytes, now: float) -> Seat | None:
        """The seat that ``ticket`` opens, once; None where it is unknown, used or expired."""
        self.expire(now)
        seat = self._seats.pop(_digest(ticket), None)
        if seat is None:
            return None
        self._came.add((seat.lane.number, seat.role))
        if all((seat.lane.number, role) in self._came for role in Role):
            self._close(seat.lane)
        return seat

    def expire(self, now: float) -> list[Lane]:
        """Forget lanes whose time is up; these are they, oldest first."""
        late: list[Lane] = []
        for lane in self._open.values():
            if lane.expires > now:
                break
            late.append(lane)
        for lane in late:
            self._close(lane)
        if late:
            gone = {lane.number for lane in late}
            self._seats = {
                digest: seat for digest, seat in self._seats.items() if seat.lane.number not in gone
            }
        return late

    def _close(self, lane: Lane) -> None:
        del self._open[lane.number]
        self._came -= {(lane.number, role) for role in Role}
        asker = (lane.network, lane.dialler)
        self._asked[asker] -= 1
        if not self._asked[asker]:
            del self._asked[asker]


def _digest(ticket: bytes) -> bytes:
    return hashlib.sha256(ticket).digest()
