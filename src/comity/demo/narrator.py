"""What a person reads while the demo runs: steps, commands and results, in plain text as they happen.

With no output it says nothing (``--json``). It decides nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TextIO

_DIGITS = re.compile(r"\b[0-9a-f]{64}\b")
#: What no shell takes for more than a word; a # only begins a comment where a word begins.
_PLAIN = re.compile(r"[\w@%+=:,./-][\w@%+=:,./#-]*")
_WIDTH = 18


class Narrator:
    """Writes to ``out``, line by line; ``None`` for silence."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._steps = 0

    def heading(self, text: str) -> None:
        """The demo's name, or its outcome."""
        self._line(text)

    def step(self, title: str) -> None:
        """A new numbered step."""
        self._steps += 1
        self._line("")
        self._line(f"{self._steps}. {title}")

    def says(self, text: str) -> None:
        """A sentence that explains."""
        self._line(f"   {text}")

    def command(self, who: str, shown: str) -> None:
        """A command as it starts, at whose terminal."""
        self._line(f"   {who:<{_WIDTH}} $ {shown}")

    def result(self, text: str) -> None:
        """What a command answered."""
        self._line(f"   {'':<{_WIDTH}}   {text}")

    def held(self, name: str, seen: str) -> None:
        """Something that had to hold, and did."""
        self._line(f"   ✓ {name}: {seen}")

    def _line(self, text: str) -> None:
        if self._out is not None:
            self._out.write(text + "\n")
            self._out.flush()


def abridged(command: Sequence[str]) -> str:
    """A command line for reading: quoted as a shell needs it, keys and digests cut to their ends."""
    return shortened(" ".join(map(_quoted, command)))


def shortened(text: str) -> str:
    """The text with keys and digests cut to their ends."""
    return _DIGITS.sub(lambda match: short(match[0]), text)


def short(digits: str) -> str:
    """The ends of a key or digest, for reading only: ``5a2f…c8d1``."""
    return f"{digits[:4]}…{digits[-4:]}"


def _quoted(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else shlex.quote(word)


def percent(share: float) -> str:
    """``0.9766`` as ``97.7 %``."""
    return f"{100 * share:.1f} %"
