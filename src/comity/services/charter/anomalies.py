"""The rules of a charter that suspend a partner: what a partner tries is compared with them.

Hours and volume object to the operation itself; denials are counted in a row, by partner, through restarts;
another key that claims a partner's name is reported by whoever meets it. What follows from a rule that is met
is the caller's: ``suspend``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from comity.clock import Clock
from comity.policy.charter.model import Anomaly, ChangedFingerprint, Denials, OutsideHours, Volume
from comity.policy.charter.ruling import Reason
from comity.policy.charter.show import anomaly_text
from comity.policy.operation import Operation
from comity.storage.usage import UsageStore

_DAY = 86400
_USUAL_DAYS = 30
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: What a partner does by intent; that its node connects and reads on at night is no attempt of anybody.
_ATTEMPTS = frozenset({"receive", "publish", "forward", "expose"})


class Watch:
    """The rules, against what happens."""

    def __init__(self, usage: UsageStore, clock: Clock) -> None:
        self._usage = usage
        self._clock = clock

    def objection(self, operation: Operation, anomalies: Iterable[Anomaly]) -> Reason | None:
        """The rule that an allowed operation would meet, if it does."""
        for anomaly in anomalies:
            met = False
            if isinstance(anomaly, OutsideHours):
                met = attempt(operation) and outside(anomaly, self._clock.now())
            elif isinstance(anomaly, Volume):
                met = self._unusual(operation, anomaly)
            if met:
                return reason(anomaly)
        return None

    def passed(self, operation: Operation) -> None:
        """It was allowed; in the guard's transaction. What this side does begins no row of the partner's
        anew, nor does a stream that the partner may open.
        """
        party = str(operation.peer.fingerprint)
        if operation.by_them and operation.kind != "accept":
            self._usage.begin_row_anew(party)
        if operation.kind in ("send", "receive") and operation.bytes:
            day = int(self._clock.now()) // _DAY
            self._usage.add_volume(party, day, operation.bytes, keep=_USUAL_DAYS)

    def denied(self, operation: Operation) -> int:
        """It was denied: how many of the partner's attempts in a row were. Only what it began counts."""
        if not operation.by_them:
            return 0
        party = str(operation.peer.fingerprint)
        self._usage.deny(party)
        return self._usage.denied(party)

    def too_many(self, operation: Operation, in_a_row: int, anomalies: Iterable[Anomaly]) -> Reason | None:
        """The rule that so many denials meet, if they do; then the next row begins."""
        for anomaly in anomalies:
            if isinstance(anomaly, Denials) and in_a_row >= anomaly.in_a_row:
                self._usage.begin_row_anew(str(operation.peer.fingerprint))
                return reason(anomaly)
        return None

    def _unusual(self, operation: Operation, rule: Volume) -> bool:
        if operation.kind not in ("send", "receive"):
            return False
        party, day = str(operation.peer.fingerprint), int(self._clock.now()) // _DAY
        today = self._usage.volume(party, day, day) + (operation.bytes or 0)
        before = self._usage.volume(party, day - _USUAL_DAYS, day - 1)
        return today >= rule.at_least and today * _USUAL_DAYS > before * rule.times


def attempt(operation: Operation) -> bool:
    """Whether the partner tries something."""
    return operation.by_them and operation.kind in _ATTEMPTS


def outside(rule: OutsideHours, now: float) -> bool:
    """Whether ``now`` (seconds UTC) is not in the hours of the rule; those after midnight are the day's
    before.
    """
    moment = datetime.fromtimestamp(int(now), UTC)
    clock, today = moment.strftime("%H:%M"), _WEEKDAYS[moment.weekday()]
    yesterday = _WEEKDAYS[moment.weekday() - 1]
    if rule.from_ <= rule.until:
        return not (rule.from_ <= clock < rule.until and today in rule.days)
    evening = clock >= rule.from_ and today in rule.days
    night = clock < rule.until and yesterday in rule.days
    return not (evening or night)


def impostor(anomalies: Iterable[Anomaly]) -> Reason | None:
    """The rule that another key with the partner's name meets, if there is one."""
    return next((reason(anomaly) for anomaly in anomalies if isinstance(anomaly, ChangedFingerprint)), None)


def reason(anomaly: Anomaly) -> Reason:
    """Why a partner is suspended."""
    return Reason(f"anomalies.{anomaly.id}", anomaly_text(anomaly))
