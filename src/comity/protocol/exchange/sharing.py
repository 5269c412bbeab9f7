"""Who may write next: transfers share the wire, and a bound on it, fairly (docs: protocol, "Exchange", pace).

Every peer gets the same share, whatever the number of its transfers, and these share theirs alike: start-time
fair queueing on two levels (Goyal, Vin, Cheng 1996), served from a bucket that the rate fills. Who is slow
because its line is slow doesn't ask, and what it leaves goes to the others.

Without a rate nothing is held back but this: while several peers are being sent to, each has one transfer
writing at a time, so that the lines' own fairness, which counts connections, counts peers. A transfer that
hangs doesn't hold its peer's place for more than ``HOLD``.

Pure: bytes and monotonic seconds are arguments. It neither waits nor writes (``services.exchange.pacer``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Seconds after which one that writes no longer keeps its peer's other transfers waiting.
HOLD = 1.0
#: Seconds of a rate that may be caught up on at once, because threads wake late.
BURST = 0.05
#: Bytes that are granted at once where anything has to be shared: a few, so that turns come often.
SLICE = 256 * 1024
#: Never less, one TLS record: smaller ones cost more than they carry.
LEAST_SLICE = 16 * 1024


@dataclass
class _Bucket:
    """``rate`` bytes a second; without one it is never empty."""

    rate: int | None
    ready_at: float = float("-inf")

    def take(self, size: int, now: float) -> None:
        if self.rate is not None:
            self.ready_at = max(self.ready_at, now - BURST) + size / self.rate


@dataclass
class _Member:
    peer: str
    bucket: _Bucket
    order: int
    tag: float
    size: int = 0  # that it waits for; 0 while it doesn't
    wrote_at: float | None = None  # when it was let in, until it asks again or pauses


@dataclass
class _Peer:
    tag: float
    clock: float = 0.0  # its transfers' virtual time
    members: set[int] = field(default_factory=set)


class Sharing:
    """Transfers are known by any number. ``rate`` bounds all of them together; None does not."""

    def __init__(self, rate: int | None = None) -> None:
        self._bucket = _Bucket(rate)
        self._members: dict[int, _Member] = {}
        self._peers: dict[str, _Peer] = {}
        self._clock = 0.0  # the peers' virtual time: the tag of the last that was served
        self._joined = 0

    def join(self, transfer: int, peer: str, rate: int | None = None) -> None:
        """A transfer to ``peer`` takes part; ``rate`` is a bound of its own."""
        account = self._peers.setdefault(peer, _Peer(self._clock))
        account.members.add(transfer)
        self._joined += 1
        self._members[transfer] = _Member(peer, _Bucket(rate), self._joined, account.clock)

    def leave(self, transfer: int) -> None:
        """It is over; one that is not known is no mistake."""
        member = self._members.pop(transfer, None)
        if member is not None:
            account = self._peers[member.peer]
            account.members.discard(transfer)
            if not account.members:
                del self._peers[member.peer]

    def free(self, transfer: int) -> bool:
        """Whether it may write all it likes without asking: alone, and without a bound."""
        alone = len(self._peers) == 1
        return alone and self._bucket.rate is None and self._members[transfer].bucket.rate is None

    def slice(self, transfer: int) -> int:
        """How many bytes to ask for at once: a twentieth of a second of the tightest bound."""
        bounds = (self._bucket.rate, self._members[transfer].bucket.rate)
        tightest = min((rate for rate in bounds if rate is not None), default=None)
        return SLICE if tightest is None else max(LEAST_SLICE, min(SLICE, tightest // 20))

    def ask(self, transfer: int, size: int) -> None:
        """It wants to write ``size`` bytes, and has written what it was granted before."""
        member = self._members[transfer]
        member.size, member.wrote_at = size, None

    def pause(self, transfer: int) -> None:
        """It has written what it was granted, and wants nothing for now."""
        member = self._members.get(transfer)
        if member is not None:
            member.size, member.wrote_at = 0, None

    def grant(self, now: float) -> list[int]:
        """Those that may write what they asked for from now on."""
        granted: list[int] = []
        while self._bucket.ready_at <= now:
            ready = [number for number, member in self._members.items() if self._opens_at(member, now) <= now]
            if not ready:
                break
            chosen = min(ready, key=self._rank)
            self._serve(self._members[chosen], now)
            granted.append(chosen)
        return granted

    def next_at(self, now: float) -> float | None:
        """When ``grant`` may find another, if nobody asks or pauses before; None where nobody waits."""
        opens = [self._opens_at(member, now) for member in self._members.values() if member.size]
        return max(min(opens), self._bucket.ready_at) if opens else None

    def _opens_at(self, member: _Member, now: float) -> float:
        """When it could be served, but for the common bound."""
        if not member.size:
            return float("inf")
        return max(member.bucket.ready_at, self._place_at(member.peer, now))

    def _place_at(self, peer: str, now: float) -> float:
        """When the peer may have one more that writes."""
        if len(self._peers) == 1:
            return float("-inf")
        members = (self._members[number] for number in self._peers[peer].members)
        held = (member.wrote_at + HOLD for member in members if member.wrote_at is not None)
        return max((until for until in held if until > now), default=float("-inf"))

    def _rank(self, number: int) -> tuple[float, float, int]:
        member = self._members[number]
        return max(self._peers[member.peer].tag, self._clock), member.tag, member.order

    def _serve(self, member: _Member, now: float) -> None:
        account, size = self._peers[member.peer], member.size
        self._clock = max(account.tag, self._clock)
        account.tag = self._clock + size
        account.clock = max(member.tag, account.clock)
        member.tag = account.clock + size
        self._bucket.take(size, now)
        member.bucket.take(size, now)
        member.size, member.wrote_at = 0, now
