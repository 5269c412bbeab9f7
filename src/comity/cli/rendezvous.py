"""A rendezvous's administration: networks, invitations, nodes.

``programs`` has ``serve``, ``rendezvous_care`` what keeps a server well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from comity.cli import rendezvous_care, wording
from comity.cli.commands import Group, amount, command, rate
from comity.cli.output import Output, table
from comity.cli.programs import rendezvous
from comity.cli.rendezvous_care import state_option
from comity.control import rendezvous as control
from comity.control.amounts import parse_duration
from comity.sdk import files
from comity.sdk import rendezvous as server

__all__ = ["rendezvous"]

network = Group("network", help="The isolated networks of a rendezvous: create, change, list.")
invite = Group("invite", help="Invitations to a network: create, list, revoke.")
rendezvous.add_command(network)
rendezvous.add_command(invite)

_max_nodes = click.option("--max-nodes", type=click.IntRange(1), metavar="N", help="At most so many nodes.")
_max_mail = click.option("--max-mail", type=click.IntRange(1), metavar="N", help="At most so many letters.")
#: The other quotas: what is counted, and for whom. Names are those of ``NetworkCreateRequest.quotas``.
_QUOTAS = (
    ("online", "N", "Nodes online at once."),
    ("mail-bytes", "SIZE", "Sealed bytes that wait in the network."),
    ("relay-day", "SIZE", "What the network sends through the relay a day (UTC)."),
    ("node-mail", "N", "Letters that wait for one node."),
    ("node-mail-bytes", "SIZE", "Sealed bytes that wait for one node."),
    ("node-sent", "N", "Letters of one node that wait for others."),
    ("node-sent-bytes", "SIZE", "Sealed bytes of one node that wait for others."),
    ("node-lanes", "N", "Relay lanes of one node at once."),
    ("node-relay-day", "SIZE", "What one node sends through the relay a day (UTC)."),
    ("node-relay-rate", "RATE", "How fast one node sends through the relay, such as 20MB/s."),
    ("node-lookups", "N", "Look-ups of one node a minute."),
)


def _quota_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, unit, about in reversed(_QUOTAS):
        kind = {"N": click.IntRange(1), "SIZE": amount, "RATE": rate}[unit]
        function = click.option(f"--{name}", type=kind, metavar=unit, help=about)(function)
    return function


def _network_option(**kwargs: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--network", "network_", metavar="NETWORK", help="By name or number.", **kwargs)


@command("create", example="comity rendezvous network create lung-study")
@click.argument("name")
@click.option("--open", "is_open", is_flag=True, help="Let everybody in who has the join URL.")
@_max_nodes
@_max_mail
@_quota_options
@state_option
@click.pass_obj
def network_create(
    output: Output,
    /,
    name: str,
    is_open: bool,
    max_nodes: int | None,
    max_mail: int | None,
    state: Path | None,
    **quotas: int | None,
) -> None:
    """Create a network: by invitation, unless it is to be open. A quota that isn't given is the largest."""
    request = control.NetworkCreateRequest(name, is_open, max_nodes, max_mail, _given(quotas))
    result = server.create_network(request, state)
    output.show(result, _terms("Network created", result))


@command("change", example="comity rendezvous network change default --by-invitation")
@click.argument("network_", metavar="NETWORK")
@click.option("--open/--by-invitation", "is_open", default=None, help="Who may come in from now on.")
@_max_nodes
@_max_mail
@_quota_options
@state_option
@click.pass_obj
def network_change(
    output: Output,
    /,
    network_: str,
    is_open: bool | None,
    max_nodes: int | None,
    max_mail: int | None,
    state: Path | None,
    **quotas: int | None,
) -> None:
    """Change who may come in, and quotas, at once. Whoever is in stays."""
    request = control.NetworkChangeRequest(network_, is_open, max_nodes, max_mail, _given(quotas))
    result = server.change_network(request, state)
    output.show(result, _terms("Network changed", result))


@command("list", example="comity rendezvous network list")
@state_option
@click.pass_obj
def network_list(output: Output, state: Path | None) -> None:
    """List the networks."""
    result = server.networks(state)
    rows = [
        (
            str(each.network),
            each.name,
            each.admission,
            f"{each.nodes} of {each.max_nodes}",
            str(each.online),
            f"{each.mail} of {each.max_mail}",
            wording.size(each.relayed_today),
            ", ".join(_quotas(each)),
        )
        for each in result.networks
    ]
    columns = ("NETWORK", "NAME", "ADMISSION", "NODES", "ONLINE", "MAIL", "RELAYED TODAY", "OTHER QUOTAS")
    output.show(result, table(columns, rows))


