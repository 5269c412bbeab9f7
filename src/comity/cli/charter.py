"""The charter as a file: new, lint, show, diff, explain, offline. Between nodes: ``charter_life``.

``show`` and ``explain`` also answer about the charters that this node knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click

from comity.cli import asking_charter, charter_life, files
from comity.cli.commands import Group, command
from comity.cli.output import Output
from comity.clock import SystemClock, rfc3339
from comity.control import (
    CharterDiffResult,
    CharterExplainRequest,
    CharterExplainResult,
    CharterLintResult,
    CharterNewResult,
)
from comity.errors import InvalidCharter, InvalidInput
from comity.sdk import charter as sdk
from comity.sdk import charter_life as life
from comity.sdk.client import Client

_COUNT = click.IntRange(0, 2**53 - 1)

charter = Group("charter", help="Write, sign and end agreements that the software enforces.")


@command(
    "new",
    example="comity charter new --template two-lab-study --party lab-a=5a2f... --out study.yaml",
)
@click.option("--template", metavar="NAME", help=f"One of {', '.join(sdk.TEMPLATE_NAMES)}.")
@click.option("--party", "parties", multiple=True, metavar="NAME=FINGERPRINT", help="A party, or its card.")
@click.option(
    "--organization", "organizations", multiple=True, metavar="NAME=TEXT", help="A party's institution."
)
@click.option(
    "--contact", "contacts", multiple=True, metavar="NAME=TEXT", help="Whom to tell there, and how."
)
@click.option("--title", metavar="TEXT", help="What the collaboration is called.")
@click.option("--purpose", metavar="TEXT", help="What it is for.")
@click.option("--reference", metavar="TEXT", help="The review board's approval, or the contract.")
@click.option(
    "--reference-kind", metavar="KIND", help="What the reference is to: irb (default), contract, other."
)
@click.option("--from", "start", metavar="TIME", help="When it begins, in UTC: 2026-12-01.")
@click.option("--until", metavar="TIME", help="The first moment that is too late.")
@click.option("--accept-by", metavar="TIME", help="When all must have signed; by default, when it begins.")
@click.option("--out", metavar="FILE", help="Where to write it, if nothing is there; else it is printed.")
@click.pass_obj
def new(output: Output, /, out: str | None, **given: str | tuple[str, ...] | None) -> None:
    """Write a charter to go on from.

    Asks for what is not given, on a terminal. Parties stand in the template's order: the hub before its
    sites, the evaluator before the vendor.
    """
    result = sdk.new(asking_charter.request(given, guided=not output.json))
    if out is not None:
        files.write_new(out, result.content)
    output.show(result, _written(result, out))


@command("lint", example="comity charter lint study.yaml")
@click.argument("file")
@click.pass_obj
def lint(output: Output, file: str) -> None:
    """Tell what is missing in a charter FILE, contradictory, or weaker than its template."""
    result = sdk.lint(files.read(file, sdk.FILE_BYTES))
    output.show(result, _linted(result))
    if not result.valid:
        raise InvalidCharter("the charter contradicts itself", hint="change what is listed as contradictory")


@command("show", example="comity charter show study.yaml")
@click.argument("file", metavar="FILE|CHARTER")
@click.pass_obj
def show(output: Output, file: str) -> None:
    """Read a charter out in plain language, from the form that is signed: a FILE, or one of this node's.

    CHARTER is its digest, the first 8 digits of it or more, or its title.
    """
    if _is_file(file):
        result = sdk.show(files.read(file, sdk.FILE_BYTES))
        output.show(result, (*result.lines, f"Digest: {result.digest}"))
    else:
        known = life.read(Client(), file)
        output.show(known, (*known.lines, f"Digest: {known.digest}"))


@command("diff", example="comity charter diff study.yaml study-2.yaml")
@click.argument("before")
@click.argument("after")
@click.pass_obj
def diff(output: Output, before: str, after: str) -> None:
    """Tell what changed from one version of a charter to another."""
    result = sdk.diff(files.read(before, sdk.FILE_BYTES), files.read(after, sdk.FILE_BYTES))
    output.show(result, _compared(result))


@command("explain", example="comity charter explain study.yaml receive --party lab-b --digest sha256:11...")
@click.argument("file", metavar="FILE|PEER")
@click.argument("operation")
@click.option("--party", metavar="NAME", help="Who would do it; with a FILE.")
@click.option("--with", "peer", metavar="NAME", help="The other side, where there are several.")
@click.option("--at", metavar="TIME", help="When, in UTC; now by default.")
@click.option("--digest", default="", metavar="DIGEST", help="Of the artifact or model: sha256:...")
@click.option("--signer", default="", metavar="FINGERPRINT", help="Whose signature it carries.")
@click.option("--format", "kind", default="", metavar="FORMAT", help="What it is: safetensors, onnx, ...")
@click.option("--bytes", "size", type=_COUNT, default=0, metavar="N", help="How large it is.")
@click.option("--topic", default="", metavar="TOPIC", help="Of the events.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="PORT", help="To forward or expose."
)
@click.option("--used", multiple=True, metavar="CLAUSE=N", help="What a limit has counted so far; else 0.")
@click.pass_obj
def explain(
    output: Output, /, file: str, at: str | None, kind: str, size: int, used: tuple[str, ...], **asked: Any
) -> None:
    """Tell whether an OPERATION would be allowed, and by which clause.

    With PEER, by what is in force between PEER and this node now; with FILE, by the charter in it. Nothing is
    done. An artifact is described by its digest, signer, format and bytes.
    """
    if not _is_file(file):
        if at or used:
            raise InvalidInput("--at and --used go with a charter file", hint="leave them out")
        answer = life.explain(Client(), asking_charter.about_peer(file, kind, size, asked))
        output.show(answer, _explained(answer))
        return
    if not asked["party"]:
        raise InvalidInput("--party is missing: who would do it", hint="see comity charter explain --help")
    moment = asking_charter.moment(at) if at else rfc3339(SystemClock().now())
    counts = dict(map(asking_charter.count, used))
    request = CharterExplainRequest(at=moment, format=kind, bytes=size, used=counts, **asked)
    result = sdk.explain(files.read(file, sdk.FILE_BYTES), request)
    output.show(result, _explained(result))


for _command in (new, lint, show, diff, explain, *charter_life.COMMANDS):
    charter.add_command(_command)


def _is_file(text: str) -> bool:
    return text == "-" or "/" in text or text.endswith((".yaml", ".yml")) or os.path.exists(text)


def _written(result: CharterNewResult, out: str | None) -> list[str]:
    if out is None:
        return result.content.splitlines()
    return [f"Charter written to {out}", f"Next: edit it, then comity charter lint {out}"]


def _linted(result: CharterLintResult) -> Iterator[str]:
    for finding in result.findings:
        yield f"{finding.kind}: {finding.clause}: {finding.text}"
    if not result.findings:
        yield "Nothing is missing, contradictory, or weaker than the template."
    yield f"Digest: {result.digest}"


def _compared(result: CharterDiffResult) -> Iterator[str]:
    for change in result.changes:
        if change.before is not None:
            yield f"- {change.clause}: {change.before}"
        if change.after is not None:
            yield f"+ {change.clause}: {change.after}"
    if not result.changes:
        yield "No difference."
    elif result.succeeds:
        yield "The second names the first as its predecessor."
    else:
        yield f"The second does not name the first as its predecessor: {result.before}"


def _explained(result: CharterExplainResult) -> Iterator[str]:
    answer = "Allowed" if result.allowed else "Denied"
    yield f"{answer}: {result.operation} by {result.party}, with {result.peer}"
    for reason in result.reasons:
        yield f"  {reason.clause}: {reason.text}"
