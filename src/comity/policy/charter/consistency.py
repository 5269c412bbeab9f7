"""Whether the parts of a charter fit each other: names that lead nowhere, times in the wrong order, rules
that can never hold. A charter with a contradiction is compiled and signed by nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from comity.clock import from_rfc3339
from comity.policy.charter.finding import Finding
from comity.policy.charter.flow import ACTS, COUNTED, NEEDS, flows
from comity.policy.charter.model import Asset, Charter, Limit, Permission, Window


def contradictions(charter: Charter) -> tuple[Finding, ...]:
    """Every one of them; none in a charter that may be signed."""
    return tuple(
        Finding("contradictory", clause, text)
        for check in (_versions, _times, _names, _people, _assets, _permissions)
        for clause, text in check(charter)
    )


_Found = Iterator[tuple[str, str]]


def _versions(charter: Charter) -> _Found:
    first = charter.lineage is None and charter.predecessor is None
    if charter.version == 1 and not first:
        yield "version", "the first version has no predecessor and no lineage"
    elif charter.version > 1 and (charter.lineage is None or charter.predecessor is None):
        yield "version", "a later version names its predecessor and the first of its lineage"
    elif charter.version == 2 and charter.lineage != charter.predecessor:
        yield "version", "the second version's predecessor is the first of its lineage"
    elif charter.version > 2 and charter.lineage == charter.predecessor:
        yield "version", "only the second version's predecessor is the first of its lineage"


def _times(charter: Charter) -> _Found:
    yield from _order(charter.window, "window")
    if from_rfc3339(charter.accept_by) > from_rfc3339(charter.window.until):
        yield "accept_by", "it can be accepted after it has ended"
    for permission in charter.permissions:
        if permission.window is None:
            continue
        clause = f"permissions.{permission.id}.window"
        yield from _order(permission.window, clause)
        begins, ends = _bounds(permission.window)
        earliest, latest = _bounds(charter.window)
        if begins < earliest or ends > latest:
            yield clause, "it reaches beyond the window of the charter"


def _order(window: Window, clause: str) -> _Found:
    begins, ends = _bounds(window)
    if begins >= ends:
        yield clause, "it ends before it begins"


def _bounds(window: Window) -> tuple[int, int]:
    return from_rfc3339(window.from_), from_rfc3339(window.until)


def _names(charter: Charter) -> _Found:
    yield from _twice("parties", (party.name for party in charter.parties))
    yield from _twice("parties", (party.fingerprint for party in charter.parties))
    yield from _twice("assets", (asset.id for asset in charter.assets))
    yield from _twice("permissions", (permission.id for permission in charter.permissions))
    yield from _twice("limits", (limit.id for limit in charter.limits))
    yield from _twice("artifacts.formats", charter.artifacts.formats)
    yield from _twice("anomalies", (anomaly.id for anomaly in charter.anomalies))
    for party in charter.parties:
        yield from _twice(f"parties.{party.name}.roles", party.roles)
    for asset in charter.assets:
        yield from _twice(f"assets.{asset.id}", asset.digests + asset.signers)
    for permission in charter.permissions:
        clause = f"permissions.{permission.id}"
        yield from _twice(f"{clause}.limits", (limit.id for limit in permission.limits))
        for listed in (permission.who, permission.with_, permission.may):
            yield from _twice(clause, listed)
        yield from _twice(clause, permission.assets + permission.topics)
        yield from _twice(clause, map(str, permission.ports))


def _twice(clause: str, names: Iterable[str]) -> _Found:
    for name, count in Counter(names).items():
        if count > 1:
            yield clause, f"{name} is named twice"


def _people(charter: Charter) -> _Found:
    parties = {party.name for party in charter.parties}
    named = [("ownership.outputs", name) for name in charter.ownership.outputs]
    named += [("incidents.contacts", contact.party) for contact in charter.incidents.contacts]
    named += [(f"assets.{asset.id}.owner", asset.owner) for asset in charter.assets]
    for clause, name in named:
        if name not in parties:
            yield clause, f"{name} is not a party"


def _assets(charter: Charter) -> _Found:
    for asset in charter.assets:
        if not asset.digests and not asset.signers:
            yield f"assets.{asset.id}", "it has neither a digest nor an approved signer, so nothing is it"
    for kept in (asset for asset in charter.assets if asset.class_ == "proprietary"):
        for shared in (asset for asset in charter.assets if asset.class_ == "shareable"):
            if _marks(kept) & _marks(shared):
                yield f"assets.{shared.id}", f"what is shareable here is proprietary as {kept.id}"


def _marks(asset: Asset) -> set[str]:
    return {*asset.digests, *asset.signers}


def _permissions(charter: Charter) -> _Found:
    assets = {asset.id: asset for asset in charter.assets}
    roles = {role for party in charter.parties for role in party.roles}
    for permission in charter.permissions:
        clause = f"permissions.{permission.id}"
        for role in dict.fromkeys(permission.who + permission.with_):
            if role not in roles:
                yield clause, f"no party plays the role {role}"
        acts = {ACTS[operation] for operation in permission.may}
        for name in permission.assets:
            if name not in assets:
                yield clause, f"there is no asset {name}"
            elif assets[name].class_ == "proprietary" and "transfer" in acts:
                yield clause, f"{name} is proprietary, and is never sent"
        yield from _listed(permission, clause)
        yield from _counted(permission.limits, set(acts), clause)
        if not any(next(flow.pairs, None) for flow in flows(charter, permission)):
            yield clause, "it describes no two parties"
    described = {ACTS[operation] for permission in charter.permissions for operation in permission.may}
    yield from _counted(charter.limits, set(described), "limits")


def _listed(permission: Permission, clause: str) -> _Found:
    needed = {NEEDS[act]: act for operation in permission.may if (act := ACTS[operation]) != "connect"}
    for name, listed in (
        ("assets", permission.assets),
        ("topics", permission.topics),
        ("ports", permission.ports),
    ):
        if listed and name not in needed:
            yield clause, f"it lists {name}, and nothing that it allows has any"
        elif not listed and name in needed:
            yield clause, f"it lists no {name}, so it allows nothing"


def _counted(limits: tuple[Limit, ...], acts: set[str], clause: str) -> _Found:
    for limit in limits:
        if not acts & set(COUNTED[limit.counts]):
            yield clause, f"the limit {limit.id} counts {limit.counts}, which nothing here makes"
