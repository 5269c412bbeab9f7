"""The end of the demo: the evidence, then a revocation, and what it refuses.

The auditor has two exported files and both fingerprints, which she got from the hospitals and not from the
files, and no node: verification needs neither a rendezvous nor a home.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass

from comity.control import (
    AgreementVerification,
    AuditLogResult,
    AuditVerifyResult,
    ReceivedResult,
    RevokeResult,
    TrustedPeer,
    TrustResult,
)
from comity.demo.agreement import JUSTIFICATION, Agreed, Node
from comity.demo.checks import Checks
from comity.demo.console import Console, Refusal
from comity.demo.failure import DemoFailed
from comity.demo.narrator import Narrator
from comity.errors import UntrustedPeer

_PATIENCE = 20.0
_LOOK_EVERY = 0.2


@dataclass(frozen=True)
class AuditRoot:
    """The head of one node's audit log."""

    hostname: str
    valid: bool
    size: int
    root: str


@dataclass(frozen=True)
class Revoked:
    """``refusals``: the sends that were tried afterwards, by the side that revoked and by the one that was
    told.
    """

    by: str
    notified: bool
    links_closed: int
    revoked_at: str
    refusals: tuple[Refusal, ...]


def verify_agreement(
    nodes: Sequence[Node], auditor: Console, agreed: Agreed, narrator: Narrator, checks: Checks
) -> AgreementVerification:
    """Export the agreement on both sides and verify both files offline."""
    narrator.step("The agreement, verified offline by an auditor who has both fingerprints")
    anchors = [word for node in nodes for word in ("--party", f"{node.name}={node.fingerprint}")]
    verified = []
    for node, peer in zip(nodes, reversed(nodes), strict=True):
        name = f"agreement-{node.hospital.folder}.json"
        node.console.answer("agreement", "export", peer.name, "--out", name)
        shutil.copy(node.console.folder / name, auditor.folder / name)
        found = auditor.comity(AgreementVerification, "agreement", "verify", name, *anchors)
        auditor.result(f"valid: {found.valid}, identities: {found.identities}, {found.agreement}")
        holds = found.valid and found.identities == "verified" and found.agreement == agreed.digest
        holds = holds and found.justification == JUSTIFICATION and not found.revoked
        seen = f"{found.agreement}, signed {found.signed_at}, identities {found.identities}"
        checks.hold(f"the agreement that {node.name} holds is valid", holds, seen, auditor.printed)
        verified.append(found)
    if auditor.home.exists():
        raise DemoFailed.of("verification is offline", f"it made {auditor.home}", auditor.printed)
    return verified[0]


def verify_logs(nodes: Sequence[Node], narrator: Narrator, checks: Checks) -> tuple[AuditRoot, ...]:
    """The audit logs of both sides, recomputed from their entries."""
    narrator.step("The audit logs: every decision, in a Merkle tree")
    roots = []
    for node in nodes:
        log = node.console.comity(AuditVerifyResult, "audit", "verify")
        checks.hold(
            f"the audit log of {node.name} is valid",
            log.valid and log.size > 0,
            f"{log.size} entries, root {log.root}",
            node.console.printed,
        )
        roots.append(AuditRoot(node.name, log.valid, log.size, log.root))
    return tuple(roots)


def revoke(nodes: Sequence[Node], agreed: Agreed, narrator: Narrator, checks: Checks) -> Revoked:
    """The first of two nodes revokes; the other is told; neither can send any more, and nothing arrives."""
    by, other = nodes
    narrator.step("A revocation, and what it refuses")
    console = by.console
    ended = console.comity(RevokeResult, "revoke", other.name, "--reason", "The study is over")
    console.result(f"{ended.status}; {ended.links_closed} links closed; peer notified: {ended.notified}")
    checks.hold(
        "the revocation names the agreement",
        ended.agreement == agreed.digest,
        ended.agreement,
        console.printed,
    )
    told = _told(other, by)
    seen = f"{told.status} by {told.revoked_by or 'nobody'} at {told.revoked_at}"
    checks.hold(f"{other.name} was told", told.revoked_by == "them" and told.agreement == agreed.digest, seen)
    refusals = (_refused(other, by, checks), _refused(by, other, checks))
    _on_record(other, refusals[0], checks)
    return Revoked(by.name, ended.notified, ended.links_closed, told.revoked_at or "", refusals)


def _told(node: Node, peer: Node) -> TrustedPeer:
    """The ended agreement as the other side lists it, once it does."""
    console, deadline = node.console, time.monotonic() + _PATIENCE
    while not console.quietly(TrustResult, "trust").ended and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    for ended in console.comity(TrustResult, "trust").ended:
        if ended.fingerprint == peer.fingerprint:
            return ended
    raise DemoFailed.of(f"{node.name} is told", f"not within {_PATIENCE:.0f} s", console.printed)


def _refused(sender: Node, recipient: Node, checks: Checks) -> Refusal:
    name = f"{sender.hospital.folder}-after-revocation.safetensors"
    shutil.copy(sender.console.folder / "alone.safetensors", sender.console.folder / name)
    refusal = sender.console.refused("send-file", recipient.name, name)
    right = (refusal.code, refusal.exit_status) == (UntrustedPeer.code, UntrustedPeer.exit_status)
    right = right and "revoked" in refusal.message
    checks.hold(f"{sender.name} can no longer send", right, refusal.message, sender.console.printed)
    files = recipient.console.quietly(ReceivedResult, "received").files
    if any(file.name == name for file in files):
        raise DemoFailed.of("nothing arrives after the revocation", name, recipient.console.printed)
    return refusal


def _on_record(node: Node, refusal: Refusal, checks: Checks) -> None:
    """The refused side's own log says so too."""
    entries = node.console.comity(AuditLogResult, "audit", "log").entries
    found = [entry for entry in entries if refusal.message in entry.reasons]
    seen = f"entry {found[-1].index}, {found[-1].kind}" if found else "no entry gives that reason"
    checks.hold(f"the audit log of {node.name} records the refusal", bool(found), seen)
