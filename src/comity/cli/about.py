"""What there is to know about this node: info, card, logs, version."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import click

from comity import __version__
from comity.cli import wording
from comity.cli.commands import command
from comity.cli.output import Output
from comity.control import InfoResult, LinkView, SessionView
from comity.identity.fingerprint import Fingerprint
from comity.sdk import home, node
from comity.sdk import logs as log_files
from comity.sdk.client import Client


@command("info", example="comity info")
@click.pass_obj
def info(output: Output) -> None:
    """Show this node's details, and what is negotiated with its rendezvous and its peers."""
    result = node.info(Client())
    output.show(result, _details(result))


@command("card", example="comity card")
@click.pass_obj
def card(output: Output) -> None:
    """Print the line that names this node and pins its key: give it to your partner.

    Whoever names you by it needs to trust nobody else. The fingerprint is what you read to your partner by
    phone.
    """
    result = home.card()
    output.show(result, [result.card])
    output.note(f"Fingerprint, to be read by phone: {Fingerprint.parse(result.fingerprint).grouped}")


@command("logs", example="comity logs -n 50 --follow")
@click.option("-n", "--lines", type=click.IntRange(0), default=100, show_default=True, help="How many lines.")
@click.option("--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@click.pass_obj
def logs(output: Output, lines: int, follow: bool) -> None:
    """Show this node's log, also while it is not running."""
    log = log_files.open_log()
    if not follow:
        last = log_files.tail(log, lines)
        output.show({"lines": last}, last)
        return
    for line in log_files.follow(log, lines):
        output.show({"line": line}, [line])


@command("version", example="comity version --json")
@click.pass_obj
def version(output: Output) -> None:
    """Print the version."""
    output.show({"version": __version__, "python": platform.python_version()}, [f"comity {__version__}"])


def _details(result: InfoResult) -> Iterator[str]:
    yield f"{result.hostname} ({result.address or 'no address yet'})"
    yield f"  Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}"
    yield f"  Card: {result.card}"
    if result.organization or result.contact:
        yield f"  Claims: {', '.join(filter(None, (result.organization, result.contact)))}"
    yield f"  Visibility: {'public' if result.public else 'private'}; tags: {wording.listing(result.tags)}"
    yield f"  Rendezvous: {result.rendezvous}, network {result.network}{_secured(result.rendezvous_link)}"
    yield f"  Rendezvous's fingerprint: {Fingerprint.parse(result.rendezvous_fingerprint).grouped}"
    for each in result.networks[1:]:
        yield f"  Network {each.name}: {each.hostname} ({each.address or 'no address yet'}), {each.state}"
        yield f"    Rendezvous: {each.rendezvous}, network {each.network}"
        yield f"    Rendezvous's fingerprint: {Fingerprint.parse(each.rendezvous_fingerprint).grouped}"
        yield f"    Card: {each.card}"
    yield f"  Seen from there as: {result.observed or 'unknown'}"
    yield f"  Dialled at: {wording.listing(result.candidates)}"
    yield f"  Tunnels active: {len(result.sessions)}"
    for session in result.sessions:
        yield from _session(session)


def _secured(link: LinkView | None) -> str:
    if link is None:
        return " (not connected)"
    through = f"; {link.via}" if link.via else ""
    return f" ({link.tls}, {wording.tunnel(link.group, link.cipher)}{through})"


def _session(session: SessionView) -> Iterator[str]:
    yield f"    {session.hostname} ({session.address})"
    yield f"      Path: {session.path} to {session.remote}, {wording.milliseconds(session.rtt_ms)}"
    yield f"      Encryption: {wording.tunnel(session.group, session.cipher)}"
    yield f"      Since: {wording.moment(session.since)}"
