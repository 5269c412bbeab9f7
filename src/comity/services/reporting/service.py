"""The report on one partner: who agreed to what, what passed, what was refused and why, tied to the log.

It puts together and judges nothing. Where an agreement ended long ago, or the partner is known by its
fingerprint alone, the log still says what happened.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from comity import control
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.period import Period
from comity.clock import Clock, rfc3339
from comity.control.audit import ConflictView, WitnessView
from comity.control.report import (
    Report,
    ReportAgreement,
    ReportCharter,
    ReportParty,
    ReportRequest,
    ReportSignature,
)
from comity.errors import UnknownPeer
from comity.identity.fingerprint import Fingerprint
from comity.protocol.trust import evidence
from comity.services.audit.aside import Aside
from comity.services.reporting.gathering import gather
from comity.storage.database import Database
from comity.storage.logkey import AuditKey


class Trust(Protocol):
    """What the report needs of trust."""

    async def trust(self) -> control.TrustResult:
        """Every agreement, past and present."""


class Files(Protocol):
    """Agreements as their parties signed them."""

    def agreement_files(self, peer: Fingerprint | None) -> list[str]:
        """Every agreement with a peer, each as the file that proves it."""


class Charters(Protocol):
    """What it needs of charters."""

    def status(self, request: control.CharterStatusRequest) -> control.CharterStatusResult:
        """Every version that is known here."""

    def read(self, request: control.CharterReadRequest) -> control.CharterReadResult:
        """One of them, with its canonical form."""


class Witnesses(Protocol):
    """What it needs of countersigning."""

    def witnesses(self) -> tuple[WitnessView, ...]:
        """Partners that countersigned this log, or are to."""

    def conflicts(self) -> tuple[ConflictView, ...]:
        """Logs that contradict themselves."""


class ReportService:
    """``own`` is what this node says of itself."""

    def __init__(
        self,
        *,
        db: Database,
        key: AuditKey,
        trust: Trust,
        files: Files,
        charters: Charters,
        witnesses: Witnesses,
        own: ReportParty,
        clock: Clock,
    ) -> None:
        self._key = key
        self._trust = trust
        self._files = files
        self._charters = charters
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
        charters = [
            one
            for one in self._charters.status(control.CharterStatusRequest()).charters
            if peer in (party.fingerprint for party in one.parties)
        ]
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
            agreements=self._agreements(agreements),
            charters=tuple(_charter(self._charters, one) for one in charters),
            acts=tuple(found.acts),
            flows=tuple(found.flows),
            refusals=tuple(found.refusals),
            tallies=tuple(found.tallies),
            owed=tuple(
                owed
                for one in charters
                for owed in one.owed
                if peer in (owed.fingerprint, _party(one, owed.giver))
            ),
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

    def _agreements(self, agreements: Sequence[control.TrustedPeer]) -> tuple[ReportAgreement, ...]:
        """Oldest first, with what only the signed statements tell."""
        signed: dict[str, evidence.Evidence] = {}
        for one in agreements[:1]:
            for file in self._files.agreement_files(Fingerprint.parse(one.fingerprint)):
                found = evidence.verify_agreement(file.encode(), {})
                signed[found.digest] = found
        return tuple(
            _agreement(one, signed.get(one.agreement))
            for one in sorted(agreements, key=lambda one: one.approved_at)
        )


def _agreement(one: control.TrustedPeer, signed: evidence.Evidence | None) -> ReportAgreement:
    return ReportAgreement(
        agreement=one.agreement,
        justification=one.justification,
        requested_by=signed.request.requested_by if signed else one.requested_by,
        requester=signed.request.hostname if signed else "",
        reason=signed.approval.reason if signed else "",
        signed_at=one.approved_at,
        until=one.until,
        allow=one.allow,
        status=one.status,
        revoked_at=one.revoked_at,
        revoked_by=one.revoked_by,
    )


def _charter(charters: Charters, one: control.CharterView) -> ReportCharter:
    said = json.loads(charters.read(control.CharterReadRequest(one.digest)).canonical)["purpose"]
    return ReportCharter(
        charter=one.digest,
        title=one.title,
        version=one.version,
        state=one.state,
        purpose=str(said.get("text", "")),
        reference=str(said.get("reference", "")),
        begins=one.from_,
        until=one.until,
        signatures=tuple(
            ReportSignature(party.name, party.signed_by, party.signed_at) for party in one.parties
        ),
        ended_by=one.ended_by,
        ended_at=one.ended_at,
        ended_why=one.ended_why,
    )


def _party(charter: control.CharterView, name: str) -> str:
    """The fingerprint of a party that a charter calls so."""
    return next((party.fingerprint for party in charter.parties if party.name == name), "")
