"""The running period of a limit, by name: ``2026-11`` for a month. Names of one kind sort as time goes."""

from __future__ import annotations

from datetime import UTC, datetime

from comity.policy.charter.words import Period

_FORMS: dict[Period, str] = {
    "charter": "all",
    "month": "%Y-%m",
    "week": "%G-W%V",
    "day": "%Y-%m-%d",
    "hour": "%Y-%m-%dT%H",
    "minute": "%Y-%m-%dT%H:%M",
}


def period_name(period: Period, now: float) -> str:
    """The period that ``now`` (seconds UTC) lies in; weeks from Monday (ISO 8601)."""
    return datetime.fromtimestamp(int(now), UTC).strftime(_FORMS[period])
