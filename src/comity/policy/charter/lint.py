"""What is missing in a charter, contradictory, or weaker than the template that it says it follows.

Contradictions end the matter. The rest is advice: people decide, and what they decide is what they sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from comity.clock import from_rfc3339
from comity.policy.charter.consistency import contradictions
from comity.policy.charter.finding import Finding
from comity.policy.charter.flow import COUNTED, flows
from comity.policy.charter.model import Charter, Limit
from comity.policy.charter.show import anomaly_text
from comity.policy.charter.templates import standard

_REUSE = ("forbidden", "with-consent", "allowed")
_DISPOSAL = ("delete", "return", "retain")


def lint(charter: Charter) -> tuple[Finding, ...]:
    """All findings, contradictions first."""
    found = [*contradictions(charter), *_missing(charter)]
    if charter.template != "none":
        found += _weaker(charter, standard(charter.template))
    return tuple(found)


# ── missing ───────────────────────────────────────────────────────────────────────────────────────────


def _missing(charter: Charter) -> Iterator[Finding]:
    for clause, text in _gaps(charter):
        yield Finding("missing", clause, text)


def _gaps(charter: Charter) -> Iterator[tuple[str, str]]:
    if not charter.purpose.reference:
        yield "purpose.reference", "no review board's approval and no contract is named"
    reached = {contact.party for contact in charter.incidents.contacts}
    for party in charter.parties:
        if not party.organization:
            yield f"parties.{party.name}", "the organization is not named"
        if party.name not in reached:
            yield "incidents.contacts", f"nobody is named at {party.name}, for when something goes wrong"
    if not charter.incidents.evidence:
        yield "incidents.evidence", "it does not say what is kept as evidence"
    if not charter.privacy.terms and charter.privacy.epsilon is None:
        yield "privacy", "it does not say what protects the people in the data"
    used = {name for permission in charter.permissions for name in permission.assets}
    for asset in charter.assets:
        if asset.class_ == "shareable" and asset.id not in used:
            yield f"assets.{asset.id}", "it is shareable, and no permission names it"
    yield from _unlimited(charter)
    yield from _idle(charter)


def _unlimited(charter: Charter) -> Iterator[tuple[str, str]]:
    everywhere = {act for limit in charter.limits for act in COUNTED[limit.counts]}
    for permission in charter.permissions:
        counted = everywhere | {act for limit in permission.limits for act in COUNTED[limit.counts]}
        acts = dict.fromkeys(flow.act for flow in flows(charter, permission))
        for act in acts:
            if act not in ("connect", "tunnel") and act not in counted:
                yield f"permissions.{permission.id}", f"nothing limits how many {act}s there are"


def _idle(charter: Charter) -> Iterator[tuple[str, str]]:
    busy = {
        party.name
        for permission in charter.permissions
        for flow in flows(charter, permission)
        if next(flow.pairs, None)
        for party in flow.givers + flow.takers
    }
    for party in charter.parties:
        if party.name not in busy:
            yield f"parties.{party.name}", "no permission concerns this party"


# ── weaker ────────────────────────────────────────────────────────────────────────────────────────────


def _weaker(charter: Charter, template: Charter) -> Iterator[Finding]:
    for clause, read, name in _MEASURES:
        if read(charter) > read(template):
            said = f"{name}: {_said(charter, clause)}, in the template {_said(template, clause)}"
            yield Finding("weaker", clause, said)
    for name in charter.artifacts.formats:
        if name not in template.artifacts.formats:
            yield Finding("weaker", "artifacts.formats", f"the template does not let {name} pass")
    allowed = {operation for permission in template.permissions for operation in permission.may}
    for permission in charter.permissions:
        for operation in permission.may:
            if operation not in allowed:
                clause = f"permissions.{permission.id}"
                yield Finding("weaker", clause, f"the template lets nobody {operation}")
    yield from _looser("limits", charter.limits, template.limits)
    standards = {permission.id: permission for permission in template.permissions}
    for permission in charter.permissions:
        if permission.id in standards:
            clause = f"permissions.{permission.id}.limits"
            yield from _looser(clause, permission.limits, standards[permission.id].limits)
    yield from _unwatched(charter, template)
    if charter.privacy.secure_aggregation == "optional" != template.privacy.secure_aggregation:
        yield Finding("weaker", "privacy.secure_aggregation", "the template requires secure aggregation")
    if charter.artifacts.signature == "optional" != template.artifacts.signature:
        yield Finding("weaker", "artifacts.signature", "the template requires artifacts to be signed")


def _unwatched(charter: Charter, template: Charter) -> Iterator[Finding]:
    watched = {type(anomaly) for anomaly in charter.anomalies}
    for anomaly in template.anomalies:
        if type(anomaly) not in watched:
            yield Finding("weaker", "anomalies", f"the template suspends when {anomaly_text(anomaly)}")


def _looser(clause: str, ours: tuple[Limit, ...], theirs: tuple[Limit, ...]) -> Iterator[Finding]:
    kept = {limit.id: limit for limit in ours}
    for limit in theirs:
        said = f"{limit.most} {limit.counts} per {limit.per}"
        own = kept.get(limit.id)
        if own is None:
            yield Finding("weaker", clause, f"the template's limit {limit.id} is gone: {said}")
        elif (own.counts, own.per) != (limit.counts, limit.per) or own.most > limit.most:
            changed = f"{own.most} {own.counts} per {own.per}"
            yield Finding("weaker", f"{clause}.{limit.id}", f"{changed}, in the template {said}")


def _days(charter: Charter) -> int:
    return -(-(from_rfc3339(charter.window.until) - from_rfc3339(charter.window.from_)) // 86400)


def _epsilon(charter: Charter) -> Decimal:
    given = charter.privacy.epsilon
    return Decimal("Infinity") if given is None else Decimal(given)


#: What can be measured, so that more is weaker.
_MEASURES: tuple[tuple[str, Callable[[Charter], int | Decimal], str], ...] = (
    ("window", _days, "more days"),
    ("artifacts.max_bytes", lambda it: it.artifacts.max_bytes, "larger artifacts in bytes"),
    ("retention.artifacts_days", lambda it: it.retention.artifacts_days, "artifacts are kept for more days"),
    ("retention.records_days", lambda it: -it.retention.records_days, "records are kept for fewer days"),
    ("privacy.epsilon", _epsilon, "a larger privacy loss"),
    ("privacy.minimum_participants", lambda it: -it.privacy.minimum_participants, "fewer participants"),
    ("incidents.notify_within_hours", lambda it: it.incidents.notify_within_hours, "later notice in hours"),
    ("incidents.remedy_within_days", lambda it: it.incidents.remedy_within_days, "later remedy in days"),
    ("ownership.reuse", lambda it: _REUSE.index(it.ownership.reuse), "freer reuse"),
    ("exit.artifacts", lambda it: _DISPOSAL.index(it.exit.artifacts), "more is kept at the end"),
    ("exit.statements_within_days", lambda it: it.exit.statements_within_days, "later statements in days"),
)


def _said(charter: Charter, clause: str) -> str:
    if clause == "window":
        return str(_days(charter))
    value: Any = charter
    for name in clause.split("."):
        value = getattr(value, name)
    return "no bound" if value is None else str(value)
