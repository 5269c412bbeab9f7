"""The networks of this node: network join, list, leave."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli.commands import Group, command, seconds
from comity.cli.files import join_text
from comity.cli.output import Output, table
from comity.control import (
    NetworkJoinRequest,
    NetworkLeaveRequest,
    NetworkLeaveResult,
    NetworkMembership,
)
from comity.sdk import networks as sdk

network = Group("network", help="Take part in several networks, at one rendezvous or at several.")


@command("join", example="comity network join @cardiology.url --name cardiology")
@click.argument("url")
@click.option("--name", default="", metavar="NAME", help="What you call it here; nobody else is told.")
@click.option(
    "--hostname", default="", metavar="NAME", help="This node's name there, where it is another one."
)
@click.option(
    "--wait", type=seconds, default=10.0, show_default=True, metavar="S", help="For the registration."
)
@click.pass_obj
def join(output: Output, url: str, name: str, hostname: str, wait: float) -> None:
    """Become a member of one more network; the others don't notice.

    URL is a join URL, a file with it (@FILE), or - for standard input. A node that does not run connects at
    its next start.
    """
    result = sdk.join(NetworkJoinRequest(join_text(url), name, hostname, wait))
    output.show(result, _joined(result))
    if result.problem:
        output.note(f"warning: {result.problem}")
        output.note("hint: run comity network list later, or comity doctor")


@command("list", example="comity network list")
@click.pass_obj
def list_(output: Output) -> None:
    """List the networks that this node is a member of."""
    result = sdk.networks()
    rows = [
        (
            each.name,
            f"{each.rendezvous}, network {each.network}",
            each.hostname,
            each.address or "-",
            each.state,
            str(each.trusted),
        )
        for each in result.networks
    ]
    output.show(result, table(("NETWORK", "RENDEZVOUS", "HOSTNAME", "ADDRESS", "STATE", "TRUSTED"), rows))
    for each in result.networks:
        if each.problem:
            output.note(f"{each.name}: {each.problem}")


@command("leave", example="comity network leave cardiology")
@click.argument("name")
@click.pass_obj
def leave(output: Output, name: str) -> None:
    """Be a member of one network less: partners there see this node offline.

    Agreements there rest until you join again; to end one, run comity revoke first.
    """
    result = sdk.leave(NetworkLeaveRequest(name))
    output.show(result, _left(result))


for each_command in (join, list_, leave):
    network.add_command(each_command)


def _joined(result: NetworkMembership) -> Iterator[str]:
    yield f"Network joined: {result.name} ({result.rendezvous}, network {result.network})"
    yield f"  Hostname: {result.hostname}"
    if result.address:
        yield f"  Address: {result.address}"
    yield f"  State: {result.state}"
    yield f"  Card: {result.card}"
    if result.state == "stopped":
        yield "Next: comity up"


def _left(result: NetworkLeaveResult) -> Iterator[str]:
    yield f"Network left: {result.name} ({result.rendezvous}, network {result.network})"
    if result.resting:
        yield f"  Agreements that rest until you return: {result.resting}"
    if result.sessions_closed:
        yield f"  Links closed: {result.sessions_closed}"
