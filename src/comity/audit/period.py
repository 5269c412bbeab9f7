"""A stretch of time as people write it: ``2026-11-21``, or ``2026-11-21T05:18:00Z``; always UTC.

A day at the end of a period is in it whole. Times are half-open inside: from ``begin`` up to ``end``.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.clock import from_rfc3339
from comity.errors import InvalidInput
from comity.identity.text import printable

_DAY = 24 * 60 * 60
_EVER = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Period:
    """Milliseconds since 1970 UTC."""

    begin: int = 0
    end: int = _EVER

    @classmethod
    def parse(cls, since: str | None, until: str | None) -> Period:
        """InvalidInput for what is no time, and for an end before its beginning."""
        begin = 0 if since is None else _moment(since, ends=False)
        end = _EVER if until is None else _moment(until, ends=True)
        if end <= begin:
            raise InvalidInput("the period ends before it begins", hint="exchange --from and --to")
        return cls(begin, end)

    def holds(self, at: int) -> bool:
        """Whether it is in the period."""
        return self.begin <= at < self.end


def _moment(text: str, *, ends: bool) -> int:
    day = len(text) == len("2026-11-21")
    try:
        seconds = from_rfc3339(f"{text}T00:00:00Z" if day else text)
    except ValueError as error:
        raise InvalidInput(
            f"{printable(text, 40)} is not a time", hint="write 2026-11-21 or 2026-11-21T05:18:00Z (UTC)"
        ) from error
    if ends:
        seconds += _DAY if day else 1  # the second that is named is in it, too
    return seconds * 1000
