"""What must hold for the demo to end well. The first thing that does not hold ends it."""

from __future__ import annotations

from dataclasses import dataclass

from comity.demo.failure import DemoFailed
from comity.demo.narrator import Narrator


@dataclass(frozen=True)
class Check:
    """Something that held, and what was seen of it."""

    name: str
    seen: str


class Checks:
    """Keeps what held, in order."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._held: list[Check] = []

    @property
    def held(self) -> tuple[Check, ...]:
        return tuple(self._held)

    def hold(self, name: str, holds: bool, seen: str, printed: str = "") -> None:
        """Record and tell that ``name`` holds; DemoFailed with what was ``seen`` and ``printed`` where it
        does not.
        """
        if not holds:
            raise DemoFailed.of(name, seen, printed)
        self._held.append(Check(name, seen))
        self._narrator.held(name, seen)
