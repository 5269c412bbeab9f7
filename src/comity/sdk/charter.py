"""Charters without a node: write one from a template, check, read, compare and question files, anywhere."""

from __future__ import annotations

from typing import Any, cast, get_args

import msgspec

from comity import limits
from comity.clock import from_rfc3339
from comity.control import (
    CharterChange,
    CharterDiffResult,
    CharterExplainRequest,
    CharterExplainResult,
    CharterFinding,
    CharterLintResult,
    CharterNewRequest,
    CharterNewResult,
    CharterReason,
    CharterShowResult,
)
from comity.errors import InvalidInput
from comity.policy.charter.canonical import charter_digest, to_canonical
from comity.policy.charter.diff import diff as differences
from comity.policy.charter.editing import read_charter
from comity.policy.charter.lint import lint as findings
from comity.policy.charter.model import Charter, Party
from comity.policy.charter.ruling import Question
from comity.policy.charter.show import show as in_words
from comity.policy.charter.templates import NAMES, TEMPLATES, Answers, Signatory, write
from comity.policy.charter.words import Operation, Reference

#: No charter file is larger.
FILE_BYTES = limits.CHARTER_BYTES
#: Each template, and what it is for.
TEMPLATE_NAMES: dict[str, str] = {name: TEMPLATES[name].about for name in NAMES}

#: What can be asked about.
OPERATIONS: tuple[str, ...] = get_args(Operation)


def new(request: CharterNewRequest) -> CharterNewResult:
    """A charter as YAML to edit; InvalidInput, InvalidCharter where an answer is no good."""
    name = next((name for name in NAMES if name == request.template), None)
    if name is None:
        raise InvalidInput(f"there is no template {request.template}", hint=f"use {', '.join(NAMES)}")
    if request.reference_kind not in get_args(Reference):
        raise InvalidInput(f"a reference is to {', '.join(get_args(Reference))}")
    answers = Answers(
        title=request.title,
        purpose=request.purpose,
        reference=request.reference,
        reference_kind=cast(Reference, request.reference_kind),
        start=request.start,
        until=request.until,
        accept_by=request.accept_by,
        parties=tuple(
            Signatory(party.name, party.fingerprint, party.organization, party.contact)
            for party in request.parties
        ),
    )
    return CharterNewResult(template=name, content=write(name, answers))


def lint(data: bytes) -> CharterLintResult:
    """What is missing, contradictory, or weaker than the template; InvalidCharter where it is no charter."""
    charter = read_charter(data)
    found = findings(charter)
    return CharterLintResult(
        valid=not any(finding.kind == "contradictory" for finding in found),
        digest=charter_digest(to_canonical(charter)),
        findings=tuple(CharterFinding(one.kind, one.clause, one.text) for one in found),
    )


def show(data: bytes) -> CharterShowResult:
    """What signing it would sign, and that in plain language; InvalidCharter."""
    canonical = to_canonical(read_charter(data))
    plain: dict[str, Any] = msgspec.json.decode(canonical)
    return CharterShowResult(
        title=plain["title"],
        version=plain["version"],
        digest=charter_digest(canonical),
        lines=in_words(canonical),
        charter=plain,
    )


def diff(before: bytes, after: bytes) -> CharterDiffResult:
    """What changed from one file to another; InvalidCharter."""
    old, new = read_charter(before), read_charter(after)
    digest = charter_digest(to_canonical(old))
    return CharterDiffResult(
        before=digest,
        after=charter_digest(to_canonical(new)),
        succeeds=new.predecessor == digest,
        changes=tuple(CharterChange(one.clause, one.before, one.after) for one in differences(old, new)),
    )


def explain(data: bytes, request: CharterExplainRequest) -> CharterExplainResult:
    """Whether a charter in force would allow this, and by which clauses; nothing is done, asked or counted.

    InvalidCharter; InvalidInput where the charter knows no such party or limit.
    """
    from comity.policy.charter.evaluate import CedarPolicy  # native code that only this needs

    charter = read_charter(data)
    policy = CedarPolicy(charter)
    party = _party(charter, request.party)
    others = [other for other in charter.parties if other != party]
    if request.peer is None and len(others) > 1:
        raise InvalidInput(
            "the charter has several other parties", hint="name the other side with --with NAME"
        )
    peer = others[0] if request.peer is None else _party(charter, request.peer)
    ruling = policy.rule(
        Question(
            operation=_operation(request.operation),
            actor=party.fingerprint,
            peer=peer.fingerprint,
            now=_moment(request.at),
            digest=request.digest,
            signer=request.signer,
            format=request.format,
            bytes=request.bytes,
            topic=request.topic,
            port=request.port,
            used=_used(policy.compiled.limits, request.used),
        )
    )
    return CharterExplainResult(
        allowed=ruling.allowed,
        operation=request.operation,
        party=party.name,
        peer=peer.name,
        at=request.at,
        charter=charter_digest(to_canonical(charter)),
        policy=policy.compiled.digest,
        reasons=tuple(CharterReason(reason.clause, reason.text) for reason in ruling.reasons),
    )


def _party(charter: Charter, name: str) -> Party:
    for party in charter.parties:
        if party.name == name:
            return party
    names = ", ".join(party.name for party in charter.parties)
    raise InvalidInput(f"{name} is not a party", hint=f"name one of {names}")


def _operation(text: str) -> Operation:
    if text not in OPERATIONS:
        raise InvalidInput(f"{text} is not an operation", hint=f"use one of {', '.join(OPERATIONS)}")
    return cast(Operation, text)


def _moment(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError as error:
        raise InvalidInput(f"{text} is not a time in UTC", hint="write 2026-12-01T09:00:00Z") from error


def _used(counted: tuple[str, ...], said: dict[str, int]) -> dict[str, int]:
    for clause in said:
        if clause not in counted:
            raise InvalidInput(f"the charter has no limit {clause}", hint=f"limits: {', '.join(counted)}")
    return {clause: said.get(clause, 0) for clause in counted}
