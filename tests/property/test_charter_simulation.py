"""Three parties that amend at once, over a post that loses, delays and repeats: from many seeds.

Whatever happens, an operation that both sides let pass is under terms that both have signed, that all of
their parties have signed, and that are the same on both sides; and of two nodes that are parties of both,
no two complete different successors of one version.
"""

from __future__ import annotations

import os

import pytest

from comity.protocol.charter import machine
from comity.protocol.charter.terms import Terms
from tests.charter.parties import World

NAMES = ("aa", "bb", "cc")
#: 1,000 seeds take about 20 s; the rest is for those who change the machine.
SEEDS = int(os.environ.get("COMITY_CHARTER_SEEDS", "1000"))
BATCH = 100
STEPS = 150


def operate(world: World, one: str, other: str) -> Terms | None:
    """The terms under which an operation between two passes both their guards, or None."""
    here, there = world.parties[one].line.in_force, world.parties[other].line.in_force
    if here is None or there is None or here.digest != there.digest:
        return None  # each operation names its charter's digest, and the other side compares
    return here if {one, other} <= set(here.parties) else None


def check(world: World, signed: dict[str, set[str]]) -> int:
    """How many pairs could operate; everything that must hold at any moment."""
    for name, one in world.parties.items():
        for version in one.line.versions:
            if name in version.signed:
                signed.setdefault(version.terms.digest, set()).add(name)
    able = 0
    for left in NAMES:
        for right in NAMES:
            shared = operate(world, left, right) if left < right else None
            if shared is not None:
                able += 1
                assert signed[shared.digest] == set(shared.parties), "terms that somebody has not signed"
    completed = [
        (party.name, version.terms)
        for party in world.parties.values()
        for version in party.line.versions
        if version.complete and version.terms.predecessor is not None
    ]
    for name, terms in completed:
        for other_name, other in completed:
            rival = other.predecessor == terms.predecessor and other.digest != terms.digest
            both = name in other.parties and other_name in terms.parties
            assert not (rival and both), "two successors of one version were completed"
    for party in world.parties.values():
        assert party.line.ending is None or party.line.in_force is None
    return able


@pytest.mark.parametrize("batch", range(-(-SEEDS // BATCH)))
def test_three_parties_amend_at_once_with_lost_messages(batch: int) -> None:
    amended = able = 0
    for seed in range(batch * BATCH, min((batch + 1) * BATCH, SEEDS)):
        world = World(seed, NAMES)
        signed: dict[str, set[str]] = {}
        check(world, signed)
        world.amend_at_once()
        for _ in range(STEPS):
            world.step()
            able += check(world, signed)
        for party in world.parties.values():
            line, _ = machine.handle(party.line, machine.Passed(), world.now)
            amended += any(version.complete and version.terms.version > 1 for version in line.versions)
    assert amended > 20, "the simulation amends nothing"
    assert able > 500, "the simulation lets nobody operate"
