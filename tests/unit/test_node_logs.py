"""The log's lines: readable, one an event, with nothing in them that a peer could steer a terminal with."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import limits
from comity.errors import PeerUnreachable
from comity.node.logs import JsonFormatter, TextFormatter, last_lines, start_logging

EVIL = 'a"\x1b[2J\nlevel=info \u202egnp.exe'


def record(event: str, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("comity.test", logging.WARNING, "file", 1, event, (), None)
    made.created = 1_800_000_000.0
    made.fields = fields
    return made


def test_text_lines() -> None:
    shown = TextFormatter().format(
        record(
            "session up", peer="5a2f...c8d1", rtt_ms=1.5, none=None, empty="", why=PeerUnreachable("no way")
        )
    )
    assert shown == (
        '2027-01-15T08:00:00Z warning session up peer=5a2f...c8d1 rtt_ms=1.5 empty="" why="no way"'
    )


def test_what_a_peer_chose_is_escaped_in_both_formats() -> None:
    text = TextFormatter().format(record(EVIL, name=EVIL))
    assert "\n" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    line = json.loads(JsonFormatter().format(record(EVIL, name=EVIL, at="forged", count=3)))
    assert line["name"] == line["event"] == 'a"\\u{1b}[2J\\u{a}level=info \\u{202e}gnp.exe'
    assert (line["at"], line["level"], line["count"]) == ("2027-01-15T08:00:00Z", "warning", 3)


def test_messages_of_libraries_and_tracebacks() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        made = logging.LogRecord("x", logging.ERROR, "f", 1, "it %s", ("broke",), (ValueError, error, None))
    assert TextFormatter().format(made).splitlines()[1:] == ["ValueError: broken"]
    assert json.loads(JsonFormatter().format(made))["traceback"] == "ValueError: broken"


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Puts the root logger back as pytest had it."""
    root = logging.getLogger()
    before, raising = list(root.handlers), logging.raiseExceptions
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:] = before
    logging.raiseExceptions = raising


@pytest.mark.usefixtures("own_logging")
def test_the_file_is_private_and_rotated(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o700)
    file = folder / "comity.log"
    start_logging(file, foreground=False, form="text")
    log = logging.getLogger("comity.test")
    log.info("first", extra={"fields": {"n": 1}})
    log.debug("unseen")
    logging.getLogger("uvicorn.error").info("unseen")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [line.split(" ", 1)[1] for line in last_lines(file, 10)] == ["info first n=1"]
    handler = logging.getLogger().handlers[0]
    assert (handler.maxBytes, handler.backupCount) == (limits.LOG_BYTES, limits.LOG_FILES - 1)  # type: ignore[attr-defined]  # it rotates


def test_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "comity.log"
    assert last_lines(file, 5) == ()
    file.write_text("".join(f"line {n}\n" for n in range(10)))
    assert last_lines(file, 3) == ("line 7", "line 8", "line 9")
    assert last_lines(file, 0) == ()
    file.write_text("x" * 100 + "\n" + "y" * limits.LOG_TAIL_BYTES + "\nlast\n")
    assert last_lines(file, 100) == ("last",)
