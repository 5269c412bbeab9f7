"""Which version two programs speak with each other (docs: protocol, "Versions").

Each names the range that it understands; the newest that both hold is taken. Where there is none, the same
words tell both sides, and their logs, which of them has to be upgraded.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.errors import VersionMismatch


@dataclass(frozen=True)
class Speaks:
    """Versions ``oldest`` to ``newest``. ``who``: as both sides call the program, "the called node"."""

    who: str
    oldest: int
    newest: int

    def __str__(self) -> str:
        versions = f"{self.oldest} to {self.newest}" if self.oldest != self.newest else str(self.newest)
        return f"{self.who} speaks protocol {versions}"


def choose(asking: Speaks, asked: Speaks) -> int:
    """The newest version that both speak; VersionMismatch names both ranges, and who has to be upgraded."""
    newest = min(asking.newest, asked.newest)
    if newest < max(asking.oldest, asked.oldest):
        older = min(asking, asked, key=lambda one: one.newest)
        raise VersionMismatch(f"{asking}, {asked}: {older.who} has to be upgraded")
    return newest
