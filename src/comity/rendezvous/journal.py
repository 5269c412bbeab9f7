"""The server's log: one event a line on standard error, as text or JSON.

An event has a name and fields. Fields hold keys' fingerprints, addresses, names and counts; never a ticket, a
blob or a private key. What a peer chose is escaped. Refusals are rate-limited, so that a flood fills no disk.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import Any, TextIO

from comity import limits
from comity.clock import Clock, rfc3339
from comity.identity.text import printable
from comity.rendezvous.buckets import Buckets, Rate
from comity.rendezvous.meters import Meters
from comity.rendezvous.options import LogFormat

Field = str | int | float | None
_VALUE_CHARS = 512
_log = logging.getLogger("comity.rendezvous")


class Journal:
    """Where the server says what happens."""

    def __init__(self, clock: Clock, meters: Meters | None = None) -> None:
        self._clock = clock
        self._meters = meters or Meters()
        self._rates = Buckets(Rate(limits.REFUSALS_LOGGED_BURST, limits.REFUSALS_LOGGED_PER_SECOND))
        self._suppressed: Counter[str] = Counter()

    def info(self, event: str, **fields: Field) -> None:
        _log.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: Field) -> None:
        _log.warning(event, extra={"fields": fields})

    def failure(self, event: str, error: BaseException, **fields: Field) -> None:
        """A failure of ours, with its traceback; rate-limited as refusals are."""
        if self._may_say(event, fields):
            _log.error(event, extra={"fields": fields}, exc_info=error)

    def refused(self, code: str, **fields: Field) -> None:
        """Somebody was turned away; ``code`` tells what for.

        What is over the rate is counted in the next line.
        """
        self._meters.refused(code)
        if self._may_say("refused", fields):
            _log.warning("refused", extra={"fields": {"code": code, **fields}})

    def _may_say(self, event: str, fields: dict[str, Field]) -> bool:
        if not self._rates.take(event, self._clock.monotonic()):
            self._suppressed[event] += 1
            return False
        if suppressed := self._suppressed.pop(event, 0):
            fields["suppressed"] = suppressed
        return True


class TextFormatter(logging.Formatter):
    """``2026-11-21T05:18:00Z info registered address=1:0001.0000.0010 hostname=lab-a``"""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_quoted(value)}" for name, value in _fields(record).items())
        message = printable(record.getMessage(), _VALUE_CHARS)
        line = f"{rfc3339(record.created)} {record.levelname.lower()} {message}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line: ``at``, ``level``, ``event`` and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": rfc3339(record.created),
            "level": record.levelname.lower(),
            "event": printable(record.getMessage(), _VALUE_CHARS),
            **{
                name: printable(value, _VALUE_CHARS) if isinstance(value, str) else value
                for name, value in _fields(record).items()
            },
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_logging(stream: TextIO, form: LogFormat) -> None:
    """Send this process's log to ``stream``: our events from info on, those of libraries from warning on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _log.setLevel(logging.INFO)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def _quoted(value: Field) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    shown = printable(value, _VALUE_CHARS)
    return json.dumps(shown, ensure_ascii=False) if not shown or set(shown) & set(' "=') else shown
