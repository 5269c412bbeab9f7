"""The daemon's log: one event a line, ``time level event key=value``, as text or JSON.

Into ``logs/comity.log`` of the home, rotated at ``limits.LOG_BYTES``, and to standard error in the
foreground. Events carry their fields in ``extra={"fields": {...}}``. What a peer chose is escaped here once
more, whoever logged it; keys appear as fingerprints, and secrets are never given to a logger.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path

from comity import limits
from comity.clock import rfc3339
from comity.identity.text import printable
from comity.storage.private import touch_private
from comity.storage.settings import LogFormat

_VALUE_CHARS = 512
#: uvicorn tells of its starting and stopping at info; ours say more.
_LEVELS = {"comity": logging.INFO, "uvicorn": logging.WARNING}


class TextFormatter(logging.Formatter):
    """``2026-11-21T05:18:00Z info session up peer=5a2f…c8d1 path=direct``"""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{rfc3339(record.created)} {record.levelname.lower()} {_event(record)}"
        for name, value in _fields(record).items():
            shown = json.dumps(value, ensure_ascii=False)
            line += f" {name}={shown if _needs_quotes(value) else value}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line: ``at``, ``level``, ``event`` and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            **_fields(record),
            "at": rfc3339(record.created),
            "level": record.levelname.lower(),
            "event": _event(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_logging(file: Path, *, foreground: bool, form: LogFormat) -> None:
    """Send this process's log to ``file`` (made 0600), and to standard error too in the foreground."""
    touch_private(file)
    handlers: list[logging.Handler] = [
        RotatingFileHandler(
            file, maxBytes=limits.LOG_BYTES, backupCount=limits.LOG_FILES - 1, encoding="utf-8"
        )
    ]
    if foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.raiseExceptions = False  # a full disk must not fill standard error, or stop the node
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)


def last_lines(file: Path, count: int) -> tuple[str, ...]:
    """The end of the log, at most ``count`` lines; empty where there is none."""
    try:
        with file.open("rb") as log:
            end = log.seek(0, 2)
            log.seek(max(0, end - limits.LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ()
    if end > limits.LOG_TAIL_BYTES:
        del lines[0]  # it may have been cut
    return tuple(lines[-count:]) if count > 0 else ()


def _event(record: logging.LogRecord) -> str:
    return printable(record.getMessage(), _VALUE_CHARS)


def _fields(record: logging.LogRecord) -> dict[str, str | int | float | None]:
    fields = getattr(record, "fields", {})
    given: Mapping[str, object] = fields if isinstance(fields, Mapping) else {}
    return {
        name: value if isinstance(value, int | float | None) else printable(str(value), _VALUE_CHARS)
        for name, value in given.items()
        if value is not None
    }


def _needs_quotes(value: object) -> bool:
    return isinstance(value, str) and (not value or not set(value).isdisjoint(' "='))
