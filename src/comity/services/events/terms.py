"""Events as the guard is asked about them where a charter governs: by topic, with their number and bytes.

Without a charter one question opens a peer's events as a whole; under one, each run of events with the same
topic is an operation that limits count. What was denied is asked again after a while, not for each event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from comity import limits
from comity.clock import Clock
from comity.identity.keys import PublicKey
from comity.policy.operation import Kind, Operation
from comity.protocol.events.messages import NewEvent, StoredEvent, size_of
from comity.services.events.surroundings import SERVICE
from comity.services.guard import Guard

Some = Sequence[NewEvent] | Sequence[StoredEvent]


def runs(events: Sequence[NewEvent]) -> Iterator[list[NewEvent]]:
    """Neighbours with one topic."""
    for _, run in groupby(events, lambda event: event.topic):
        yield list(run)


def operations(
    kind: Kind,
    peer: PublicKey,
    events: Some,
    *,
    agreement: str | None = None,
    charter: str | None = None,
    by_peer: bool = False,
) -> Iterator[Operation]:
    """One operation for each topic among these events."""
    for topic in dict.fromkeys(event.topic for event in events):
        sizes = [size_of(event) for event in events if event.topic == topic]
        yield Operation(
            kind=kind,
            peer=peer,
            service=SERVICE,
            agreement=agreement,
            charter=charter,
            name=topic,
            topic=topic,
            units=len(sizes),
            bytes=sum(sizes),
            by_peer=by_peer,
        )


class Asked:
    """Remembers denials for ``limits.EVENTS_DENIED_SECONDS``, so that publishing does not fill the log."""

    def __init__(self, guard: Guard, clock: Clock) -> None:
        self._guard = guard
        self._clock = clock
        self._denied: dict[tuple[PublicKey, str, tuple[str, ...]], float] = {}

    def allowed(self, operation: Operation) -> bool:
        """Whether it is, counted and on record if so."""
        key = (operation.peer, operation.topic or "", self._guard.in_force(operation.peer))
        now = self._clock.monotonic()
        if self._denied.get(key, 0.0) > now:
            return False
        if self._guard.check(operation).allowed:
            return True
        if len(self._denied) >= limits.EVENTS_DENIED_KEPT:
            self._denied.clear()
        self._denied[key] = now + limits.EVENTS_DENIED_SECONDS
        return False
