"""The agreement as a file: export, and verify offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from comity.cli import anchors, files, wording
from comity.cli.commands import Group, command
from comity.cli.output import Output
from comity.control import AgreementVerification, ExportRequest, Party
from comity.errors import AgreementInvalid, FileUnusable
from comity.identity.fingerprint import Fingerprint
from comity.sdk import offline
from comity.sdk import trust as sdk
from comity.sdk.client import Client

agreement = Group("agreement", help="Export an agreement as evidence, or verify one offline.")


@command("export", example="comity agreement export lab-b-trainer --out lab-b.agreement.json")
@click.argument("peer")
@click.option("--out", required=True, metavar="FILE", help="Where to write it.")
@click.pass_obj
def export(output: Output, peer: str, out: str) -> None:
    """Write the agreement with PEER to a file.

    It holds both signed statements, and the revocation where there is one: anybody can verify it, offline.
    """
    result = sdk.export(Client(), ExportRequest(peer=peer))
    try:
        Path(out).write_text(result.content, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise FileUnusable(f"{out} cannot be written: {reason}") from error
    output.show(result, [f"Agreement with {result.hostname} written to {out}", f"Digest: {result.agreement}"])


@command(
    "verify",
    example="comity agreement verify lab-b.agreement.json --party lab-a=5a2f... --party lab-b=90c4...",
)
@click.argument("file")
@click.option(
    "--party",
    "parties",
    multiple=True,
    metavar="NAME=FINGERPRINT",
    help="A party's fingerprint, from anywhere but the file; once for each party.",
)
@click.pass_obj
def verify(output: Output, file: str, parties: tuple[str, ...]) -> None:
    """Verify an agreement FILE, or standard input (-).

    It needs no node and no network. Without a --party for each side, what is proved is that two keys signed,
    and not whose keys they are.
    """
    known = anchors.parse(parties)
    try:
        result = offline.verify_agreement(files.read(file, offline.FILE_BYTES), known)
    except AgreementInvalid as error:
        output.show({"valid": False, "problem": error.message}, ["Agreement NOT valid"])
        raise
    output.show(result, _verified(result))


for _command in (export, verify):
    agreement.add_command(_command)


def _verified(result: AgreementVerification) -> Iterator[str]:
    yield "Agreement valid"
    yield f'  Justification: "{result.justification}"'
    for party in result.parties:
        yield from _party(party)
    yield f"  Signed: {wording.moment(result.signed_at)}, until {wording.moment(result.until)}"
    yield f"  Allowed: {wording.listing(result.allow)}"
    yield f"  Agreement: {result.agreement}"
    if result.revoked:
        if result.revoked_at:
            yield f"  Revoked: {wording.moment(result.revoked_at)} by {result.revoked_by}"
        else:
            yield f"  Revoked: the key of {result.revoked_by} was retired"
    if result.identities != "verified":
        yield "Identities: unverified. Two keys signed this; whose they are, only --party can tell."
    else:
        yield "Identities: verified"


def _party(party: Party) -> Iterator[str]:
    yield f"  {party.role.capitalize()}: {party.hostname}, {Fingerprint.parse(party.fingerprint).grouped}"
    claims = (party.requested_by, party.organization, party.contact)
    if any(claims):
        yield f"    {', '.join(filter(None, claims))} (claimed)"
    if party.role == "approver" and party.reason:
        yield f'    Own justification: "{party.reason}"'
