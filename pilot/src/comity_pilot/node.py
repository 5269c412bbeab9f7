"""This node: init, daemon start and stop, set-tags, set-visibility; silent where Pilot is.

``daemon start --registry HOST:PORT`` trusts the key that answers at first, pins it, and says so; a join URL
in the place of HOST:PORT leaves nothing to trust.
"""

from __future__ import annotations

import click

from comity.cli.commands import Group, command
from comity.cli.output import Output
from comity.control import InitRequest, SetTagsRequest, SetVisibilityRequest, StatusResult
from comity.errors import InvalidInput, NotRunning
from comity.identity.authority import parse_authority
from comity.identity.card import JoinUrl
from comity.sdk import config, home, peers
from comity.sdk import daemon as sdk
from comity.sdk.client import Client
from comity.sdk.first_use import first_use
from comity_pilot import intent, keeper

_PORT = 9000


@command("init", example="pilotctl init --hostname lab-a-trainer")
@click.option("--hostname", required=True, metavar="NAME", help="What this node is called: charité-trainer.")
@click.pass_obj
def init(_: Output, hostname: str) -> None:
    """Choose this node's name. Its key is made when the daemon starts for the first time."""
    intent.begin(hostname)


daemon = Group("daemon", help="Start and stop this node.")


@command("start", example="pilotctl daemon start --registry rendezvous.example.org:9000")
@click.option("--registry", metavar="HOST:PORT|URL", help="The rendezvous; a join URL also pins its key.")
@click.option("--beacon", metavar="HOST:PORT", help="Accepted and not needed: the registry names its own.")
@click.option("--listen", metavar="HOST:PORT", help="Where peers may dial this node directly.")
@click.pass_obj
def start(output: Output, registry: str | None, beacon: str | None, listen: str | None) -> None:
    """Start this node, and return once it is ready."""
    _settle_registry(output, registry)
    ready = sdk.start(listen=listen)
    keeper.start(intent.folder())
    if ready.warning is not None:
        output.note(f"warning: {ready.warning.message}")
        output.note(f"hint: {ready.warning.hint}")
    output.show(ready.status, [_headline(ready.status)])


@command("stop", example="pilotctl daemon stop")
@click.pass_obj
def stop(output: Output) -> None:
    """Stop this node."""
    result = sdk.stop()
    output.show(result, [_headline(result)])


@command("status", example="pilotctl daemon status")
@click.pass_obj
def status(output: Output) -> None:
    """Tell whether this node runs."""
    result = sdk.status()
    output.show(result, [_headline(result)])


for each in (start, stop, status):
    daemon.add_command(each)


@command("set-tags", example="pilotctl set-tags aggregator lung-cancer-study")
@click.argument("tags", nargs=-1)
@click.pass_obj
def set_tags(_: Output, tags: tuple[str, ...]) -> None:
    """Choose the TAGS that this node is found by while it is public."""
    if not intent.initialised():
        intent.change(tags=tags)
        return
    try:
        peers.set_tags(Client(), SetTagsRequest(tags=tags))
    except NotRunning:
        config.change("tags", ",".join(tags))


@command("set-visibility", example="pilotctl set-visibility public")
@click.argument("visibility", type=click.Choice(["public", "private"]))
@click.pass_obj
def set_visibility(_: Output, visibility: str) -> None:
    """List this node for others of its network (public), or not (private)."""
    public = visibility == "public"
    if not intent.initialised():
        intent.change(public=public)
        return
    try:
        peers.set_visibility(Client(), SetVisibilityRequest(public=public))
    except NotRunning:
        config.change("public", "yes" if public else "no")


def _settle_registry(output: Output, registry: str | None) -> None:
    """Have the home name the rendezvous that was said, with its key."""
    made = intent.initialised()
    if registry is None:
        if not made:
            raise InvalidInput(
                "the first start needs --registry, the address of the rendezvous",
                hint="pilotctl daemon start --registry HOST:9000",
            )
        return
    if not made:
        intent.check()
    pinned = JoinUrl.parse(config_of("join")) if made else None
    if "#" in registry:
        join = JoinUrl.parse(registry)
    else:
        host, port = _authority(registry)
        if pinned is not None and (pinned.host, pinned.port) == (host, port):
            return
        join = first_use(host, port)
        _warn(output, join)
    if not made:
        intent.carry_out(str(join))
    elif pinned != join:
        hostname = config_of("hostname")
        home.init(InitRequest(hostname=hostname, join=str(join), rename=True))


def config_of(name: str) -> str:
    """A setting as the file of this home has it."""
    return str(getattr(home.locate(None).read_config(), name))


def _authority(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    return parse_authority(text if colon and port.isdecimal() and host else f"{text}:{_PORT}")


def _warn(output: Output, join: JoinUrl) -> None:
    output.note(
        f"warning: trusting the key that answers at {join.authority} on first use: {join.fingerprint.grouped}"
    )
    output.note("hint: compare it with the server's operator (its join.url), or give that URL to --registry")


def _headline(result: StatusResult) -> str:
    if result.running and result.rendezvous_state == "registered" and result.address:
        return f"Agent online: {result.hostname} ({result.address})"
    return f"Agent {'not registered' if result.running else 'offline'}: {result.hostname}"
