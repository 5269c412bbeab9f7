"""The ledger of the kills: requests on several connections about one thing, and answers that come late."""

from __future__ import annotations

from contextlib import suppress

import pytest

from comity.errors import LinkLost
from comity.protocol.registry import Failure
from tests.rendezvous.client import Refusal
from tests.rendezvous.ledger import Ledger, Thing

LETTER: Thing = ("letter", b"reader", b"poster", "1")


def test_a_late_answer_does_not_take_back_a_removal_whose_answer_is_lost() -> None:
    ledger = Ledger()
    posting = ledger.changing((LETTER, True))
    posting.__enter__()
    ledger.witness(LETTER, True)  # pushed to its reader before its poster hears that it was kept
    with suppress(LinkLost), ledger.changing((LETTER, None)):
        posting.__exit__(None, None, None)
        raise LinkLost("killed")
    assert ledger.may(LETTER) == {True, None}
    ledger.look(LETTER, None)


def test_a_late_answer_does_not_bring_back_what_was_removed() -> None:
    ledger = Ledger()
    with ledger.changing((LETTER, True)):
        ledger.witness(LETTER, True)
        with ledger.changing((LETTER, None)):
            pass
    assert ledger.may(LETTER) == {None}
    assert ledger.known("letter") == []
    with pytest.raises(AssertionError):
        ledger.witness(LETTER, True)


def test_what_was_seen_is_there_though_its_answer_is_lost() -> None:
    ledger = Ledger()
    with suppress(LinkLost), ledger.changing((LETTER, True)):
        ledger.witness(LETTER, True)
        raise LinkLost("killed")
    with pytest.raises(AssertionError):
        ledger.look(LETTER, None)


def test_what_was_seen_cannot_be_refused() -> None:
    ledger = Ledger()
    posting = ledger.changing((LETTER, True))
    posting.__enter__()
    ledger.witness(LETTER, True)
    refusal = Refusal(Failure(id=0, code="mailbox_full", message="full"))
    with pytest.raises(AssertionError, match="refused"):
        posting.__exit__(Refusal, refusal, None)


def test_an_acknowledged_letter_may_not_be_missing() -> None:
    ledger = Ledger()
    with ledger.changing((LETTER, True)):
        pass
    with pytest.raises(AssertionError):
        ledger.look(LETTER, None)
