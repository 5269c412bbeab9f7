"""The report on one partner: who agreed to what, what passed, what was refused and why, tied to the log.

It puts together and judges nothing. Where an agreement ended long ago, or the partner is known by its
fingerprint alone, the log still says what happened.
"""

from __future__ import annotations

from typing import Protocol

from comity import control
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.period import Period
from comity.clock import Clock, rfc3339
from comity.control.audit import ConflictView, WitnessView
from comity.control.report import Report, ReportAgreement, ReportParty, ReportRequest
from comity.errors import UnknownPeer
from comity.identity.fingerprint import Fingerprint
from comity.services.audit.aside import Aside
from comity.services.reporting.gathering import gather
from comity.storage.database import Database
from comity.storage.logkey import AuditKey


class Trust(Protocol):
    """What the report needs of trust."""

    async def trust(self) -> control.TrustResult:
        """Every agreement, past and present."""


class Witnesses(Protocol):
    """What it needs of countersigning."""

    def witnesses(self) -> tuple[WitnessView, ...]:
        """Partners that countersigned this log, or are to."""

    def conflicts(self) -> tuple[ConflictView, ...]:
        """Logs that contradict themselves."""


class ReportService:
    """``own`` is what this node says of itself."""

    def __init__(
        self, db: Database, key: AuditKey, trust: Trust, witnesses: Witnesses, own: ReportParty, clock: Clock
    ) -> None:
        self._key = key
        self._trust = trust
        self._witnesses = witnesses
        self._own = own
        self._clock = clock
        self._aside = Aside(db)

    async def report(self, request: ReportRequest) -> Report:
        """See ``control.report``. InvalidInput, UnknownPeer where neither an agreement nor an entry tells of
        the fingerprint, TooLarge, AuditInvalid.
        """
        peer = str(Fingerprint.parse(request.peer))
        period = Period.parse(request.since, request.until)
        known = await self._trust.trust()
        agreements = [one for one in (*known.trusted, *known.ended) if one.fingerprint == peer]
        found = await self._aside.run(lambda reader: gather(reader, peer, period))
        if not agreements and not found.entries:
            raise UnknownPeer("nothing is on record of a partner with this fingerprint")
        head = Checkpoint(self._key.origin, found.size, found.root)
        witness = next((one for one in self._witnesses.witnesses() if one.fingerprint == peer), None)
        newest = agreements[0] if agreements else None
        return Report(
            by=self._own,
            about=ReportParty(
                hostname=newest.hostname if newest else "",
                fingerprint=peer,
                organization=newest.organization if newest else "",
                contact=newest.contact if newest else "",
            ),
            since=request.since,
            until=request.until,
            generated_at=rfc3339(self._clock.now()),
            agreements=tuple(_agreement(one) for one in sorted(agreements, key=lambda one: one.approved_at)),
            acts=tuple(found.acts),
            flows=tuple(found.flows),
            refusals=tuple(found.refusals),
            tallies=tuple(found.tallies),
            entries=found.entries,
            erased=found.erased,
            origin=head.origin,
            size=head.size,
            root=head.root.hex(),
            checkpoint=sign_checkpoint(head, self._key.private).decode(),
            witnessed_size=witness.size if witness else 0,
            witnessed_at=witness.at if witness else "",
            conflicts=tuple(one.why for one in self._witnesses.conflicts() if one.fingerprint == peer),
            proofs=tuple(found.proofs),
        )


def _agreement(one: control.TrustedPeer) -> ReportAgreement:
    return ReportAgreement(
        agreement=one.agreement,
        justification=one.justification,
        requested_by=one.requested_by,
        signed_at=one.approved_at,
        until=one.until,
        allow=one.allow,
        status=one.status,
        revoked_at=one.revoked_at,
        revoked_by=one.revoked_by,
    )
