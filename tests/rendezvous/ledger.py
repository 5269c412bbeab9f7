"""What a rendezvous has acknowledged, and what it may have done without saying so.

Of each thing the ledger holds the states that it may be in: one, as long as every answer came; two, while an
answer is outstanding or after it was lost. Looking settles which: it has to be one of them, and stays that
one from then on.

Answers come on several connections, so what a request did may be seen, and undone by somebody else's request,
before its own answer is heard: ``witness``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.rendezvous.client import Refusal

#: Its kind, and what tells it from others of its kind.
Thing = tuple[str | int | bytes, ...]
#: None: it is not there.
State = str | int | bool | None


@dataclass
class Uses:
    """Of one invitation: between so many and so many keys came in by it, of ``most``."""

    most: int
    token: str = ""
    low: int = 0
    high: int = 0


@dataclass(eq=False)
class _Change:
    """What one request, that has no answer yet, was to do to one thing."""

    thing: Thing
    state: State
    before: set[State]
    witnessed: bool = False


class Ledger:
    def __init__(self) -> None:
        self._may: dict[Thing, set[State]] = {}
        self._outstanding: list[_Change] = []
        self.uses: dict[int, Uses] = {}
        self.acknowledged = 0

    def known(self, kind: str) -> list[Thing]:
        """The things of one kind that are there, or may be."""
        return [thing for thing in self._may if thing[0] == kind]

    def may(self, thing: Thing) -> set[State]:
        return self._may.get(thing, {None})

    def _settle(self, thing: Thing, states: set[State]) -> None:
        if states == {None}:
            self._may.pop(thing, None)
        else:
            self._may[thing] = states

    @contextmanager
    def changing(self, *changes: tuple[Thing, State], use: int | None = None) -> Iterator[None]:
        """Around one request, that puts things into new states; ``use``: and uses this invitation.

        Left normally, the request was acknowledged; by a Refusal, nothing has changed; by anything else,
        nobody knows.
        """
        under_way = [_Change(thing, state, self.may(thing)) for thing, state in changes]
        self._outstanding += under_way
        for each in under_way:
            self._may[each.thing] = each.before | {each.state}
        if use is not None:
            self.uses[use].high += 1
        try:
            yield
        except Refusal:
            for each in under_way:
                assert not each.witnessed, f"{each.thing} was seen as {each.state!r}, and that was refused"
                self._settle(each.thing, each.before)
            if use is not None:
                self.uses[use].high -= 1
            raise
        finally:
            for each in under_way:
                self._outstanding.remove(each)
        for each in under_way:
            if not each.witnessed:
                self._settle(each.thing, {each.state})
        if use is not None:
            self.uses[use].low += 1
        self.acknowledged += 1

    def witness(self, thing: Thing, state: State) -> None:
        """The server shows ``state`` while it works: who asked for it, and hears so later, learns nothing.

        Without this, an answer that is heard late would take back what was asked of the thing since then.
        """
        self.look(thing, state)
        for each in self._outstanding:
            if each.thing == thing and each.state == state:
                each.witnessed = True

    def look(self, thing: Thing, state: State) -> None:
        """The server shows ``state``."""
        assert state in self.may(thing), f"{thing} is {state!r} and may be {self.may(thing)}"
        self._settle(thing, {state})

    def look_at_uses(self, invitation: int, used: int) -> None:
        uses = self.uses[invitation]
        assert uses.low <= used <= min(uses.high, uses.most), (invitation, used, uses)
        uses.low = uses.high = used
