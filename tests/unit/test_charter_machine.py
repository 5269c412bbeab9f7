"""The machine against who would break it: old signatures, second successors, withheld ones, stale ends."""

from __future__ import annotations

import pytest

from comity import limits
from comity.protocol.charter import machine
from comity.protocol.charter.machine import CharterRefused, Ended, InForce, Passed, Proposed, Signed, Void
from tests.charter.parties import START, Party, digest, party, signature, terms

ABC = ("aa", "bb", "cc")
FIRST = terms(1, ABC)
SECOND = terms(2, ABC, before=FIRST, accept_by=START + 2000)
RIVAL = terms(3, ABC, before=FIRST, accept_by=START + 2500)


def standing(name: str = "aa") -> Party:
    """A party under the first version."""
    one = party(name, FIRST.lineage)
    one.take(Proposed(FIRST), START)
    for other in ABC:
        one.take(signature(other, FIRST, START), START)
    assert one.line.in_force == FIRST
    return one


def proposed(*versions: object) -> Party:
    one = standing()
    for version in versions:
        one.take(Proposed(version), START)  # type: ignore[arg-type]  # terms, written short
    return one


def test_a_version_applies_only_with_every_signature() -> None:
    one = proposed(SECOND)
    for other in ("bb", "cc"):
        one.take(signature(other, SECOND, START), START)
        assert one.line.in_force == FIRST
    effects = one.take(one.sign(SECOND, START), START)
    assert effects == ()  # it was taken when it was signed
    assert one.line.in_force == SECOND
    assert InForce(SECOND, FIRST) in one.effects


def test_a_withheld_signature_applies_nothing_later() -> None:
    """Who keeps the last signature back can't choose the moment at which a version comes into force."""
    one = proposed(SECOND)
    one.sign(SECOND, START)
    one.take(signature("bb", SECOND, START), START)
    kept = signature("cc", SECOND, START)  # signed in time, and brought when it suits
    with pytest.raises(CharterRefused, match="after accept_by"):
        one.take(kept, SECOND.accept_by)
    assert one.line.in_force == FIRST
    one.take(Passed(), SECOND.accept_by)
    assert Void(SECOND) in one.effects
    with pytest.raises(CharterRefused, match="after accept_by"):
        one.take(kept, START)  # what is void stays so, whatever a clock says


def test_a_signature_that_was_made_too_late_is_none() -> None:
    one = proposed(SECOND)
    late = Signed(SECOND.digest, SECOND.policy, "bb", SECOND.accept_by)
    with pytest.raises(CharterRefused, match="made after the charter's accept_by"):
        one.take(late, START)


def test_one_successor_at_a_time_is_signed() -> None:
    one = proposed(SECOND, RIVAL)
    one.sign(SECOND, START)
    with pytest.raises(CharterRefused, match="has signed another version, which is open until"):
        one.sign(RIVAL, START)
    one.take(Passed(), SECOND.accept_by)
    one.sign(RIVAL, SECOND.accept_by)
    one.take(signature("bb", RIVAL, START), SECOND.accept_by)
    one.take(signature("cc", RIVAL, START), SECOND.accept_by)
    assert one.line.in_force == RIVAL


def test_whoever_completed_a_successor_signs_no_other() -> None:
    one = proposed(SECOND, RIVAL)
    one.sign(SECOND, START)
    for other in ("bb", "cc"):
        one.take(signature(other, SECOND, START), START)
    with pytest.raises(CharterRefused, match="void"):
        one.sign(RIVAL, START)
    with pytest.raises(CharterRefused, match="overtaken"):
        one.take(signature("bb", RIVAL, START), START)


def test_an_old_signature_brings_no_old_version_back() -> None:
    one = proposed(SECOND)
    one.sign(SECOND, START)
    for other in ("bb", "cc"):
        one.take(signature(other, SECOND, START), START)
    for other in ABC:
        assert one.take(signature(other, FIRST, START), START) == ()
    assert one.take(Proposed(FIRST), START) == ()
    assert one.line.in_force == SECOND


