"""Submissions and messages from anywhere are parsed or refused, and only one history is countersigned."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from comity.audit import merkle
from comity.audit.anchor import read_anchor
from comity.audit.note import Checkpoint
from comity.audit.witnessing import Accepted, Submission, judge, parse_submission
from comity.errors import AuditInvalid, RemoteProtocolError
from comity.protocol import witness
from comity.storage.audit import AuditReader
from tests.audit_logs import Institution, Log

OWNER, PARTNER = Institution.new(), Institution.new()
LOGS = [Log(OWNER, PARTNER, count=8), Log(OWNER, PARTNER, count=8, what="x")]
SUBMISSION = Submission(
    3, tuple(merkle.consistency_proof(3, 9, AuditReader(LOGS[0].db).node)), LOGS[0].note(9)
).text()


@given(st.binary(max_size=300) | st.integers(0, len(SUBMISSION)).map(lambda at: SUBMISSION[:at]))
def test_any_bytes_are_a_submission_or_refused(body: bytes) -> None:
    with contextlib.suppress(AuditInvalid):
        assert parse_submission(body).text() == body


@given(st.integers(0, len(SUBMISSION) * 8 - 1))
def test_no_submission_with_a_changed_bit_is_signed(bit: int) -> None:
    body = bytearray(SUBMISSION)
    body[bit // 8] ^= 1 << bit % 8
    last = LOGS[0].head(3)
    with contextlib.suppress(AuditInvalid):
        found = judge(parse_submission(bytes(body)), last, origin=OWNER.key.origin, log_key=OWNER.key.public)
        assert not isinstance(found, Accepted)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        witness.parse_request(body)
    with contextlib.suppress(RemoteProtocolError):
        witness.parse_answer(body)
    with contextlib.suppress(AuditInvalid):
        read_anchor(body)


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1]), st.integers(0, 16), st.integers(0, 16), st.booleans()), max_size=12
)


@given(STEPS)
def test_a_witness_signs_one_history_only(steps: list[tuple[int, int, int, bool]]) -> None:
    """The log's operator holds two histories, and hands in heads of both, with whatever old sizes."""
    last: Checkpoint | None = None
    signed: list[int] = []
    for which, old, size, honest in steps:
        if old > size:
            continue
        log = LOGS[which]
        start = last.size if honest and last and last.size <= size else old
        proof = merkle.consistency_proof(start, size, AuditReader(log.db).node)
        asked = Submission(start, tuple(proof), log.note(size))
        found = judge(asked, last, origin=OWNER.key.origin, log_key=OWNER.key.public)
        if isinstance(found, Accepted):
            assert found.head == log.head(size)
            assert last is None or last.size <= size
            last = found.head
            if size:
                signed.append(which)
    assert len(set(signed)) <= 1
