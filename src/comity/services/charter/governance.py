"""What charters say of an operation, and what is counted under them: the guard asks here.

It reads which charter is in force with a peer, asks its policy with the counters of the running periods, and
reserves or counts, all in the guard's transaction, so that no two operations are given the same last unit. It
records nothing and ends nothing: the guard and the service do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from comity.clock import Clock
from comity.identity.keys import PublicKey
from comity.policy.charter.ruling import Reason
from comity.policy.operation import Operation
from comity.protocol.charter.terms import Line
from comity.services.charter.anomalies import Watch, impostor
from comity.services.charter.judging import DIRECTIONS, Verdict, judge
from comity.services.charter.library import Library
from comity.storage.charter import CharterStore
from comity.storage.database import Database
from comity.storage.usage import ChartedTransfer, Direction, UsageStore

#: What carries statements about charters, and evidence of what was done under them: an agreement is enough.
_CARRIERS = frozenset({"session", "witness"})


#: What else a peer is or was known as here: the fingerprints of keys that it followed, and its hostname.
Former = Callable[[PublicKey], tuple[str, ...]]
#: Suspends a peer, for good: peer, lineage, charter, reason.
Suspend = Callable[[PublicKey, str, str, Reason], None]


class Governance:
    """The charters of one node, as the guard sees them."""

    def __init__(
        self,
        db: Database,
        store: CharterStore,
        usage: UsageStore,
        library: Library,
        own: PublicKey,
        clock: Clock,
        suspend: Suspend,
        former: Former,
    ) -> None:
        self._db = db
        self._store = store
        self._usage = usage
        self._library = library
        self._own = str(own.fingerprint)
        self._clock = clock
        self._suspend = suspend
        self._former = former
        self._known: tuple[int, dict[str, set[str]]] = (-1, {})  # by version of the store, then by lineage
        self._watch = Watch(usage, clock)

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else judges or counts meanwhile, no other process either."""
        return self._db.transaction()

    def governs(self, peer: PublicKey) -> bool:
        """Whether a charter was ever in force with this peer: from then on, none in force means no.

        Another key of its, or with its name, is governed as well, and has no charter until one names it.
        """
        return bool(self._governing(peer))

    @property
    def version(self) -> int:
        """Changes whenever what is in force or suspended may have."""
        return self._store.version

    def in_force(self, peer: PublicKey) -> tuple[str, ...]:
        """The digests of the charters that operations with this peer may name, the oldest line first."""
        party = str(peer.fingerprint)
        lines = (line.in_force for line in self._governing(peer))
        return tuple(terms.digest for terms in lines if terms and party in terms.parties)

    def judge(self, operation: Operation) -> Verdict | None:
        """What charters say; None where they have no say. Nothing is counted yet."""
        party = str(operation.peer.fingerprint)
        if operation.kind == "handshake" or operation.service in _CARRIERS:
            return None
        lines = self._governing(operation.peer)
        if not lines:
            if operation.charter is None:
                return None
            return _no("charter", "it names a charter, and none was ever in force with this peer")
        for suspension in self._store.suspensions(party):
            who = "this node has" if suspension.by == "us" else "the peer has"
            return _no(suspension.clause, f"{who} suspended the collaboration: {suspension.reason}")
        active = [line for line in lines if (terms := line.in_force) and party in terms.parties]
        if not active:
            return _no("charter", _absent(lines))
        if operation.charter is not None:
            active = [line for line in active if line.in_force and line.in_force.digest == operation.charter]
            if not active:
                return _no("charter", "it names another charter than the one in force here")
        elif operation.by_them:
            return _no("charter", "it names no charter, and one is in force with this peer")
        verdicts = [self._watched(self._rule(line, operation), operation) for line in active]
        return next((verdict for verdict in verdicts if verdict.allowed), verdicts[0])

    def _watched(self, verdict: Verdict, operation: Operation) -> Verdict:
        """What is allowed, unless a rule of the charter finds it suspicious."""
        if not verdict.allowed or verdict.charter is None or self._goes_on(verdict, operation):
            return verdict
        anomalies = self._library.get(verdict.charter).charter.anomalies
        objection = self._watch.objection(operation, anomalies)
        if objection is None:
            return verdict
        return Verdict(False, (objection,), verdict.charter, verdict.lineage, anomaly=True)

    def _goes_on(self, verdict: Verdict, operation: Operation) -> bool:
        """Whether it was let begin before: a transfer that goes on is no new attempt."""
        direction = DIRECTIONS.get(operation.kind)
        if direction is None or operation.transfer is None or verdict.lineage is None:
            return False
        party = str(operation.peer.fingerprint)
        return self._usage.reserved(verdict.lineage, party, direction, operation.transfer) is not None

    def heed(self, operation: Operation, verdict: Verdict, *, allowed: bool) -> None:
        """What follows from a decision that was recorded, in the guard's transaction: a suspension, maybe."""
        if allowed:
            self._watch.passed(operation)
        elif verdict.anomaly:
            self._act(operation.peer, verdict.lineage, verdict.charter, verdict.reasons[0])
        elif not self._store.suspensions(str(operation.peer.fingerprint)):
            charters = self.in_force(operation.peer)
            in_a_row = self._watch.denied(operation) if charters else 0
            for digest in charters:
                volume = self._library.get(digest)
                met = self._watch.too_many(operation, in_a_row, volume.charter.anomalies)
                if met is not None:
                    self._act(operation.peer, volume.terms.lineage, digest, met)
                    return

    def impersonated(self, peer: PublicKey) -> None:
        """Another key claims this peer's name."""
        for digest in self.in_force(peer):
            volume = self._library.get(digest)
            met = impostor(volume.charter.anomalies)
            if met is not None:
                self._act(peer, volume.terms.lineage, digest, met)
                return

    def _act(self, peer: PublicKey, lineage: str | None, charter: str | None, reason: Reason) -> None:
        """Suspend, also where the transaction that this happens in is undone."""
        if lineage is None or charter is None:
            return
        if not self._db.in_transaction:
            self._suspend(peer, lineage, charter, reason)
            return
        self._db.after_commit(lambda: self._suspend(peer, lineage, charter, reason))
        self._db.after_rollback(lambda: self._act(peer, lineage, charter, reason))

    def spend(self, operation: Operation, verdict: Verdict) -> None:
        """Count what is about to happen; in the guard's transaction."""
        if verdict.lineage is None or verdict.charter is None:
            return
        direction = DIRECTIONS.get(operation.kind)
        if direction is None or operation.transfer is None:
            self._usage.add(verdict.lineage, verdict.charges)
            return
        party = str(operation.peer.fingerprint)
        if self._usage.reserved(verdict.lineage, party, direction, operation.transfer) is not None:
            return  # taken up again
        new = ChartedTransfer(
            lineage=verdict.lineage,
            charter=verdict.charter,
            peer=party,
            transfer=operation.transfer,
            direction=direction,
            digest=operation.digest or "",
            name=operation.name or "",
            bytes=operation.bytes or 0,
            at=int(self._clock.now()),
        )
        self._usage.reserve(new, verdict.charges)

    def consumed(self, peer: PublicKey, direction: Direction, transfer: str) -> None:
        """All of a transfer was sent."""
        self._usage.consume(str(peer.fingerprint), direction, transfer)

    def released(self, peer: PublicKey, direction: Direction, transfer: str) -> None:
        """Nothing of a transfer passed."""
        self._usage.release(str(peer.fingerprint), direction, transfer)

    def _rule(self, line: Line, operation: Operation) -> Verdict:
        volume = self._library.enforceable(line.in_force) if line.in_force else None
        if volume is None:
            return _no("policy", "this program makes another policy of the charter than was signed")
        return judge(line, volume, self._usage, operation, self._own, self._clock.now())

    def _governing(self, peer: PublicKey) -> list[Line]:
        lines = self._store.lines()
        if not lines:
            return []
        known = {str(peer.fingerprint), *self._former(peer)}
        return [line for line in lines if known & self._parties(line)]

    def _parties(self, line: Line) -> set[str]:
        """Fingerprints and names of all other parties that ever stood under a line."""
        if self._known[0] != self._store.version:
            self._known = self._store.version, {}
        found = self._known[1].get(line.lineage)
        if found is not None:
            return found
        found = self._known[1][line.lineage] = set()
        for version in line.versions:
            if version.complete:
                for party in self._library.get(version.terms.digest).charter.parties:
                    if party.fingerprint != line.own:
                        found |= {party.fingerprint, party.name}
        return found


def _absent(lines: list[Line]) -> str:
    ended = [line.ending for line in lines if line.ending is not None]
    if ended:
        return f"the charter has ended: {ended[-1].reason or 'no reason was given'}"
    return "no charter is in force with this peer any more, and one was"


def _no(clause: str, text: str) -> Verdict:
    return Verdict(False, (Reason(clause, text),))
