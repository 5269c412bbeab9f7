"""``report``: what happened with one partner, for people who were not there."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli import files, wording
from comity.cli.commands import command
from comity.cli.output import Output, table
from comity.control import Report
from comity.sdk import report as sdk
from comity.sdk.client import Client


@command(
    "report", example="comity report lab-b-trainer --from 2026-11-01 --to 2026-11-30 --out november.html"
)
@click.argument("peer")
@click.option("--from", "since", metavar="TIME", help="From this day or time on (UTC).")
@click.option("--to", "until", metavar="TIME", help="Up to this day or time (UTC), included.")
@click.option("--out", metavar="FILE", help="Write it as a page to print: a new HTML file.")
@click.pass_obj
def report(output: Output, peer: str, since: str | None, until: str | None, out: str | None) -> None:
    """Report what happened with a partner, to print.

    Who agreed to what under which reference, what passed, what was refused and why, with digests and proofs.
    """
    found = sdk.report(Client(), peer, since, until)
    if out is not None:
        from comity.sdk.report_page import render

        files.write_new(out, render(found))
    output.show(found, _lines(found, out))


def _lines(found: Report, out: str | None) -> Iterator[str]:
    name = found.about.hostname or found.about.fingerprint
    yield f"{found.by.hostname} and {name}, {found.since or 'the beginning'} to {found.until or 'now'} (UTC)"
    for one in found.agreements:
        yield f'Agreement ({one.status}) of {wording.moment(one.signed_at)}: "{one.justification}"'
        yield f"  until {wording.moment(one.until)}, opens {wording.listing(one.allow)}"
        yield f"  {one.agreement}"
    for charter in found.charters:
        yield f"Charter ({charter.state.replace('_', ' ')}): {charter.title}, version {charter.version}"
        yield f"  {charter.reference}: {charter.purpose}"
        for signed in charter.signatures:
            if signed.signed_at:
                who = f", {signed.signed_by} (claimed)" if signed.signed_by else ""
                yield f"  signed by {signed.party}, {wording.moment(signed.signed_at)}{who}"
        yield f"  {charter.charter}"
    if found.flows:
        yield ""
        yield from table(
            ("ENTRY", "TIME", "DIRECTION", "WHAT", "BYTES", "DIGEST"),
            [
                (
                    str(flow.index),
                    wording.moment(flow.at),
                    flow.direction,
                    flow.what,
                    "-" if flow.bytes is None else wording.size(flow.bytes),
                    (flow.digest or "-")[:23],
                )
                for flow in found.flows
            ],
        )
    if found.refusals:
        yield ""
        yield from table(
            ("ENTRY", "TIME", "REFUSED", "WHY"),
            [
                (
                    str(one.index),
                    wording.moment(one.at),
                    " ".join(filter(None, (one.operation or one.kind, one.what))),
                    "; ".join(one.reasons),
                )
                for one in found.refusals
            ],
        )
    if found.owed:
        yield ""
        yield from table(
            ("BY", "ABOUT", "DUE", "STATED"),
            [
                (
                    owed.party,
                    f"{owed.name} {owed.digest[:19]}",
                    wording.moment(owed.due),
                    owed.disposition or "NOT YET",
                )
                for owed in found.owed
            ],
        )
    yield ""
    yield f"{wording.counted(found.entries, 'entry', 'entries')} of a log of {found.size}, root {found.root}"
    yield f"Countersigned by {name}: {found.witnessed_size}"
    for why in found.conflicts:
        yield f"CONTRADICTION in its log: {why}"
    yield f"Written to {out}" if out else "As a page to print: --out FILE; with proofs: --json"
