"""Who may read: the audience of what is published now, and whether a reader is in that of an event.

An audience is frozen at publication (SECURITY.md rule 13): it names keys, and the agreement of each. A reader
sees an event if it is in its audience under the agreement that is in force now, or one that this replaced
without a gap. So nothing is read that was published before the approval, or under an agreement that was
revoked or ran out since. Where a charter governs, a peer is in the audience of the topics that it lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.events.messages import NewEvent
from comity.protocol.events.topics import Filter
from comity.services.events.surroundings import SERVICE, Surroundings
from comity.services.events.terms import Asked, operations
from comity.storage.events import Row


@dataclass(frozen=True)
class Frozen:
    """An audience as it is stored: its number, and how many are in it."""

    id: int
    size: int


class Audiences:
    """The audience of now. The guard is asked about each peer once per agreement, not once per event; about
    those that a charter governs, for each run of events.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._judged: dict[tuple[str, str], bool] = {}
        self._asked = Asked(around.guard, around.clock)
        self._members: dict[str, str] = {}
        self._governed: dict[PublicKey, str] = {}
        self._frozen: Frozen | None = None
        self._version = (-1, -1)
        self._until = 0.0

    def now(self, events: Sequence[NewEvent]) -> Frozen:
        """Who reads these events of one topic; inside the transaction that publishes them. Raises what
        ``Guard.check`` does.
        """
        now = self._around.clock.now()
        version = (self._around.trust.version, self._around.guard.version)
        if self._frozen is None or version != self._version or now >= self._until:
            self._frozen = self._freeze()
            self._version = version
        under = {key: digest for key, digest in self._governed.items() if self._listed(key, digest, events)}
        if not under:
            return self._frozen
        members = self._members | {key.hex: digest for key, digest in under.items()}
        return Frozen(self._around.store.audience(members), len(members))

    def _listed(self, peer: PublicKey, agreement: str, events: Sequence[NewEvent]) -> bool:
        asked = operations("publish", peer, events, agreement=agreement)
        return all(self._asked.allowed(operation) for operation in asked)

    def only(self, peer: PublicKey, agreement: str) -> Frozen:
        """An audience of one."""
        return Frozen(self._around.store.audience({peer.hex: agreement}), 1)

    def forget(self) -> None:
        """What was found in a transaction that was undone is neither stored nor on record."""
        self._frozen = None
        self._judged = {}

    def _freeze(self) -> Frozen:
        judged: dict[tuple[str, str], bool] = {}
        self._until = float("inf")
        self._governed = {}
        for known in self._around.trust.trusted_peers():
            agreement = known.agreement
            if self._around.guard.governs(known.key):
                self._governed[known.key] = agreement.digest
                self._until = min(self._until, agreement.until)
                continue
            pair = known.key.hex, agreement.digest
            judged[pair] = self._judged[pair] if pair in self._judged else self._ask(known.key, pair[1])
            self._until = min(self._until, agreement.until)
        self._judged = judged
        self._members = {key: digest for (key, digest), allowed in judged.items() if allowed}
        return Frozen(self._around.store.audience(self._members), len(self._members))

    def _ask(self, peer: PublicKey, agreement: str) -> bool:
        operation = Operation(kind="publish", peer=peer, service=SERVICE, agreement=agreement)
        return self._around.guard.check(operation).allowed


class Reader:
    """One subscriber's view of the broker. ``own``: this node's user, who reads what peers left here."""

    def __init__(self, around: Surroundings, key: PublicKey, wanted: Filter, sender: str | None) -> None:
        self.wanted = wanted
        self.own = key == around.own
        self._around = around
        self._key = key
        self._sender = sender
        self._version = -1
        self._lineage: frozenset[str] = frozenset()
        self._member: dict[int, bool] = {}

    @property
    def admitted(self) -> bool:
        """Whether it may read at all, now."""
        return self.own or self._around.trust.known(self._key) is not None

    def sees(self, row: Row) -> bool:
        """Whether it asked for an event and may read it."""
        event = row.event
        if self.own:
            mine = event.sender is not None and self._sender in (None, event.sender)
        else:
            mine = row.audience is not None and self._is_member(row.audience)
        return mine and self.wanted.matches(event.topic)

    def _is_member(self, audience: int) -> bool:
        if self._around.trust.version != self._version:
            self._version = self._around.trust.version
            self._lineage = self._around.trust.lineage(self._key)
            self._member.clear()
        found = self._member.get(audience)
        if found is None:
            agreement = self._around.store.members(audience).get(self._key.hex)
            found = self._member[audience] = agreement in self._lineage
        return found
