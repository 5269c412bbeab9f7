"""The only place that prints: text for people, JSON for scripts, and nothing that steers a terminal.

Every line for people is escaped as a whole by ``identity.text.printable``, because any part of it may have
come from a peer (SECURITY.md rule 6); JSON is written in ASCII, where escapes lose nothing. Both work in any
locale.
"""

from __future__ import annotations

import io
import json
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from comity.errors import ComityError

_CLEAR = "\r\x1b[K"
_RED = "\x1b[1;31m"
_PLAIN = "\x1b[0m"
_BAR_CELLS = 20
_NARROWEST = 30  # columns beside an indentation, below which nothing is wrapped
_MARKS = {  # colour, mark, and the mark where the terminal's letters don't have it
    "ok": ("\x1b[32m", "✓", "+"),
    "warning": ("\x1b[33m", "!", "!"),
    "failed": ("\x1b[1;31m", "✗", "x"),
    "skipped": ("\x1b[2m", "-", "-"),
}


class Output:
    """Where one command prints. With ``json``, only ``show``, ``event`` and ``error`` do."""

    def __init__(self, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> None:
        self.json = False
        self._stdout = stdout
        self._stderr = stderr
        self._plain = "NO_COLOR" in environ or environ.get("TERM") == "dumb"
        self._unfinished = False
        for stream in (stdout, stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a locale without a letter must not end us

    @property
    def live(self) -> bool:
        """Whether somebody watches: a line may be written over."""
        return not self.json and not self._plain and self._stdout.isatty()

    # ── standard output ───────────────────────────────────────────────────────────────────────────────

    def show(self, result: Any, lines: Iterable[str]) -> None:
        """What a command found: the control type as JSON, or its lines for people."""
        if self.json:
            self.event(result)
            return
        for line in lines:
            self.line(line)

    def event(self, value: Any) -> None:
        """One line of JSON: a control type, or what is ready to be one."""
        from comity.control.codec import to_plain

        plain = value if isinstance(value, dict) else to_plain(value)
        self._stdout.write(json.dumps(plain) + "\n")
        self._stdout.flush()

    def line(self, text: str = "") -> None:
        """A line for people."""
        if not self.json:
            self._finish_line()
            self._stdout.write(_safe(text) + "\n")
            self._stdout.flush()

    def rewrite(self, text: str) -> None:
        """A line that the next one replaces, where somebody watches."""
        if self.live:
            self._stdout.write(_CLEAR + _safe(text))
            self._stdout.flush()
            self._unfinished = True

    def bar(self, fraction: float) -> str:
        """A bar of 20 cells, in letters that this terminal has."""
        filled = round(_BAR_CELLS * min(max(fraction, 0.0), 1.0))
        full, empty = ("█", "░") if self._can_print("█░") else ("#", "-")
        return full * filled + empty * (_BAR_CELLS - filled)

    def finding(self, status: str, name: str, detail: str, below: Sequence[tuple[str, str]]) -> None:
        """What was found about one thing: a mark for ``ok``, ``warning``, ``failed`` or ``skipped``, coloured
        where somebody watches, the detail, and labelled lines below it. Nothing with ``json``.
        """
        if self.json:
            return
        self._finish_line()
        watched = self.live
        colour, *letters = _MARKS.get(status, _MARKS["skipped"])
        mark = letters[0] if self._can_print("✓✗") else letters[1]
        width = shutil.get_terminal_size().columns if watched else 0
        indent = " " * (len(name) + 4)
        lines = _wrapped(_safe(detail), width, indent)
        for label, text in below:
            first, *more = _wrapped(f"{label}: {_safe(text)}", width, indent + "  ")
            lines += [indent + first, *more]
        shown = f"{colour}{mark}{_PLAIN}" if watched else mark
        self._stdout.write(f"{shown} {_safe(name)}  " + "\n".join(lines) + "\n")
        self._stdout.flush()

    # ── standard error ────────────────────────────────────────────────────────────────────────────────

    def note(self, text: str) -> None:
        """Something that a person should know, and a script that reads the output should not have to."""
        if not self.json:
            self._finish_line()
            self._stderr.write(_safe(text) + "\n")

    def error(self, error: ComityError) -> None:
        """``error: message`` and ``hint: …``, or both as JSON."""
        if self.json:
            failure = {"code": error.code, "message": error.message, "hint": error.hint}
            self._stderr.write(json.dumps({"error": failure}) + "\n")
            return
        self._finish_line()
        colour = not self._plain and self._stderr.isatty()
        label = f"{_RED}error:{_PLAIN}" if colour else "error:"
        self._stderr.write(f"{label} {_safe(error.message)}\n")
        if error.hint:
            self._stderr.write(f"hint: {_safe(error.hint)}\n")

    def interrupted(self) -> None:
        """Leave a line that would have been written over as it is, and the prompt below it."""
        if self._unfinished:
            self._unfinished = False
            self._stdout.write("\n")
            self._stdout.flush()

    def close(self) -> None:
        """Write out what is left; BrokenPipeError where nobody reads it."""
        self._stdout.flush()
        self._stderr.flush()

    def _finish_line(self) -> None:
        if self._unfinished:
            self._unfinished = False
            self._stdout.write(_CLEAR)
            self._stdout.flush()

    def _can_print(self, text: str) -> bool:
        try:
            text.encode(self._stdout.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines of ``width`` columns at most, all but the first indented; one line where ``width`` is 0."""
    if width < len(indent) + _NARROWEST:
        return [text]
    room = width - len(indent)
    found = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [found[0], *(indent + line for line in found[1:])]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines in columns under a header."""
    return columns([header, *rows])


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Lines in columns; cells are escaped before they are measured."""
    cells = [[_safe(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    return [gap.join(map(_pad, row, widths)).rstrip() for row in cells]


def _safe(text: str) -> str:
    from comity.identity.text import printable

    return printable(text)


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(text: str) -> int:
    """Columns on a terminal: two for East Asian wide letters, none for combining marks."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