def test_a_signature_counts_for_its_own_charter_and_policy_only() -> None:
    one = proposed(SECOND, RIVAL)
    one.take(signature("bb", SECOND, START), START)
    found = one.line.find(RIVAL.digest)
    assert found is not None
    assert found.signed == ()
    with pytest.raises(CharterRefused, match="another policy"):
        one.take(Signed(RIVAL.digest, SECOND.policy, "bb", START), START)
    with pytest.raises(CharterRefused, match="not known here"):
        one.take(Signed(digest(99), SECOND.policy, "bb", START), START)
    with pytest.raises(CharterRefused, match="no party"):
        one.take(Signed(SECOND.digest, SECOND.policy, "zz", START), START)


def test_a_version_of_another_line_has_no_place_here() -> None:
    one = standing()
    with pytest.raises(CharterRefused, match="another line"):
        one.take(Proposed(terms(9, ABC)), START)
    forged = terms(9, ABC, before=terms(8, ABC, lineage=1), accept_by=START + 10)
    with pytest.raises(CharterRefused, match="not known here"):
        one.take(Proposed(forged), START)


def test_an_end_is_final() -> None:
    one = proposed(SECOND)
    one.sign(SECOND, START)
    one.take(Ended("bb", "over"), START)
    assert one.line.in_force is None
    with pytest.raises(CharterRefused, match="for good"):
        one.take(signature("bb", SECOND, START), START)
    with pytest.raises(CharterRefused, match="for good"):
        one.take(Proposed(RIVAL), START)
    assert one.take(Ended("cc", "again"), START) == ()
    assert one.line.ending is not None
    assert one.line.ending.by == "bb"
    assert one.line.governs("bb")


def test_an_end_is_by_a_party() -> None:
    one = standing()
    with pytest.raises(CharterRefused, match="no party"):
        one.take(Ended("zz", "over"), START)
    outsider = terms(4, ("aa", "bb", "zz"), before=FIRST, accept_by=START + 100)
    one.take(Proposed(outsider), START)
    with pytest.raises(CharterRefused, match="no party"):  # a proposal makes nobody a party
        one.take(Ended("zz", "over"), START)
    assert one.line.in_force == FIRST


def test_a_party_that_was_left_out_can_neither_end_nor_act() -> None:
    smaller = terms(5, ("aa", "bb"), before=FIRST, accept_by=START + 100)
    one = proposed(smaller)
    one.sign(smaller, START)
    one.take(signature("bb", smaller, START), START)
    assert one.line.in_force == smaller
    assert one.line.governs("cc")
    with pytest.raises(CharterRefused, match="no party"):
        one.take(Ended("cc", "over"), START)


def test_a_node_that_missed_an_amendment_comes_back_with_the_next() -> None:
    """Others completed the second version, and this node did not hear of it in time."""
    one = proposed(SECOND)
    one.sign(SECOND, START)
    late = SECOND.accept_by
    third = terms(6, ABC, before=SECOND, accept_by=late + 1000)
    one.take(Proposed(third), late)
    one.sign(third, late)
    for other in ("bb", "cc"):
        one.take(signature(other, third, late), late)
    assert one.line.in_force == third


def test_proposals_are_bounded_and_make_sense() -> None:
    one = standing()
    for number in range(limits.CHARTER_OPEN_VERSIONS):
        one.take(Proposed(terms(20 + number, ABC, before=FIRST)), START)
    with pytest.raises(CharterRefused, match="too many versions"):
        one.take(Proposed(terms(40, ABC, before=FIRST)), START)
    for wrong, said in (
        (terms(41, ("bb", "cc"), before=FIRST), "no party"),
        (terms(42, ABC, before=FIRST, accept_by=START), "has passed"),
    ):
        with pytest.raises(CharterRefused, match=said):
            standing().take(Proposed(wrong), START)


def test_nothing_is_signed_that_is_not_newer_or_known() -> None:
    one = standing()
    with pytest.raises(CharterRefused, match="no such version"):
        machine.may_sign(one.line, digest(77), START)
    with pytest.raises(CharterRefused, match="not newer"):
        machine.may_sign(one.line, FIRST.digest, START)
