"""Nodes' lines of charter versions in one world, with messages that are lost, late and repeated.

What each party says reaches the others as the service would carry it: the proposer hands the version and
every signature that it holds to every other party, an end is passed on by whoever first hears of it.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field

from comity.protocol.charter import machine
from comity.protocol.charter.machine import (
    CharterRefused,
    Effect,
    Ended,
    Event,
    InForce,
    Over,
    Proposed,
    Signed,
)
from comity.protocol.charter.terms import Line, Terms

START = 1_800_000_000
UNTIL = START + 10_000_000


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def terms(
    number: int,
    parties: tuple[str, ...],
    *,
    before: Terms | None = None,
    accept_by: int = START + 1000,
    lineage: int | None = None,
) -> Terms:
    """Version ``number`` (also its digest) after ``before``."""
    own = digest(number)
    return Terms(
        digest=own,
        lineage=before.lineage if before else own if lineage is None else digest(lineage),
        predecessor=before.digest if before else None,
        version=before.version + 1 if before else 1,
        parties=parties,
        accept_by=accept_by,
        until=UNTIL,
        policy=digest(10**6 + number),
    )


@dataclass
class Party:
    """One node; ``effects`` is all that followed so far. ``honest``: it asks ``may_sign`` before it signs."""

    name: str
    line: Line
    effects: list[Effect] = field(default_factory=list)

    def take(self, event: Event, now: float) -> tuple[Effect, ...]:
        self.line, effects = machine.handle(self.line, event, now)
        self.effects += effects
        return effects

    def sign(self, version: Terms, now: float) -> Signed:
        machine.may_sign(self.line, version.digest, now)
        said = signature(self.name, version, now)
        self.take(said, now)
        return said


def signature(by: str, version: Terms, now: float) -> Signed:
    return Signed(version.digest, version.policy, by, int(now))


def party(name: str, lineage: str) -> Party:
    return Party(name, Line(lineage=lineage, own=name))


@dataclass
class Message:
    to: str
    event: Event
    at: float


class World:
    """Parties that are all under ``first``, and a post that loses a part of what is posted."""

    def __init__(self, seed: int, names: tuple[str, ...]) -> None:
        self.draw = random.Random(seed)
        self.now = float(START)
        self.number = 1
        self.first = terms(1, names)
        self.parties = {name: party(name, self.first.lineage) for name in names}
        self.known: dict[str, Terms] = {self.first.digest: self.first}
        self.proposer: dict[str, str] = {self.first.digest: names[0]}
        self.post: list[Message] = []
        self.loss = self.draw.choice([0.0, 0.1, 0.3, 0.6])
        for one in self.parties.values():
            one.take(Proposed(self.first), self.now)
            for name in names:
                one.take(signature(name, self.first, self.now), self.now)

    # ── what parties do ───────────────────────────────────────────────────────────────────────────────

    def amend(self, name: str) -> None:
        """Propose a successor of what is in force there, and sign it."""
        one = self.parties[name]
        before = one.line.in_force
        if before is None:
            return
        self.number += 1
        parties = tuple(one for one in before.parties if self.draw.random() > 0.05 or one == name)
        if len(parties) < 2:
            return
        patience = self.draw.choice([200, 1000, 3000])
        new = terms(self.number, parties, before=before, accept_by=int(self.now) + patience)
        with suppress(CharterRefused):
            one.take(Proposed(new, ours=True), self.now)
            self.known[new.digest] = new
            self.proposer[new.digest] = name
            self.tell(name, new.parties, Proposed(new))
            self.sign(name, new)

    def sign(self, name: str, version: Terms) -> None:
        with suppress(CharterRefused):
            said = self.parties[name].sign(version, self.now)
            self.tell(name, version.parties, said)

    def sign_something(self, name: str) -> None:
        waiting = [one.terms for one in self.parties[name].line.versions if name not in one.signed]
        if waiting:
            self.sign(name, self.draw.choice(waiting))

    def end(self, name: str) -> None:
        one = self.parties[name]
        if one.line.in_force is not None:
            one.take(Ended(name, "over"), self.now)
            self.tell(name, tuple(self.parties), Ended(name, "over"))

    # ── the post ──────────────────────────────────────────────────────────────────────────────────────

    def tell(self, sender: str, to: tuple[str, ...], event: Event) -> None:
        for name in to:
            if name == sender:
                continue
            for _ in range(self.draw.choice([1, 1, 1, 2])):
                if self.draw.random() >= self.loss:
                    delay = self.draw.choice([1, 20, 300, 2000])
                    self.post.append(Message(name, event, self.now + self.draw.random() * delay))

    def deliver(self) -> None:
        """Everything that is due, in the order in which it is."""
        due = sorted((one for one in self.post if one.at <= self.now), key=lambda one: one.at)
        self.post = [one for one in self.post if one.at > self.now]
        for message in due:
            self.hear(message)

    def hear(self, message: Message) -> None:
        one = self.parties[message.to]
        try:
            effects = one.take(message.event, self.now)
        except CharterRefused:
            return
        for effect in effects:
            match effect:
                case machine.Held(version, by) if self.proposer[version.digest] == one.name:
                    self.tell(one.name, version.parties, signature(by, version, version.accept_by - 1))
                case Over(_, ending):
                    self.tell(one.name, tuple(self.parties), Ended(ending.by, ending.reason))

    def step(self) -> None:
        self.now += self.draw.random() * 120
        self.deliver()
        name = self.draw.choice(list(self.parties))
        act = self.draw.random()
        if act < 0.1:
            self.amend(name)
        elif act < 0.8:
            self.sign_something(name)
        elif act < 0.802:
            self.end(name)

    def amend_at_once(self) -> None:
        """Each proposes its own successor of the same version, in the same second."""
        for name in self.parties:
            self.amend(name)


def came_into_force(one: Party) -> list[Terms]:
    return [effect.terms for effect in one.effects if isinstance(effect, InForce)]
