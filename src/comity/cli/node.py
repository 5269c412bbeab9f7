"""This node's life: init, up, down, status."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from comity.cli import wording
from comity.cli.commands import command
from comity.cli.files import join_text
from comity.cli.output import Output
from comity.control import InitRequest, InitResult, StatusResult
from comity.errors import InvalidInput, NotRunning, RendezvousUnreachable
from comity.identity.fingerprint import Fingerprint
from comity.sdk import daemon, home

_passphrase = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file with the passphrase that protects the identity key.",
)


@command("init", example="comity init --hostname lab-a-trainer --join @join.url")
@click.option("--hostname", required=True, metavar="NAME", help="What this node is called: charité-trainer.")
@click.option("--join", metavar="URL|@FILE|-", help="The rendezvous's join URL, a file with it, or stdin.")
@click.option(
    "--organization", default="", metavar="TEXT", help="Your institution, as peers see it: a claim."
)
@click.option("--contact", default="", metavar="TEXT", help="Whom peers can ask: a claim.")
@click.option("--rename", is_flag=True, help="Keep the identity; change name, rendezvous, claims.")
@_passphrase
@click.pass_obj
def init(
    output: Output,
    hostname: str,
    join: str | None,
    organization: str,
    contact: str,
    rename: bool,
    passphrase_file: Path | None,
) -> None:
    """Create this node's identity and join a rendezvous.

    The home folder is COMITY_HOME, by default ~/.comity. The identity key in it is this node: keep it safe.
    """
    if join is None and not rename:
        raise InvalidInput(
            "a new node needs --join, the URL of its rendezvous",
            hint="ask the rendezvous's operator for the line in its join.url file",
        )
    request = InitRequest(
        hostname=hostname,
        join="" if join is None else join_text(join),
        organization=organization,
        contact=contact,
        rename=rename,
    )
    passphrase = None if passphrase_file is None else home.read_passphrase(passphrase_file)
    result = home.init(request, passphrase=passphrase)
    output.show(result, _set_up(result, rename))


@command("up", example="comity up\ncomity up --listen 0.0.0.0:9100")
@click.option("--listen", metavar="HOST:PORT", help="Where peers may dial this node directly.")
@click.option("--proxy", metavar="URL", help="The HTTP proxy before the rendezvous; none for none.")
@click.option("--foreground", is_flag=True, help="Stay in the foreground and log there, for a supervisor.")
@_passphrase
@click.pass_obj
def up(
    output: Output, listen: str | None, proxy: str | None, foreground: bool, passphrase_file: Path | None
) -> None:
    """Start this node, and return once it is ready."""
    if foreground:
        daemon.become(listen=listen, passphrase_file=passphrase_file, proxy=proxy)
    ready = daemon.start(listen=listen, passphrase_file=passphrase_file, proxy=proxy)
    if ready.warning is not None:
        output.note(f"warning: {ready.warning.message}")
        output.note(f"hint: {ready.warning.hint}")
    output.show(ready.status, [_headline(ready.status)])


@command("down", example="comity down")
@click.pass_obj
def down(output: Output) -> None:
    """Stop this node, and return once its process is gone."""
    result = daemon.stop()
    output.show(result, [_headline(result)])


@command("status", example="comity status --json\ncomity status --check || alert")
@click.option("--check", is_flag=True, help="Exit with 0 only if it runs and is registered, for monitoring.")
@click.pass_obj
def status(output: Output, check: bool) -> None:
    """Tell whether this node runs and is registered. Exits with 0 either way, but with --check."""
    result = daemon.status()
    if check and not result.running:
        raise NotRunning("this node is not running" + (f": {result.problem}" if result.problem else ""))
    if check and result.rendezvous_state != "registered":
        raise RendezvousUnreachable(
            f"this node is not registered: {result.problem or result.rendezvous_state}",
            hint="run comity doctor",
        )
    for network in result.networks if check else ():
        if network.state != "registered":
            raise RendezvousUnreachable(
                f"this node is not registered in {network.name}: {network.problem or network.state}",
                hint="run comity network list",
            )
    output.show(result, _standing(result))


def _set_up(result: InitResult, rename: bool) -> Iterator[str]:
    yield f"{'Node renamed' if rename else 'Identity created'}: {result.hostname}"
    yield f"Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}"
    yield f"Card: {result.card}"
    if result.certificate and not rename:
        yield f"Revocation certificate: {result.certificate} (keep a copy off this machine)"
    yield "Next: comity up" if not rename else "Next: comity down, then comity up, if the node is running"


def _headline(result: StatusResult) -> str:
    if not result.running:
        return f"Agent is not running: {result.hostname}"
    if result.rendezvous_state == "registered" and result.address:
        return f"Agent online: {result.hostname} ({result.address})"
    return f"Agent running, not registered: {result.hostname}"


def _standing(result: StatusResult) -> Iterator[str]:
    yield _headline(result)
    if result.problem:
        yield f"  Problem: {result.problem}"
    yield f"  Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}"
    if len(result.networks) > 1:
        for each in result.networks:
            called = f"{each.hostname}, {each.address or 'no address yet'}"
            why = f": {each.problem}" if each.problem else ""
            yield f"  Network {each.name}: {called}; {each.rendezvous} ({each.state}{why})"
    else:
        yield f"  Rendezvous: {result.rendezvous} ({result.rendezvous_state})"
    if not result.running:
        return
    yield f"  Process: {result.pid}, version {result.version}, up {wording.span(result.uptime_seconds)}"
    if result.listen:
        yield f"  Listening: {result.listen}"
    yield f"  Trusted: {result.trusted}; tunnels active: {result.sessions}; pending: {result.pending}"
