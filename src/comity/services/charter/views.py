"""Charters as people see them: each version with its signatures, what its limits counted, what is owed."""

from __future__ import annotations

from comity import limits
from comity.clock import Clock, rfc3339
from comity.control import CharterParty, CharterUse, CharterView
from comity.identity.envelope import Envelope
from comity.identity.text import printable
from comity.policy.charter.model import Limit
from comity.policy.charter.show import limit_text
from comity.protocol.charter.statements import CharterSignature
from comity.protocol.charter.terms import Line, Version
from comity.protocol.wire import decode_canonical
from comity.services.charter.library import Library, Volume
from comity.services.charter.periods import period_name
from comity.services.charter.winding_up import WindingUp
from comity.storage.charter import CharterStore
from comity.storage.usage import UsageStore


class Views:
    """Reads; changes nothing."""

    def __init__(
        self,
        store: CharterStore,
        usage: UsageStore,
        library: Library,
        winding_up: WindingUp,
        own: str,
        clock: Clock,
    ) -> None:
        self._store = store
        self._usage = usage
        self._library = library
        self._winding_up = winding_up
        self._own = own
        self._clock = clock

    def view(self, line: Line, version: Version) -> CharterView:
        """One version in full; what passed and is owed is shown with the newest that was in force."""
        volume = self._library.get(version.terms.digest)
        charter, latest, ending = volume.charter, line.latest, line.ending
        newest = latest is not None and latest.terms.digest == version.terms.digest
        names = self._winding_up.names(line)
        brought = self._store.brought_by(version.terms.digest)
        return CharterView(
            digest=version.terms.digest,
            title=charter.title,
            version=charter.version,
            lineage=line.lineage,
            predecessor=charter.predecessor,
            state=state(line, version),
            policy=volume.terms.policy,
            accept_by=charter.accept_by,
            from_=charter.window.from_,
            until=charter.window.until,
            proposed_by=names.get(brought, brought),
            parties=self._parties(line, version, volume),
            uses=self._uses(line, volume) if newest else (),
            exchanged=self._winding_up.exchanged(line) if newest else (),
            owed=self._winding_up.owed(line) if newest else (),
            ended_by=names.get(ending.by, ending.by) if ending else "",
            ended_at=rfc3339(ending.at) if ending else None,
            ended_why=printable(ending.reason) if ending else "",
        )

    def _parties(self, line: Line, version: Version, volume: Volume) -> tuple[CharterParty, ...]:
        signed = {
            one.signer: one
            for one in self._store.statements(
                lineage=line.lineage, kind=CharterSignature.TYPE, charter=version.terms.digest
            )
        }
        found = []
        for party in volume.charter.parties:
            held = signed.get(party.fingerprint) if party.fingerprint in version.signed else None
            said = None if held is None else _signature(held.envelope)
            found.append(
                CharterParty(
                    name=party.name,
                    fingerprint=party.fingerprint,
                    roles=party.roles,
                    organization=party.organization,
                    signed=held is not None,
                    signed_by=printable(said.signed_by) if said else "",
                    signed_at=rfc3339(said.issued) if said else None,
                )
            )
        return tuple(found)

    def _uses(self, line: Line, volume: Volume) -> tuple[CharterUse, ...]:
        """Every limit, for each direction in which it has counted something between us and another."""
        now, charter = self._clock.now(), volume.charter
        names = {party.fingerprint: party.name for party in charter.parties}
        every: list[tuple[str, Limit]] = [(f"limits.{limit.id}", limit) for limit in charter.limits]
        for permission in charter.permissions:
            every += [(f"permissions.{permission.id}.limits.{one.id}", one) for one in permission.limits]
        periods = {clause: period_name(limit.per, now) for clause, limit in every}
        found = []
        for other in names:
            if other == self._own:
                continue
            for giver, taker in ((self._own, other), (other, self._own)):
                used = self._usage.used(line.lineage, giver, taker, periods)
                found += [
                    CharterUse(
                        clause, limit_text(limit), names[giver], names[taker], used[clause], limit.most
                    )
                    for clause, limit in every
                    if used[clause]
                ]
        return tuple(found)


def state(line: Line, version: Version) -> str:
    """As ``CharterView`` names it."""
    latest = line.latest
    if version.complete:
        if latest is None or latest.terms.digest != version.terms.digest:
            return "superseded"
        return "in_force" if line.ending is None else "ended"
    if version.void:
        return "void"
    if line.ending is not None:
        return "ended"
    return "signed" if line.own in version.signed else "proposed"


def _signature(envelope: str) -> CharterSignature:
    payload = Envelope.from_json(envelope.encode()).payload
    return decode_canonical(payload, CharterSignature, limits.STATEMENT_BYTES)