@command("create", example="comity rendezvous invite create --network lung-study --out charite.url")
@_network_option(required=True)
@click.option("--uses", type=int, default=1, show_default=True, metavar="N", help="How many keys it lets in.")
@click.option("--expires", default="7d", show_default=True, metavar="7d", help="How long it can be used.")
@click.option("--note", default="", metavar="TEXT", help="Whom it is for; administrators see it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there (mode 0600).")
@state_option
@click.pass_obj
def invite_create(
    output: Output, network_: str, uses: int, expires: str, note: str, out: Path | None, state: Path | None
) -> None:
    """Make an invitation: a join URL that lets new keys in. It is a secret, and can't be shown again."""
    request = control.InviteCreateRequest(network_, uses, parse_duration(expires), note)
    result = server.invite(request, state)
    if out is not None:
        files.write_private(out, result.url + "\n")
    output.show(result, [result.url if out is None else f"Invitation {result.id} written to {out}"])
    output.note(f"Invitation {result.id}, uses: {result.uses}, until {wording.moment(result.expires_at)}")


@command("list", example="comity rendezvous invite list --network lung-study")
@_network_option(required=True)
@state_option
@click.pass_obj
def invite_list(output: Output, network_: str, state: Path | None) -> None:
    """List a network's invitations; their tokens are not kept."""
    result = server.invitations(network_, state)
    rows = [
        (str(each.id), each.state, f"{each.used} of {each.uses}", wording.moment(each.expires_at), each.note)
        for each in result.invitations
    ]
    output.show(result, table(("INVITATION", "STATE", "USED", "UNTIL", "NOTE"), rows))


@command("revoke", example="comity rendezvous invite revoke 3")
@click.argument("number", type=int, metavar="INVITATION")
@state_option
@click.pass_obj
def invite_revoke(output: Output, number: int, state: Path | None) -> None:
    """End an invitation. Whoever came in by it stays."""
    result = server.revoke_invitation(number, state)
    output.show(result, [f"Invitation {result.id} revoked; used: {result.used} of {result.uses}"])


@command("nodes", example="comity rendezvous nodes --network lung-study")
@_network_option(default="")
@state_option
@click.pass_obj
def nodes(output: Output, network_: str, state: Path | None) -> None:
    """List registered nodes, private ones too."""
    result = server.nodes(network_, state)
    rows = [
        (
            each.address,
            each.hostname or "(released)",
            "online" if each.online else wording.moment(each.last_seen),
            str(each.mail),
            str(each.sent),
            wording.size(each.relayed_today),
            each.fingerprint,
        )
        for each in result.nodes
    ]
    columns = ("ADDRESS", "NAME", "SEEN", "MAIL", "SENT", "RELAYED TODAY", "FINGERPRINT")
    output.show(result, table(columns, rows))


@command("remove", example="comity rendezvous remove lab-b --network lung-study")
@click.argument("node")
@_network_option(default="1", show_default=True)
@state_option
@click.pass_obj
def remove(output: Output, node: str, network_: str, state: Path | None) -> None:
    """Remove a node (by name, address or fingerprint) and the mail that waits for it.

    Its connection ends. The key needs a new invitation to come back, and has its old address then. Agreements
    are between nodes: partners revoke them themselves.
    """
    result = server.remove(control.RemoveRequest(network_, node), state)
    output.show(result, [f"Removed: {result.hostname or result.fingerprint} ({result.address})"])


@command("release", example="comity rendezvous release lab-b --network lung-study")
@click.argument("hostname", metavar="NAME")
@_network_option(default="1", show_default=True)
@state_option
@click.pass_obj
def release(output: Output, hostname: str, network_: str, state: Path | None) -> None:
    """Take a hostname from its key, when that key is lost; any other key can claim it then."""
    result = server.release(control.ReleaseRequest(network_, hostname), state)
    output.show(result, [f"Released: {result.hostname}, which {result.fingerprint} can't claim again"])


for each_command in (network_create, network_change, network_list):
    network.add_command(each_command)
for each_command in (invite_create, invite_list, invite_revoke):
    invite.add_command(each_command)


for each_command in (*rendezvous_care.COMMANDS, nodes, remove, release):
    rendezvous.add_command(each_command)


def _terms(what: str, view: control.NetworkView) -> list[str]:
    admission = "open" if view.admission == "open" else "by invitation"
    return [
        f"{what}: {view.name}, number {view.network}, {admission}",
        f"Quotas: {', '.join((f'{view.max_nodes} nodes', f'{view.max_mail} letters', *_quotas(view)))}",
        f"Join URL: {view.url}"
        if view.admission == "open"
        else f"Next: comity rendezvous invite create --network {view.name}",
    ]


def _given(quotas: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in quotas.items() if value is not None}


def _quotas(view: control.NetworkView) -> list[str]:
    units = {name.replace("-", "_"): unit for name, unit, _ in _QUOTAS}
    written: dict[str, Callable[[int], str]] = {
        "N": str,
        "SIZE": wording.size,
        "RATE": lambda value: f"{wording.size(value)}/s",
    }
    return [f"{name.replace('_', '-')} {written[units[name]](value)}" for name, value in view.quotas.items()]
