"""The audit log: log, verify."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity import limits
from comity.cli import wording
from comity.cli.commands import Group, command
from comity.cli.output import Output, table
from comity.control import AuditEntry, AuditLogRequest, AuditLogResult, AuditVerifyResult
from comity.errors import AuditInvalid
from comity.identity.fingerprint import Fingerprint
from comity.sdk import audit as sdk
from comity.sdk.client import Client

audit = Group("audit", help="Read the audit log, or verify that nothing in it was changed.")


@command("log", example="comity audit log --peer lab-b-trainer --limit 20")
@click.option("--after", type=click.IntRange(-1), default=-1, metavar="INDEX", help="Only later entries.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="How many at most.")
@click.option("--peer", metavar="PEER", help="Only what was about this peer.")
@click.option("--kind", metavar="KIND", help="Only entries of this kind, such as agreement.made.")
@click.pass_obj
def log(output: Output, after: int, limit: int, peer: str | None, kind: str | None) -> None:
    """Show what this node did, allowed and refused, oldest first."""
    result = sdk.log(Client(), AuditLogRequest(after=after, limit=limit, peer=peer, kind=kind))
    output.show(result, _entries(result))
    full = len(result.entries) == min(limit, limits.AUDIT_LOG_PAGE)
    if full and result.entries[-1].index < result.size - 1:
        output.note(f"There may be more: comity audit log --after {result.entries[-1].index}")


@command("verify", example="comity audit verify --json")
@click.pass_obj
def verify(output: Output) -> None:
    """Recompute the whole log, and compare it with what was signed."""
    result = sdk.verify(Client())
    output.show(result, _verified(result))
    if not result.valid:
        raise AuditInvalid(f"the audit log does not verify: {result.problem}")


for _command in (log, verify):
    audit.add_command(_command)


def _entries(result: AuditLogResult) -> list[str]:
    if not result.entries:
        return ["No entries."]
    rows = [
        (
            str(entry.index),
            wording.moment(entry.at),
            entry.kind,
            Fingerprint.parse(entry.peer).short if entry.peer else "-",
            entry.decision or "-",
            _rest(entry),
        )
        for entry in result.entries
    ]
    return table(("INDEX", "TIME", "KIND", "PEER", "DECISION", "DETAILS"), rows)


def _rest(entry: AuditEntry) -> str:
    details = [f"{name}={value}" for name, value in entry.detail.items() if value not in (None, "")]
    return "; ".join(filter(None, (entry.operation or "", *entry.reasons, *details)))


def _verified(result: AuditVerifyResult) -> Iterator[str]:
    if not result.valid:
        yield "Audit log NOT valid"
        return
    yield f"Audit log valid: {result.size} entries"
    yield f"  Root: {result.root}"
    yield f"  Countersigned by partners: {result.witnessed_size} entries"
