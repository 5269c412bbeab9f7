"""One charter, asked about one operation: with its counters, and what is due if it is allowed.

It reads counters and changes none. Which charter is asked, and what follows, is ``governance``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.policy.charter.flow import ACTS, COUNTED, TAKING
from comity.policy.charter.model import Limit
from comity.policy.charter.ruling import Question, Reason
from comity.policy.charter.words import Operation as Act
from comity.policy.operation import Operation
from comity.protocol.charter.terms import Line
from comity.services.charter.library import Volume
from comity.services.charter.periods import period_name
from comity.storage.usage import Charge, Direction, UsageStore

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


def judge(
    line: Line, volume: Volume, usage: UsageStore, operation: Operation, own: str, now: float
) -> Verdict:
    """What one charter in force says of an operation between this node, ``own``, and its peer."""
    asked = _ACTS[operation.kind]
    party, terms = str(operation.peer.fingerprint), volume.terms
    actor, other = (party, own) if operation.actor_is_peer else (own, party)
    giver, taker = (other, actor) if asked in TAKING else (actor, other)
    periods = {clause: period_name(limit.per, now) for clause, limit in _limits(volume)}
    used = _used(usage, line, operation, giver, taker, periods)
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
        Charge(clause, giver, taker, periods[clause], size if limit.counts == "bytes" else operation.units)
        for clause, limit in _limits(volume)
        if ACTS[asked] in COUNTED[limit.counts] and _counts(clause, describing)
    )
    return Verdict(True, ruling.reasons, terms.digest, line.lineage, charges)


def _used(
    usage: UsageStore,
    line: Line,
    operation: Operation,
    giver: str,
    taker: str,
    periods: dict[str, str],
) -> dict[str, int]:
    """The counters, without what this very transfer has reserved before."""
    used = usage.used(line.lineage, giver, taker, periods)
    direction = DIRECTIONS.get(operation.kind)
    if direction is None or operation.transfer is None:
        return used
    party = str(operation.peer.fingerprint)
    own = usage.charged(line.lineage, party, direction, operation.transfer)
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
