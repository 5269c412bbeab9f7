"""The audit log: log, verify, witnesses, prove, redact. What leaves this machine is in ``evidence``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity import limits
from comity.cli import evidence, files, wording
from comity.cli.commands import Group, command
from comity.cli.output import Output, table
from comity.control import (
    AuditEntry,
    AuditLogRequest,
    AuditLogResult,
    AuditProof,
    AuditProveRequest,
    AuditVerifyRequest,
    AuditVerifyResult,
    AuditWitnessesResult,
    WitnessView,
)
from comity.errors import AuditInvalid, InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.sdk import audit as sdk
from comity.sdk.client import Client

audit = Group("audit", help="Read the audit log, prove and verify it, export it.")


@command("log", example="comity audit log --peer lab-b-trainer --from 2026-11-01 --denied")
@click.option("--after", type=click.IntRange(-1), default=-1, metavar="INDEX", help="Only later entries.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="How many at most.")
@click.option("--peer", metavar="PEER", help="Only what was about this peer.")
@click.option("--kind", metavar="KIND", help="Only entries of this kind, such as agreement.made.")
@click.option("--from", "since", metavar="TIME", help="Only from this day or time on (UTC).")
@click.option("--to", "until", metavar="TIME", help="Only up to this day or time (UTC), included.")
@click.option("--allowed", "decision", flag_value="allow", help="Only what the guard allowed.")
@click.option("--denied", "decision", flag_value="deny", help="Only what the guard denied.")
@click.pass_obj
def log(
    output: Output,
    after: int,
    limit: int,
    peer: str | None,
    kind: str | None,
    since: str | None,
    until: str | None,
    decision: str | None,
) -> None:
    """Show what this node did, allowed and refused, oldest first."""
    request = AuditLogRequest(after, limit, peer, kind, decision, since, until)
    result = sdk.log(Client(), request)
    output.show(result, _entries(result))
    full = len(result.entries) == min(limit, limits.AUDIT_LOG_PAGE)
    if full and result.entries[-1].index < result.size - 1:
        output.note(f"There may be more: comity audit log --after {result.entries[-1].index}")


@command("verify", example="comity audit verify --checkpoint from-lab-b.checkpoint.json")
@click.option("--since", type=click.IntRange(0), default=0, metavar="SIZE", help="Only what follows so many.")
@click.option("--checkpoint", metavar="FILE", help="A checkpoint from a partner, which the log must extend.")
@click.pass_obj
def verify(output: Output, since: int, checkpoint: str | None) -> None:
    """Recompute the whole log, and compare it with what was signed.

    With --since, the first SIZE entries are taken from the stored tree, whose head of that size was signed.
    """
    held = ""
    if checkpoint is not None:
        try:
            held = files.read(checkpoint, limits.CHECKPOINT_FILE_BYTES).decode()
        except UnicodeDecodeError as error:
            raise AuditInvalid("the checkpoint file is not one") from error
    result = sdk.verify(Client(), AuditVerifyRequest(since, held))
    output.show(result, _verified(result))
    if not result.valid:
        raise AuditInvalid(f"the audit log does not verify: {result.problem}")


@command("witnesses", example="comity audit witnesses")
@click.pass_obj
def witnesses(output: Output) -> None:
    """Show who countersigns this log, whose logs this node countersigns, and contradictions."""
    result = sdk.witnesses(Client())
    output.show(result, _witnesses(result))


@command("prove", example="comity audit prove 42\ncomity audit prove --old 1000 --size 2000 --json")
@click.argument("index", type=click.IntRange(0), required=False)
@click.option("--old", type=click.IntRange(1), metavar="SIZE", help="Prove that the log extends this size.")
@click.option("--size", type=click.IntRange(1), metavar="SIZE", help="The log of this size, not of now.")
@click.pass_obj
def prove(output: Output, index: int | None, old: int | None, size: int | None) -> None:
    """Prove that entry INDEX is in the log, or with --old that the log only grew (RFC 9162)."""
    if (index is None) == (old is None):
        raise InvalidInput("name an entry, or an old size with --old", hint="see comity audit prove --help")
    result = sdk.prove(Client(), AuditProveRequest(index=index, old=old, size=size))
    output.show(result, _proof(result))


@command("redact", example='comity audit redact 17 18 --reason "erasure request of 2026-11-20"')
@click.argument("indexes", type=click.IntRange(0), nargs=-1, required=True, metavar="INDEX...")
@click.option("--reason", required=True, metavar="WHY", help="Why; it goes on record.")
@click.pass_obj
def redact(output: Output, indexes: tuple[int, ...], reason: str) -> None:
    """Erase what entries say, for good; that they were there, and why they were erased, stays on record."""
    result = sdk.redact(Client(), indexes, reason)
    erased = wording.counted(len(result.redacted), "entry", "entries")
    output.show(
        result, [f"{erased} erased, and that is on record", "Older exports and backups still hold them."]
    )


for _command in (
    log,
    verify,
    witnesses,
    prove,
    redact,
    evidence.export,
    evidence.verify_export,
    evidence.checkpoint,
):
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
    if result.erased:
        yield f"  Erased on record: {wording.counted(result.erased, 'entry', 'entries')}"
    yield f"  Countersigned by partners: {result.witnessed_size} entries"
    for one in result.witnesses:
        yield f"    {one.hostname}: {one.size}" + (f" ({wording.moment(one.at)})" if one.at else "")
    if result.conflicts:
        yield f"  CONTRADICTIONS: {result.conflicts}, see comity audit witnesses"


def _witnesses(result: AuditWitnessesResult) -> Iterator[str]:
    if result.problem:
        yield f"CONTRADICTION: {result.problem}"
    for conflict in result.conflicts:
        if conflict.why != result.problem:
            yield f"CONTRADICTION in the log of {conflict.hostname} ({conflict.kind}): {conflict.why}"
            yield f"  {wording.moment(conflict.at)}; both signed heads: comity audit witnesses --json"
    yield f"This log has {wording.counted(result.size, 'entry', 'entries')}."
    yield from _heads("Countersigned by", result.witnesses)
    yield from _heads("Countersigned here", result.countersigned)


def _heads(title: str, heads: tuple[WitnessView, ...]) -> Iterator[str]:
    yield ""
    if not heads:
        yield f"{title}: nobody yet"
        return
    rows = [
        (
            one.hostname,
            Fingerprint.parse(one.fingerprint).short,
            str(one.size),
            one.at and wording.moment(one.at),
        )
        for one in heads
    ]
    yield from table((title.upper(), "FINGERPRINT", "ENTRIES", "WHEN"), rows)


def _proof(result: AuditProof) -> Iterator[str]:
    if result.entry is not None:
        yield f"Entry {result.index} is one of the {result.size} under root {result.root}"
        yield f"  Body: {result.body or '(erased)'}"
        yield f"  Salt: {result.salt or '(erased)'}"
        yield f"  Leaf: {result.leaf}"
    else:
        yield f"The log of {result.size} entries extends that of {result.old_size}"
        yield f"  Old root: {result.old_root}"
        yield f"  New root: {result.root}"
    yield "  Proof:" if result.proof else "  Proof: (none needed)"
    for value in result.proof:
        yield f"    {value}"
