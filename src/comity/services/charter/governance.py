"""What charters say of an operation, and what is counted under them: the guard asks here.

It reads which charter is in force with a peer, asks its policy with the counters of the running periods, and
reserves or counts, all in the guard's transaction, so that no two operations are given the same last unit. It
records nothing and ends nothing: the guard and the service do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from comity.clock import Clock
from comity.identity.keys import PublicKey
from comity.policy.charter.flow import ACTS, COUNTED, TAKING
from comity.policy.charter.model import Limit
from comity.policy.charter.ruling import Question, Reason
from comity.policy.charter.words import Operation as Act
from comity.policy.operation import Operation
from comity.protocol.charter.terms import Line
from comity.services.charter.anomalies import Watch, impostor
from comity.services.charter.library import Library, Volume
from comity.services.charter.periods import period_name
from comity.storage.charter import CharterStore
from comity.storage.database import Database
from comity.storage.usage import Charge, ChartedTransfer, Direction, UsageStore

#: Which operation of a charter each of ours is.
_ACTS: dict[str, Act] = {
    "connect": "connect",
    "accept": "connect",
    "send": "send",
    "receive": "receive",
    "publish": "publish",
    "subscribe": "subscribe",
    "forward": "forward",
    "expose": "expose",
}
#: What carries statements about charters, and evidence of what was done under them: an agreement is enough.
_CARRIERS = frozenset({"session", "witness"})
DIRECTIONS: dict[str, Direction] = {"send": "out", "receive": "in"}


@dataclass(frozen=True)
class Verdict:
    """``charter``: under which one it happens, or would. ``charges`` are due if it does. ``anomaly``: the
    reason is a rule that suspends the partner.
    """

    allowed: bool
    reasons: tuple[Reason, ...]
    charter: str | None = None
    lineage: str | None = None
    charges: tuple[Charge, ...] = ()
    anomaly: bool = False


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
    ) -> None:
        self._db = db
        self._store = store
        self._usage = usage
        self._library = library
        self._own = str(own.fingerprint)
        self._clock = clock
        self._suspend = suspend
        self._watch = Watch(usage, clock)

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else judges or counts meanwhile, no other process either."""
        return self._db.transaction()

    def governs(self, peer: PublicKey) -> bool:
        """Whether a charter was ever in force with this peer: from then on, none in force means no."""
        return bool(self._governing(str(peer.fingerprint)))

    @property
    def version(self) -> int:
        """Changes whenever what is in force or suspended may have."""
        return self._store.version

    def in_force(self, peer: PublicKey) -> tuple[str, ...]:
        """The digests of the charters that operations with this peer may name, the oldest line first."""
        party = str(peer.fingerprint)
        lines = (line.in_force for line in self._governing(party))
        return tuple(terms.digest for terms in lines if terms and party in terms.parties)

    def judge(self, operation: Operation) -> Verdict | None:
        """What charters say; None where they have no say. Nothing is counted yet."""
        party = str(operation.peer.fingerprint)
        if operation.kind == "handshake" or operation.service in _CARRIERS:
            return None
        lines = self._governing(party)
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
        if not verdict.allowed or verdict.charter is None:
            return verdict
        anomalies = self._library.get(verdict.charter).charter.anomalies
        objection = self._watch.objection(operation, anomalies)
        if objection is None:
            return verdict
        return Verdict(False, (objection,), verdict.charter, verdict.lineage, anomaly=True)

    def heed(self, operation: Operation, verdict: Verdict, *, allowed: bool) -> None:
        """What follows from a decision that was recorded, in the guard's transaction: a suspension, maybe."""
        if allowed:
            self._watch.passed(operation)
        elif verdict.anomaly:
            self._act(operation.peer, verdict.lineage, verdict.charter, verdict.reasons[0])
        elif not self._store.suspensions(str(operation.peer.fingerprint)):
            for digest in self.in_force(operation.peer):
                volume = self._library.get(digest)
                met = self._watch.denied(operation, volume.charter.anomalies)
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

    def _governing(self, party: str) -> list[Line]:
        return [line for line in self._store.lines() if line.governs(party)]

    # ── one charter ───────────────────────────────────────────────────────────────────────────────────

    def _rule(self, line: Line, operation: Operation) -> Verdict:
        terms = line.in_force
        volume = None if terms is None else self._library.enforceable(terms)
        if terms is None or volume is None:
            return _no("policy", "this program makes another policy of the charter than was signed")
        asked = _ACTS[operation.kind]
        party, own = str(operation.peer.fingerprint), self._own
        actor, other = (party, own) if operation.actor_is_peer else (own, party)
        giver, taker = (other, actor) if asked in TAKING else (actor, other)
        now = self._clock.now()
        periods = {clause: period_name(limit.per, now) for clause, limit in _limits(volume)}
        used = self._used(line, operation, giver, taker, periods)
        size = operation.bytes or 0
        ruling = volume.policy.rule(
            Question(
                operation=asked,
                actor=actor,
                peer=other,
                now=now,
                digest=operation.digest or "",
                signer=operation.signer or "",
                format=operation.format or "",
                bytes=size,
                topic=operation.topic or "",
                port=operation.port or 0,
                used=_raised(volume, used, operation.units - 1),
            )
        )
        if not ruling.allowed:
            return Verdict(False, ruling.reasons, terms.digest, line.lineage)
        describing = {reason.clause for reason in ruling.reasons}
        charges = tuple(
            Charge(
                clause, giver, taker, periods[clause], size if limit.counts == "bytes" else operation.units
            )
            for clause, limit in _limits(volume)
            if ACTS[asked] in COUNTED[limit.counts] and _counts(clause, describing)
        )
        return Verdict(True, ruling.reasons, terms.digest, line.lineage, charges)

    def _used(
        self, line: Line, operation: Operation, giver: str, taker: str, periods: dict[str, str]
    ) -> dict[str, int]:
        """The counters, without what this very transfer has reserved before."""
        used = self._usage.used(line.lineage, giver, taker, periods)
        direction = DIRECTIONS.get(operation.kind)
        if direction is None or operation.transfer is None:
            return used
        party = str(operation.peer.fingerprint)
        own = self._usage.charged(line.lineage, party, direction, operation.transfer)
        return {clause: max(0, count - own.get(clause, 0)) for clause, count in used.items()}


