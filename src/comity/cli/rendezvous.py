"""A rendezvous's administration: networks, invitations, nodes, the admin log. ``programs`` has ``serve``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from comity import limits
from comity.cli import wording
from comity.cli.commands import Group, command
from comity.cli.output import Output, table
from comity.cli.programs import rendezvous
from comity.control import rendezvous as control
from comity.control.amounts import parse_duration
from comity.identity.fingerprint import Fingerprint
from comity.sdk import files, home
from comity.sdk import rendezvous as server

__all__ = ["rendezvous"]

network = Group("network", help="The isolated networks of a rendezvous: create, change, list.")
invite = Group("invite", help="Invitations to a network: create, list, revoke.")
rendezvous.add_command(network)
rendezvous.add_command(invite)

_state = click.option(
    "--state", type=click.Path(path_type=Path), metavar="DIR", help="The server's state folder."
)
_passphrase = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="A file with the passphrase of the backup.",
)
_max_nodes = click.option("--max-nodes", type=click.IntRange(1), metavar="N", help="At most so many nodes.")
_max_mail = click.option("--max-mail", type=click.IntRange(1), metavar="N", help="At most so many letters.")


def _network_option(**kwargs: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--network", "network_", metavar="NETWORK", help="By name or number.", **kwargs)


@command("create", example="comity rendezvous network create lung-study")
@click.argument("name")
@click.option("--open", "is_open", is_flag=True, help="Let everybody in who has the join URL.")
@_max_nodes
@_max_mail
@_state
@click.pass_obj
def network_create(
    output: Output, name: str, is_open: bool, max_nodes: int | None, max_mail: int | None, state: Path | None
) -> None:
    """Create a network: by invitation, unless it is to be open."""
    request = control.NetworkCreateRequest(name, is_open, max_nodes, max_mail)
    result = server.create_network(request, state)
    output.show(result, _terms("Network created", result))


@command("change", example="comity rendezvous network change default --by-invitation")
@click.argument("network_", metavar="NETWORK")
@click.option("--open/--by-invitation", "is_open", default=None, help="Who may come in from now on.")
@_max_nodes
@_max_mail
@_state
@click.pass_obj
def network_change(
    output: Output,
    network_: str,
    is_open: bool | None,
    max_nodes: int | None,
    max_mail: int | None,
    state: Path | None,
) -> None:
    """Change who may come in, and quotas. Whoever is in stays."""
    request = control.NetworkChangeRequest(network_, is_open, max_nodes, max_mail)
    result = server.change_network(request, state)
    output.show(result, _terms("Network changed", result))


@command("list", example="comity rendezvous network list")
@_state
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
        )
        for each in result.networks
    ]
    output.show(result, table(("NETWORK", "NAME", "ADMISSION", "NODES", "ONLINE", "MAIL"), rows))


@command("create", example="comity rendezvous invite create --network lung-study --out charite.url")
@_network_option(required=True)
@click.option("--uses", type=int, default=1, show_default=True, metavar="N", help="How many keys it lets in.")
@click.option("--expires", default="7d", show_default=True, metavar="7d", help="How long it can be used.")
@click.option("--note", default="", metavar="TEXT", help="Whom it is for; administrators see it.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write it there (mode 0600).")
@_state
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
@_state
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
@_state
@click.pass_obj
def invite_revoke(output: Output, number: int, state: Path | None) -> None:
    """End an invitation. Whoever came in by it stays."""
    result = server.revoke_invitation(number, state)
    output.show(result, [f"Invitation {result.id} revoked; used: {result.used} of {result.uses}"])


@command("nodes", example="comity rendezvous nodes --network lung-study")
@_network_option(default="")
@_state
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
            each.fingerprint,
        )
        for each in result.nodes
    ]
    output.show(result, table(("ADDRESS", "NAME", "SEEN", "MAIL", "FINGERPRINT"), rows))


@command("remove", example="comity rendezvous remove lab-b --network lung-study")
@click.argument("node")
@_network_option(default="1", show_default=True)
@_state
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
@_state
@click.pass_obj
def release(output: Output, hostname: str, network_: str, state: Path | None) -> None:
    """Take a hostname from its key, when that key is lost; any other key can claim it then."""
    result = server.release(control.ReleaseRequest(network_, hostname), state)
    output.show(result, [f"Released: {result.hostname}, which {result.fingerprint} can't claim again"])


@command("admin-log", example="comity rendezvous admin-log --limit 20")
@click.option(
    "--limit", type=click.IntRange(1, limits.ADMIN_LOG_PAGE), default=100, show_default=True, metavar="N",
    help="How many entries.",
)  # fmt: skip
@_state
@click.pass_obj
def admin_log(output: Output, limit: int, state: Path | None) -> None:
    """Show what administrators did and who joined, oldest first."""
    result = server.admin_log(limit, state)
    rows = [
        (wording.moment(each.at), each.who, each.act, str(each.network), each.detail) for each in result.acts
    ]
    output.show(result, table(("AT", "WHO", "ACT", "NETWORK", "DETAIL"), rows))


for each_command in (network_create, network_change, network_list):
    network.add_command(each_command)
for each_command in (invite_create, invite_list, invite_revoke):
    invite.add_command(each_command)


@command("backup", example="comity rendezvous backup --out rendezvous.backup --passphrase-file passphrase")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", required=True, help="Where to write it."
)
@_passphrase
@_state
@click.pass_obj
def backup(output: Output, out: Path, passphrase_file: Path, state: Path | None) -> None:
    """Write the server's key and database to one encrypted file, while it serves or not."""
    result = server.backup(out, home.read_passphrase(passphrase_file), state)
    output.show(result, [f"Backup of {result.name}: {result.path} ({wording.size(result.bytes)})"])


@command("rotate-key", example="comity rendezvous rotate-key")
@_state
@click.pass_obj
def rotate_key(output: Output, state: Path | None) -> None:
    """Give a stopped server a new key, which the old one names its successor.

    Nodes follow by themselves when they next connect, however long that takes; only new ones need the new
    join URL.
    """
    result = server.rotate_key(state)
    output.show(
        result,
        [
            "The rendezvous has a new key",
            f"  Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}",
            f"  Join URL: {result.url}",
            "Next: comity rendezvous serve --listen ..., and comity rendezvous backup",
        ],
    )


@command("restore", example="comity rendezvous restore rendezvous.backup --passphrase-file passphrase")
@click.argument("file", type=click.Path(path_type=Path))
@_passphrase
@_state
@click.pass_obj
def restore(output: Output, file: Path, passphrase_file: Path, state: Path | None) -> None:
    """Fill an empty state folder from such a file.

    Never let two servers run from copies of one state. Under a new address, nodes need the new join URL.
    """
    result = server.restore(file, home.read_passphrase(passphrase_file), state)
    made = wording.moment(result.created_at)
    output.show(
        result,
        [
            f"Restored: {result.name}, as of {made}, in {result.place}",
            "Next: comity rendezvous serve --listen ...",
        ],
    )


for each_command in (backup, restore, rotate_key, nodes, remove, release, admin_log):
    rendezvous.add_command(each_command)


def _terms(what: str, view: control.NetworkView) -> list[str]:
    admission = "open" if view.admission == "open" else "by invitation"
    return [
        f"{what}: {view.name}, number {view.network}, {admission}",
        f"Quotas: {view.max_nodes} nodes, {view.max_mail} letters",
        f"Join URL: {view.url}"
        if view.admission == "open"
        else f"Next: comity rendezvous invite create --network {view.name}",
    ]
