"""The charter between nodes: propose, sign, status, amend, export, end, attest, suspend, lift."""

from __future__ import annotations

import sys

import click

from comity.cli import charter_texts as texts
from comity.cli import files
from comity.cli.commands import command
from comity.cli.output import Output
from comity.control import CharterAttestRequest, CharterReadResult, CharterSignRequest
from comity.errors import InvalidInput, RequestChanged
from comity.sdk import charter as offline
from comity.sdk import charter_life as sdk
from comity.sdk.client import Client


@command("propose", example="comity charter propose study.yaml")
@click.argument("file")
@click.pass_obj
def propose(output: Output, file: str) -> None:
    """Send the charter in FILE to every other party, for all to sign.

    You need an agreement with each of them: their signatures reach the others through you. Proposing it again
    sends everything again.
    """
    result = sdk.propose(Client(), files.read(file, offline.FILE_BYTES))
    output.show(result, texts.proposed(result))


@command("amend", example="comity charter amend study-2.yaml")
@click.argument("file")
@click.option("--of", metavar="CHARTER", help="The one in force that it replaces, where there are several.")
@click.pass_obj
def amend(output: Output, file: str, of: str | None) -> None:
    """Propose the charter in FILE as the next version of the one in force.

    Its version and the digests of those before are filled in. The version in force stays so until every party
    has signed the new one.
    """
    result = sdk.amend(Client(), files.read(file, offline.FILE_BYTES), of)
    output.show(result, texts.proposed(result))


@command("export", example="comity charter export 5f2a90c4 --out study-2.yaml")
@click.argument("charter")
@click.option("--out", metavar="FILE", help="Where to write it; standard output if not given.")
@click.pass_obj
def export(output: Output, charter: str, out: str | None) -> None:
    """Write a CHARTER that this node knows as YAML, to read or to amend."""
    content = sdk.export(Client(), charter)
    if out is not None:
        files.write_new(out, content)
    lines = content.splitlines() if out is None else [f"Charter written to {out}"]
    output.show({"charter": charter, "content": content, "out": out}, lines)


@command("sign", example='comity charter sign 5f2a90c4 --as "Dr. Osei, data protection officer"')
@click.argument("charter")
@click.option("--as", "signed_by", default="", metavar="WHO", help="Who decides, by name and office.")
@click.option(
    "--digest", metavar="DIGEST", help="All of the digest that was decided on; else nothing is signed."
)
@click.option("--yes", is_flag=True, help="Don't ask. Needs --digest.")
@click.pass_obj
def sign(output: Output, charter: str, signed_by: str, digest: str | None, yes: bool) -> None:
    """Sign a CHARTER that was proposed, after reading exactly what is signed.

    CHARTER is its digest, the first 8 digits of it or more, or its title. It is in force once every party has
    signed.
    """
    client = Client()
    read = sdk.read(client, charter)
    if digest is not None and digest != read.digest:
        raise RequestChanged(
            f"the charter has the digest {read.digest}", hint="read it: comity charter show CHARTER"
        )
    if yes and digest is None:
        raise InvalidInput(
            "--yes needs --digest, so that nothing else is signed", hint=f"--digest {read.digest}"
        )
    if not yes:
        _ask(output, read, signed_by)
    request = CharterSignRequest(charter=read.digest, policy=read.policy, signed_by=signed_by)
    result = sdk.sign(client, request)
    output.show(result, texts.signed(result))


@command("status", example="comity charter status")
@click.argument("charter", required=False)
@click.option("--all", "everything", is_flag=True, help="Also versions that are over.")
@click.pass_obj
def status(output: Output, charter: str | None, everything: bool) -> None:
    """Show charters: who has signed, what limits counted, what passed, what is owed, who is suspended."""
    result = sdk.status(Client(), charter)
    output.show(result, texts.status(result, everything=everything or charter is not None))


@command("end", example='comity charter end 5f2a90c4 "The study is over"')
@click.argument("charter")
@click.argument("why")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def end(output: Output, charter: str, why: str, yes: bool) -> None:
    """End a CHARTER and all its versions, for good, and say WHY; also how a proposal is turned down.

    Everything under it stops at once, on both sides. What was exchanged is listed, with the statements that
    are owed about it.
    """
    if not yes and not output.json and sys.stdin.isatty():
        click.confirm("This cannot be undone. End it?", abort=True, err=True)
    result = sdk.end(Client(), charter, why)
    output.show(result, texts.ended(result))


@command(
    "attest",
    example='comity charter attest 5f2a90c4 deleted --method purge --backups "none kept" --as "Dr. Osei"',
)
@click.argument("charter")
@click.argument("disposition", metavar="deleted|returned|retained")
@click.option("--method", default="none", metavar="METHOD", help="clear, purge or destroy (NIST SP 800-88).")
@click.option(
    "--digest", "digests", multiple=True, metavar="DIGEST", help="Only this artifact; several times."
)
@click.option("--to", metavar="PARTY", help="Only what this party gave.")
@click.option("--backups", default="", metavar="TEXT", help="What became of backups.")
@click.option("--derivatives", default="", metavar="TEXT", help="What became of what was made from it.")
@click.option("--exceptions", default="", metavar="TEXT", help="What is left, and why.")
@click.option("--as", "attested_by", default="", metavar="WHO", help="Who states it, by name and office.")
@click.pass_obj
def attest(
    output: Output,
    /,
    charter: str,
    disposition: str,
    method: str,
    digests: tuple[str, ...],
    attested_by: str,
    **said: str | None,
) -> None:
    """State, signed, what became of what was received under a CHARTER: all that is owed, or one --digest.

    It proves that you said so, to whoever gave it.
    """
    request = CharterAttestRequest(
        charter=charter,
        disposition=disposition,
        method=method,
        digests=digests,
        backups=said["backups"] or "",
        derivatives=said["derivatives"] or "",
        exceptions=said["exceptions"] or "",
        attested_by=attested_by,
        to=said["to"],
    )
    result = sdk.attest(Client(), request)
    output.show(result, texts.attested(result))


@command("suspend", example='comity charter suspend lab-b-trainer "Unusual downloads at night"')
@click.argument("peer")
@click.argument("why")
@click.pass_obj
def suspend(output: Output, peer: str, why: str) -> None:
    """Stop everything with PEER until you lift it. PEER is told WHY."""
    result = sdk.suspend(Client(), peer, why)
    output.show(result, [f"Suspended: {result.peer}", f"Next: comity charter lift {result.peer} WHY"])


@command("lift", example='comity charter lift lab-b-trainer "It was our own test"')
@click.argument("peer")
@click.argument("why")
@click.pass_obj
def lift(output: Output, peer: str, why: str) -> None:
    """Let it go on with PEER, whom this node has suspended. PEER is told WHY."""
    result = sdk.lift(Client(), peer, why)
    output.show(result, [f"Lifted: {result.peer} ({result.clause})"])


COMMANDS = (propose, sign, status, amend, export, end, attest, suspend, lift)


def _ask(output: Output, read: CharterReadResult, signed_by: str) -> None:
    """Show exactly what would be signed, and ask; InvalidInput where nobody can answer."""
    if output.json or not sys.stdin.isatty():
        raise InvalidInput(
            "nobody can be asked here", hint=f"--digest {read.digest} --yes, once it was read and decided"
        )
    for line in texts.to_sign(read, signed_by):
        click.echo(line, err=True)
    click.confirm("Sign exactly this?", abort=True, err=True)
