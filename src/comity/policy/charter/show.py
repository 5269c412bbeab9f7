"""A charter in plain language, rendered from the bytes that are signed and from nothing else.

It tells what the software enforces apart from what the parties attest. Words only; how lines are indented and
printed is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterator

from comity.policy.charter.canonical import from_canonical
from comity.policy.charter.flow import ACTS, NEEDS, TAKING
from comity.policy.charter.model import (
    Anomaly,
    Asset,
    Charter,
    Denials,
    Limit,
    OutsideHours,
    Permission,
    Volume,
)
from comity.policy.charter.words import Operation

_SIDES = {
    "connect": ("connect to", "connect to"),
    "transfer": ("send to", "receive from"),
    "event": ("publish to", "subscribe to the events of"),
    "tunnel": ("expose to", "forward from"),
    "call": ("serve", "call the models of"),
}


def show(canonical: bytes) -> tuple[str, ...]:
    """Lines; a line that belongs to the one above is indented by two spaces. RemoteProtocolError."""
    charter = from_canonical(canonical)
    parts = (_head, _parties, _assets, _permissions, _rules, _attested, _after)
    return tuple(line for part in parts for line in part(charter))


def _head(charter: Charter) -> Iterator[str]:
    yield f"{charter.title}, version {charter.version}"
    if charter.template != "none":
        yield f"  Follows the template {charter.template}"
    if charter.predecessor:
        yield f"  Replaces: {charter.predecessor}"
        yield f"  First of its line: {charter.lineage}"
    yield f"Purpose (attested by the parties, not verified): {charter.purpose.text}"
    if charter.purpose.reference:
        yield f"  Reference ({charter.purpose.reference_kind}): {charter.purpose.reference}"
    yield f"In force: from {charter.window.from_} until {charter.window.until}"
    yield f"Void unless all parties have signed by {charter.accept_by}"


def _parties(charter: Charter) -> Iterator[str]:
    yield "Parties:"
    for party in charter.parties:
        organization = f", {party.organization}" if party.organization else ""
        yield f"  {party.name}{organization}: {_list(party.roles)}"
        yield f"    fingerprint {party.fingerprint}"


def _assets(charter: Charter) -> Iterator[str]:
    yield "Assets:"
    for asset in charter.assets:
        about = f": {asset.description}" if asset.description else ""
        yield f"  {asset.id}, of {asset.owner}, {_class(asset)}{about}"
        for digest in asset.digests:
            yield f"    is what has the digest {digest}"
        for signer in asset.signers:
            yield f"    is what is signed by {signer}"


def _class(asset: Asset) -> str:
    return "shareable" if asset.class_ == "shareable" else "proprietary (never sent to anybody)"


def _permissions(charter: Charter) -> Iterator[str]:
    yield "Allowed, and nothing else:"
    for permission in charter.permissions:
        yield f"  {permission.id}: {sentence(permission)}"
        for name, listed in (
            ("assets", permission.assets),
            ("topics", permission.topics),
            ("ports", tuple(map(str, permission.ports))),
        ):
            if listed:
                yield f"    {name}: {_list(listed)}"
        if permission.window is not None:
            yield f"    only from {permission.window.from_} until {permission.window.until}"
        for limit in permission.limits:
            yield f"    {limit_text(limit)}"


def sentence(permission: Permission) -> str:
    """``evaluator may receive from developer``."""
    verbs = [verb(operation) for operation in permission.may]
    return f"{_list(permission.who)} may {_list(verbs)} {_list(permission.with_)}"


def verb(operation: Operation) -> str:
    """``receive from``, before a name."""
    return _SIDES[ACTS[operation]][operation in TAKING]


def limit_text(limit: Limit) -> str:
    """``at most 5 transfers in all between any two``, and the limit's name."""
    period = "in all" if limit.per == "charter" else f"a {limit.per}"
    return f"at most {limit.most:,} {limit.counts} {period} between any two ({limit.id})"


def _rules(charter: Charter) -> Iterator[str]:
    rules = charter.artifacts
    if charter.limits:
        yield "Limits on everything:"
        for limit in charter.limits:
            yield f"  {limit_text(limit)}"
    if any(NEEDS.get(ACTS[operation]) == "assets" for one in charter.permissions for operation in one.may):
        yield f"Every artifact: {_list(rules.formats)} only, at most {rules.max_bytes:,} bytes"
        yield "  never a pickle"
        if rules.signature == "required":
            yield "  signed by a party or by an approved signer of an asset"
    if charter.anomalies:
        yield "A partner is suspended, until a person lifts it, when:"
        for anomaly in charter.anomalies:
            yield f"  {anomaly_text(anomaly)} ({anomaly.id})"


def anomaly_text(anomaly: Anomaly) -> str:
    """What has to happen, as ``10 attempts in a row are denied``."""
    match anomaly:
        case Denials():
            return f"{anomaly.in_a_row} attempts in a row are denied"
        case Volume():
            usual = f"{anomaly.times} times the usual of a day passes"
            return f"{usual}, and at least {anomaly.at_least:,} bytes"
        case OutsideHours():
            hours = f"{anomaly.from_} to {anomaly.until} UTC, {_list(anomaly.days)}"
            return f"something is attempted outside {hours}"
        case _:
            return "another key claims the partner's name"


def _attested(charter: Charter) -> Iterator[str]:
    privacy, ownership = charter.privacy, charter.ownership
    yield "Attested by the parties (no software enforces it):"
    yield f"  Privacy: secure aggregation is {privacy.secure_aggregation}"
    yield f"    at least {privacy.minimum_participants} participating"
    for name, value in (("epsilon", privacy.epsilon), ("delta", privacy.delta)):
        if value is not None:
            yield f"    {name} at most {value}"
    if privacy.terms:
        yield f"    {privacy.terms}"
    yield f"  Artifacts are kept for {charter.retention.artifacts_days} days after the end at most"
    yield f"  Records are kept for {charter.retention.records_days} days at least"
    yield f"  Outputs belong to {_list(ownership.outputs)}; reuse with others is {ownership.reuse}"
    if ownership.terms:
        yield f"    {ownership.terms}"


def _after(charter: Charter) -> Iterator[str]:
    incidents, end = charter.incidents, charter.exit
    yield "After an incident:"
    yield f"  Notice within {incidents.notify_within_hours} hours"
    yield f"  Remedy within {incidents.remedy_within_days} days"
    for contact in incidents.contacts:
        yield f"  Tell {contact.name or 'somebody'} at {contact.party}: {contact.reach}"
    if incidents.evidence:
        yield f"  Keep as evidence: {incidents.evidence}"
    yield f"At the end, with {end.notice_days} days of notice:"
    yield f"  {end.artifacts.capitalize()} what was exchanged"
    yield f"  Sign a statement about it within {end.statements_within_days} days"
    if end.terms:
        yield f"  {end.terms}"


def _list(items: tuple[str, ...] | list[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
