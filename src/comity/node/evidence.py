"""What makes a node's audit log evidence: countersigning, the log's desk, reports. Wiring only."""

from __future__ import annotations

from dataclasses import dataclass

from comity.clock import Clock
from comity.control import ReportParty
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.services.audit import AuditService
from comity.services.audit.desk import AuditDesk
from comity.services.charter.service import CharterService
from comity.services.guard import Guard
from comity.services.reporting import ReportService
from comity.services.session import SessionService
from comity.services.trust import TrustService
from comity.services.trust.ledger import Claims
from comity.services.witnessing import WitnessService
from comity.services.witnessing.surroundings import Surroundings
from comity.storage.database import Database
from comity.storage.witness import WitnessStore
from comity.transport.interface import Network


@dataclass(frozen=True)
class Evidence:
    """``witness`` has to be run."""

    witness: WitnessService
    desk: AuditDesk
    reports: ReportService


def assemble_evidence(
    *,
    own: PublicKey,
    claims: Claims,
    network: Network,
    trust: TrustService,
    charters: CharterService,
    sessions: SessionService,
    guard: Guard,
    audit: AuditService,
    db: Database,
    certificate: Envelope,
    chosen: tuple[str, ...],
    clock: Clock,
) -> Evidence:
    """Wire them; nothing runs yet."""
    witness = WitnessService(
        Surroundings(
            own=own,
            network=network,
            trust=trust,
            sessions=sessions,
            guard=guard,
            audit=audit,
            db=db,
            store=WitnessStore(db),
            certificate=certificate,
            chosen=chosen,
            clock=clock,
        )
    )
    party = ReportParty(claims.hostname, str(own.fingerprint), claims.organization, claims.contact)
    return Evidence(
        witness,
        AuditDesk(audit, witness, trust, certificate, db, clock),
        ReportService(
            db=db,
            key=audit.key,
            trust=trust.ending,
            files=trust,
            charters=charters,
            witnesses=witness,
            own=party,
            clock=clock,
        ),
    )
