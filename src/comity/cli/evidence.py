"""What leaves this machine of the audit log, and what verifies there without a node: ``audit export``,
``audit checkpoint``, ``audit verify-export``.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity import limits
from comity.cli import anchors, files, wording
from comity.cli.commands import command
from comity.cli.output import Output
from comity.control import ExportVerification
from comity.errors import AuditInvalid
from comity.sdk import audit as sdk
from comity.sdk.client import Client


@command("export", example="comity audit export --for lab-b-trainer --out evidence.jsonl")
@click.option("--out", required=True, metavar="PATH", help="Where to write it; a new file.")
@click.option("--for", "peer", metavar="PEER", help="Only what is about this peer, with proofs.")
@click.pass_obj
def export(output: Output, out: str, peer: str | None) -> None:
    """Write the log as evidence that verifies offline: JSON lines, with agreements and countersigned heads.

    The whole log tells of every partner; to a partner, give what --for writes.
    """
    result = sdk.export(Client(), out, peer)
    entries = wording.counted(result.entries, "entry", "entries")
    output.show(
        result,
        [
            f"{entries} of {result.size} written to {out}",
            f"Countersigned by partners: {result.witnessed_size}",
            "An auditor runs: comity audit verify-export PATH --checkpoint FILE, FILE being from a partner",
        ],
    )


@command("checkpoint", example="comity audit checkpoint lab-a-trainer --out lab-a.checkpoint.json")
@click.argument("peer")
@click.option("--out", required=True, metavar="FILE", help="Where to write it; a new file.")
@click.pass_obj
def checkpoint(output: Output, peer: str, out: str) -> None:
    """Write the latest head of PEER's log that this node countersigned.

    Whoever holds it can hold that log to it: keep it, or give it to whoever audits PEER.
    """
    result = sdk.checkpoint(Client(), peer)
    files.write_new(out, result.content)
    output.show(
        result,
        [
            f"Head of {result.hostname}'s log written to {out}",
            f"  Entries: {result.size}, countersigned {wording.moment(result.at)}",
            f"  Root: {result.root}",
        ],
    )


@command(
    "verify-export",
    example="comity audit verify-export evidence.jsonl --checkpoint from-lab-b.json --party lab-a=5a2f...",
)
@click.argument("path")
@click.option("--checkpoint", "held", metavar="FILE", help="A head that a partner countersigned, from it.")
@click.option(
    "--party",
    "parties",
    multiple=True,
    metavar="NAME=FINGERPRINT",
    help="A fingerprint from anywhere but the file: the log's, the witness's, a party's.",
)
@click.pass_obj
def verify_export(output: Output, path: str, held: str | None, parties: tuple[str, ...]) -> None:
    """Verify an exported log, or standard input (-), without a node.

    Only a checkpoint that a partner countersigned, and that came from the partner, shows that the log's
    operator has not written another history; without one the log is never called witnessed.
    """
    from comity.sdk import offline_audit

    known = anchors.parse(parties)
    anchor = None if held is None else files.read(held, limits.CHECKPOINT_FILE_BYTES)
    try:
        with files.lines(path, limits.EXPORT_LINE_BYTES) as lines:
            result = offline_audit.verify_log(lines, known, anchor)
    except AuditInvalid as error:
        output.show({"valid": False, "problem": error.message}, ["Export NOT valid"])
        raise
    output.show(result, _lines(result))
    if not result.valid:
        raise AuditInvalid(f"the export does not verify: {result.problem}")


_WHOSE = {
    "anchor": "this is the fingerprint that you gave",
    "checkpoint": "the witness knows it by this fingerprint",
    "unverified": "UNVERIFIED: compare it with one from elsewhere, --party NAME=FINGERPRINT",
}


def _lines(result: ExportVerification) -> Iterator[str]:
    if not result.valid:
        yield "Export NOT valid"
        return
    whole = "the whole log" if result.complete else f"what is about {result.peer}; there may be more"
    yield f"Export valid: {wording.counted(result.entries, 'entry', 'entries')}, {whole}"
    yield f"  Log: {result.size} entries, root {result.root}"
    yield f"  Of: {result.identity}"
    yield f"      {_WHOSE[result.log]}"
    if result.witnessed_size:
        yield f"  Countersigned: {result.witnessed_size} entries, {wording.moment(result.witnessed_at)}"
        yield f"      by {result.witness}"
        if result.witness_identity != "anchor":
            yield f"      {_WHOSE['unverified']}"
    else:
        yield "  NOT WITNESSED: its operator could have written another log (--checkpoint FILE)"
    if result.erased:
        yield f"  Erased on record: {wording.counted(result.erased, 'entry', 'entries')}"
    for one in result.agreements:
        yield f"  Agreement of {' and '.join(one.parties)}, {wording.moment(one.signed_at)}: {one.identities}"
        yield f"      {one.justification}"