def _limits(volume: Volume) -> list[tuple[str, Limit]]:
    """Every limit of a charter with its clause."""
    charter = volume.charter
    found = [(f"limits.{limit.id}", limit) for limit in charter.limits]
    for permission in charter.permissions:
        found += [(f"permissions.{permission.id}.limits.{limit.id}", limit) for limit in permission.limits]
    counted = set(volume.policy.compiled.limits)
    return [(clause, limit) for clause, limit in found if clause in counted]


def _counts(clause: str, describing: set[str]) -> bool:
    """Whether a limit counts what these permissions describe."""
    return clause.startswith("limits.") or clause.split(".limits.")[0] in describing


def _raised(volume: Volume, used: dict[str, int], more: int) -> dict[str, int]:
    """Several at once are asked about as the last of them, none at all as if one less had been counted."""
    if more == 0:
        return used
    counts = dict(_limits(volume))
    return {
        clause: max(0, count + (0 if counts[clause].counts == "bytes" else more))
        for clause, count in used.items()
    }


def _absent(lines: list[Line]) -> str:
    ended = [line.ending for line in lines if line.ending is not None]
    if ended:
        return f"the charter has ended: {ended[-1].reason or 'no reason was given'}"
    return "no charter is in force with this peer any more, and one was"


def _no(clause: str, text: str) -> Verdict:
    return Verdict(False, (Reason(clause, text),))
