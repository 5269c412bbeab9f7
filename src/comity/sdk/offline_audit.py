"""An exported audit log, verified without a node: on any machine, by whoever holds the file.

What the file says of itself counts for nothing: fingerprints and the checkpoint that a partner countersigned
come from elsewhere (SECURITY.md rule 19). Without such a checkpoint a log is never called witnessed: its
operator, who has its key, can make another one at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from comity.audit.anchor import Anchor, AnchorFile, open_anchor, read_anchor
from comity.audit.exported import Exported, verify_export
from comity.clock import rfc3339
from comity.control import ExportedAgreement, ExportVerification
from comity.errors import AgreementInvalid, AuditInvalid, ComityError
from comity.identity.fingerprint import Fingerprint
from comity.protocol.logkeys import Certified, open_log_key
from comity.protocol.trust import evidence


def verify_log(
    lines: Iterable[bytes], anchors: Mapping[str, Fingerprint], checkpoint: bytes | None = None
) -> ExportVerification:
    """What the lines of an export prove; ``valid`` and ``problem`` tell whether all of it holds.

    ``anchors``: names and fingerprints of the log's owner, of who countersigned the checkpoint, and of
    parties to agreements, from anywhere but the file. ``checkpoint``: a file that a partner made with
    ``comity audit checkpoint``. AuditInvalid where that is none; whatever ``lines`` raises.
    """
    held = None if checkpoint is None else _Held(read_anchor(checkpoint))
    found = verify_export(lines, _read_key, None if held is None else held.anchor)
    named = set(anchors.values())
    identity = Fingerprint.parse(found.identity) if found.identity else None
    if found.problem is None:
        found.problem = _mismatch(found, identity, named, held)
    agreements = tuple(_agreement(data, anchors) for data in found.agreements)
    broken = next((one.problem for one in agreements if one.problem), None)
    problem = found.problem or broken
    witnessed = held is not None and found.anchored and problem is None
    if identity is not None and identity in named:
        log = "anchor"
    else:
        log = "checkpoint" if witnessed else "unverified"
    return ExportVerification(
        valid=problem is None,
        size=found.size,
        root=found.root,
        witnessed_size=held.anchor.size if held is not None and witnessed else 0,
        origin=found.origin,
        identity=found.identity,
        log=log,
        entries=found.entries,
        erased=found.erased,
        complete=found.peer is None,
        peer=found.peer,
        witness=str(held.witness.identity.fingerprint) if held else "",
        witness_identity=_standing(held, named),
        witnessed_at=rfc3339(held.anchor.at) if held else "",
        agreements=agreements,
        first_bad=found.first_bad,
        problem=problem or "",
    )


class _Held:
    """A partner's checkpoint, verified in itself."""

    def __init__(self, file: AnchorFile) -> None:
        try:
            self.log: Certified = open_log_key(file.log_key, None, None)
            self.witness: Certified = open_log_key(file.witness_key, None, None)
        except ComityError as error:
            raise AuditInvalid(f"the checkpoint's certificates do not verify: {error.message}") from error
        if self.witness.identity == self.log.identity:
            raise AuditInvalid("the checkpoint was countersigned by the log's own owner")
        self.anchor: Anchor = open_anchor(
            file.note,
            origin=self.log.origin,
            log_key=self.log.key,
            witness_name=self.witness.origin,
            witness_key=self.witness.key,
        )


def _mismatch(
    found: Exported, identity: Fingerprint | None, named: set[Fingerprint], held: _Held | None
) -> str | None:
    # By key, not by identity: a node's later keys certify the same log.
    if held is not None and (held.log.origin, held.log.key) != (found.origin, found.log_key):
        return "the checkpoint is of another node's log"
    if named and held is None and identity not in named:
        return "the log is of another identity than the fingerprints that were given"
    return None


def _standing(held: _Held | None, named: set[Fingerprint]) -> str:
    if held is None:
        return ""
    return "anchor" if held.witness.identity.fingerprint in named else "unverified"


def _read_key(envelope: bytes) -> tuple[str, str, bytes]:
    certified = open_log_key(envelope, None, None)
    return str(certified.identity.fingerprint), certified.origin, certified.key


def _agreement(data: bytes, anchors: Mapping[str, Fingerprint]) -> ExportedAgreement:
    """What an agreement in the file proves: that keys signed it; whose they are, only with anchors."""
    try:
        found = evidence.verify_agreement(data, {})
        names = (found.request.hostname, found.approval.hostname)
        known = {name: anchors[name] for name in names if name in anchors}
        found = evidence.verify_agreement(data, known)
    except AgreementInvalid as error:
        return ExportedAgreement("", "unverified", (), "", "", problem=f"an agreement: {error.message}")
    return ExportedAgreement(
        agreement=found.digest,
        identities=found.identities,
        parties=names,
        justification=found.request.justification,
        signed_at=rfc3339(found.approval.issued),
    )
