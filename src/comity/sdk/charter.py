"""Charters without a node: write one from a template, check, read and compare files, on any machine."""

from __future__ import annotations

from typing import Any, cast, get_args

import msgspec

from comity import limits
from comity.control import (
    CharterChange,
    CharterDiffResult,
    CharterFinding,
    CharterLintResult,
    CharterNewRequest,
    CharterNewResult,
    CharterShowResult,
)
from comity.errors import InvalidInput
from comity.policy.charter.canonical import charter_digest, to_canonical
from comity.policy.charter.diff import diff as differences
from comity.policy.charter.editing import read_charter
from comity.policy.charter.lint import lint as findings
from comity.policy.charter.show import show as in_words
from comity.policy.charter.templates import NAMES, TEMPLATES, Answers, Signatory, write
from comity.policy.charter.words import Reference

#: No charter file is larger.
FILE_BYTES = limits.CHARTER_BYTES
#: Each template, and what it is for.
TEMPLATE_NAMES: dict[str, str] = {name: TEMPLATES[name].about for name in NAMES}


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
