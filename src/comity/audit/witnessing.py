"""Countersigning another node's log: what is handed in, and whether it may be signed. C2SP tlog-witness.

``Submission`` is the body of that specification's add-checkpoint, byte for byte: the size that the witness
signed last, a consistency proof from there, and the log's signed head. ``judge`` is its rule: the head must
extend the last one that was signed of this origin. Persisting the new head before signing is the service's
to do (SECURITY.md rule 19); how a submission travels is in docs/reference/protocol/audit.md.

A log that is caught leaves something to keep: ``Conflict`` says which of its own signed heads contradict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from comity import limits
from comity.audit.merkle import EMPTY_ROOT, verify_consistency
from comity.audit.note import Checkpoint, decode_base64, encode_base64, open_checkpoint
from comity.errors import AuditInvalid

PROOF_HASHES = 63
"""C2SP tlog-witness: a client must not send more proof lines."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})")


@dataclass(frozen=True, slots=True)
class Submission:
    """``old``: the size that the witness is thought to have signed last; ``note``: the log's signed head."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def text(self) -> bytes:
        """The body as it is sent."""
        lines = [f"old {self.old}", *map(encode_base64, self.proof), "", ""]
        return "\n".join(lines).encode() + self.note


def parse_submission(body: bytes) -> Submission:
    """The submission whose body this is; AuditInvalid for anything else. Its note is not yet verified."""
    if len(body) > limits.WITNESS_SUBMISSION_BYTES:
        raise AuditInvalid(f"a submission is at most {limits.WITNESS_SUBMISSION_BYTES} bytes")
    head, blank, note = body.partition(b"\n\n")
    try:
        first, *rest = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise AuditInvalid("a submission's sizes and hashes are ASCII") from error
    old = _OLD.fullmatch(first)
    if old is None or not blank:
        raise AuditInvalid("a submission begins with the old size, the proof and an empty line")
    if len(rest) > PROOF_HASHES:
        raise AuditInvalid(f"a consistency proof has at most {PROOF_HASHES} hashes")
    return Submission(int(old[1]), tuple(map(decode_base64, rest)), note)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The head may be persisted, then signed."""

    head: Checkpoint


@dataclass(frozen=True, slots=True)
class Outdated:
    """The log does not know what was signed last; it may ask again, from there."""

    last: Checkpoint


@dataclass(frozen=True, slots=True)
class Conflict:
    """The log signed ``head``, which does not extend ``last``, another head that it signed.

    ``equivocation``: two heads of one size, which nobody can explain; ``rollback``: the head is smaller, as
    after a restored backup; ``unproven``: no proof, or a wrong one, that the head extends the last.
    """

    kind: Literal["equivocation", "rollback", "unproven"]
    head: Checkpoint
    last: Checkpoint
    why: str


Judgement = Accepted | Outdated | Conflict


def judge(submission: Submission, last: Checkpoint | None, *, origin: str, log_key: bytes) -> Judgement:
    """Whether the submitted head of the log ``origin`` may be signed after ``last``.

    AuditInvalid where the head is not signed by the log's key, or the submission contradicts itself.
    """
    head = open_checkpoint(submission.note, origin, log_key)
    if submission.old > head.size:
        raise AuditInvalid("the old size is greater than the checkpoint's")
    if last is None:
        last = Checkpoint(origin, 0, EMPTY_ROOT)
    if head.size == last.size and head.root != last.root:
        return Conflict("equivocation", head, last, f"two different heads of {head.size} entries")
    if head.size < last.size:
        return Conflict(
            "rollback", head, last, f"a head of {head.size} entries after one of {last.size} was signed"
        )
    if submission.old != last.size:
        return Outdated(last)
    try:
        verify_consistency(last.size, head.size, last.root, head.root, submission.proof)
    except AuditInvalid as error:
        return Conflict("unproven", head, last, error.message)
    return Accepted(head)
