"""Asks Cedar: parsed and validated once, denied on anything but a clean Allow.

Measured pitfalls (DESIGN.md, "The agreement"): a decision may be neither Allow nor Deny, and a ``forbid``
that fails to evaluate (an overflow, a missing attribute) is skipped, so that Cedar answers Allow with an
error beside it. Both are denials here.
"""

from __future__ import annotations

from typing import Any

import cedarpy

from comity.clock import rfc3339
from comity.errors import LocalProtocolError
from comity.policy.charter.cedar import Compiled, compile_charter
from comity.policy.charter.flow import ACTS, TAKING
from comity.policy.charter.model import Charter
from comity.policy.charter.ruling import Question, Reason, Ruling
from comity.policy.charter.show import verb

_UNDECIDED = Reason("policy", "the policy cannot be evaluated for this, so it is denied")


class CedarPolicy:
    """A charter's policy, ready to be asked. LocalProtocolError where our compiler made no valid policy."""

    def __init__(self, charter: Charter) -> None:
        self.compiled: Compiled = compile_charter(charter)
        self._names = {party.fingerprint: party.name for party in charter.parties}
        self._order = {clause: at for at, clause in enumerate(self.compiled.clauses)}
        try:
            self._schema = cedarpy.Schema.from_str(self.compiled.schema)
            self._policies = cedarpy.PolicySet.from_str(self.compiled.policies)
            validation = cedarpy.validate_policies(self.compiled.policies, self._schema)
        except ValueError as error:
            raise LocalProtocolError(f"the charter compiles to no policy: {error}") from error
        if not validation.validation_passed:
            raise LocalProtocolError(f"the charter compiles to no valid policy: {validation.errors[0]}")
        self._entities = cedarpy.Entities.from_json_str("[]")

    def rule(self, question: Question) -> Ruling:
        """Whether the charter allows it, and by which clauses."""
        taking = question.operation in TAKING
        giver, taker = (question.peer, question.actor) if taking else (question.actor, question.peer)
        answer = cedarpy.is_authorized(
            {
                "principal": {"type": "Party", "id": giver},
                "action": {"type": "Action", "id": ACTS[question.operation]},
                "resource": {"type": "Party", "id": taker},
                "context": self._facts(question),
            },
            self._policies,
            self._entities,
            schema=self._schema,
        )
        if answer.diagnostics.errors:
            return Ruling(False, (_UNDECIDED,))
        clauses = set(answer.diagnostics.id_annotations_by_reason.values())
        reasons = tuple(
            Reason(clause, self.compiled.clauses[clause])
            for clause in sorted(clauses, key=self._order.__getitem__)
        )
        if answer.decision == cedarpy.Decision.Allow:
            return Ruling(True, reasons)
        return Ruling(False, reasons or (self._nothing(question),))

    def _facts(self, question: Question) -> dict[str, Any]:
        return {
            "now": {"__extn": {"fn": "datetime", "arg": rfc3339(question.now)}},
            "digest": question.digest,
            "signer": question.signer,
            "format": question.format,
            "bytes": question.bytes,
            "topic": question.topic,
            "port": question.port,
            "used": dict(question.used),
        }

    def _nothing(self, question: Question) -> Reason:
        for key in (question.actor, question.peer):
            if key not in self._names:
                return Reason("parties", f"{key} is not a party")
        actor, peer = self._names[question.actor], self._names[question.peer]
        would = f"{actor} would {verb(question.operation)} {peer}"
        return Reason("permissions", f"no permission describes this: {would}{_subject(question)}")


def _subject(question: Question) -> str:
    """What it is about, so that a refusal tells one artifact, topic or port from those that are allowed."""
    if question.topic:
        return f", topic {question.topic}"
    if question.port:
        return f", port {question.port}"
    return f", {question.digest[:19]}" if question.digest else ""
