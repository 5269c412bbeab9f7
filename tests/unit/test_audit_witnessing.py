"""Whether a head may be countersigned, by C2SP tlog-witness, and what a log that breaks the rules is told."""

from __future__ import annotations

import pytest

from comity import limits
from comity.audit import merkle
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.witnessing import (
    Accepted,
    Conflict,
    Judgement,
    Outdated,
    Submission,
    judge,
    parse_submission,
)
from comity.errors import AuditInvalid
from comity.storage.audit import AuditReader
from tests.audit_logs import Institution, Log

OWNER, PARTNER = Institution.new(), Institution.new()
LOG = Log(OWNER, PARTNER)
OTHER = Log(OWNER, PARTNER, what="another history")


def submission(log: Log, old: int, size: int) -> Submission:
    proof = merkle.consistency_proof(old, size, AuditReader(log.db).node)
    return Submission(old, tuple(proof), log.note(size))


def judged(asked: Submission, last: Checkpoint | None) -> Judgement:
    return judge(asked, last, origin=OWNER.key.origin, log_key=OWNER.key.public)


@pytest.mark.parametrize(("old", "size"), [(0, 1), (0, 20), (1, 1), (1, 2), (7, 20), (20, 20)])
def test_what_extends_the_last_head_is_signed(old: int, size: int) -> None:
    last = LOG.head(old) if old else None
    assert judged(submission(LOG, old, size), last) == Accepted(LOG.head(size))


@pytest.mark.parametrize("old", [0, 3, 12])
def test_a_log_that_does_not_know_the_last_head_is_told(old: int) -> None:
    assert judged(submission(LOG, old, 15), LOG.head(9)) == Outdated(LOG.head(9))


def test_two_heads_of_one_size_are_equivocation() -> None:
    found = judged(submission(OTHER, 15, 15), LOG.head(15))
    assert isinstance(found, Conflict)
    assert (found.kind, found.head, found.last) == ("equivocation", OTHER.head(15), LOG.head(15))


@pytest.mark.parametrize("log", [LOG, OTHER])
def test_a_size_that_goes_back_is_a_rollback(log: Log) -> None:
    found = judged(submission(log, 5, 10), LOG.head(15))
    assert isinstance(found, Conflict)
    assert found.kind == "rollback"


def test_another_history_cannot_prove_that_it_extends_this_one() -> None:
    found = judged(submission(OTHER, 15, 20), LOG.head(15))
    assert isinstance(found, Conflict)
    assert found.kind == "unproven"


@pytest.mark.parametrize("proof", [(), (bytes(32),), (bytes(32),) * 63])
def test_a_wrong_proof_is_no_proof(proof: tuple[bytes, ...]) -> None:
    found = judged(Submission(15, proof, LOG.note(20)), LOG.head(15))
    assert isinstance(found, Conflict)


def test_the_first_head_needs_no_proof_and_takes_none() -> None:
    found = judged(Submission(0, (bytes(32),), LOG.note(20)), None)
    assert isinstance(found, Conflict)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        LOG.head(20).text().encode(),
        sign_checkpoint(LOG.head(20), PARTNER.key.private),
        sign_checkpoint(Checkpoint(PARTNER.key.origin, 20, bytes(32)), PARTNER.key.private),
        sign_checkpoint(Checkpoint(PARTNER.key.origin, 20, bytes(32)), OWNER.key.private),
        LOG.note(20).replace(b"\n20\n", b"\n21\n"),
        LOG.note(20) + LOG.note(20).split(b"\n\n")[1],
    ],
)
def test_only_what_the_logs_own_key_signed_is_judged(note: bytes) -> None:
    with pytest.raises(AuditInvalid):
        judged(Submission(0, (), note), None)


def test_an_old_size_beyond_the_head_is_refused() -> None:
    with pytest.raises(AuditInvalid, match="greater"):
        judged(Submission(21, (), LOG.note(20)), LOG.head(20))


def test_a_submission_reads_back() -> None:
    asked = submission(LOG, 7, 20)
    assert parse_submission(asked.text()) == asked
    assert parse_submission(submission(LOG, 0, 1).text()) == submission(LOG, 0, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0",
        b"old 0\n",
        b"old 00\n\nx",
        b"old -1\n\nx",
        b"old 99999999999999999\n\nx",
        b"new 0\n\nx",
        b"old 0 \n\nx",
        b"old 0\nAAAA=\n\nx",
        b"old 0\n\xff\n\nx",
        b"old 0\n" + b"AAAA\n" * 64 + b"\nx",
        b"old 0\n\n" + b"x" * limits.WITNESS_SUBMISSION_BYTES,
    ],
)
def test_what_is_no_submission(body: bytes) -> None:
    with pytest.raises(AuditInvalid):
        parse_submission(body)
