"""What keeps a rendezvous well: status, admin log, backup and restore, a new key, a clock that was wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from comity import limits
from comity.cli import wording
from comity.cli.commands import command
from comity.cli.output import Output, table
from comity.control import rendezvous as control
from comity.control.rendezvous_status import RendezvousStatus
from comity.errors import AuditInvalid, InvalidInput, NotRunning, StorageUnusable
from comity.identity.fingerprint import Fingerprint
from comity.sdk import home
from comity.sdk import rendezvous as server

_KEEP = "keep a copy of the state folder as it is, and compare with a backup"

state_option = click.option(
    "--state", type=click.Path(path_type=Path), metavar="DIR", help="The server's state folder."
)
_passphrase = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="A file with the passphrase of the backup.",
)


@command("status", example="comity rendezvous status --check || alert")
@click.option("--check", is_flag=True, help="Exit with 0 only if it serves and every check holds.")
@state_option
@click.pass_obj
def status(output: Output, check: bool, state: Path | None) -> None:
    """Tell how the server is: its checks, its networks, what it refused. 0 either way, but with --check."""
    result = server.status(state)
    if check and not result.running:
        raise NotRunning("no rendezvous serves from there", hint="run systemctl status comity-rendezvous")
    if check and not result.ready:
        failed = "; ".join(f"{each.name}: {each.detail}" for each in result.checks if not each.ok)
        raise StorageUnusable(f"the rendezvous is not ready: {failed}", hint="run comity rendezvous status")
    output.show(result, _standing(result))


@command("admin-log", example="comity rendezvous admin-log --limit 20")
@click.option(
    "--limit", type=click.IntRange(1, limits.ADMIN_LOG_PAGE), default=100, show_default=True, metavar="N",
    help="How many entries.",
)  # fmt: skip
@click.option("--verify", is_flag=True, help="Compute the log's head anew, and fail where it is another.")
@click.option("--head", default="", metavar="SIZE:ROOT", help="A head noted earlier, which it must have had.")
@state_option
@click.pass_obj
def admin_log(output: Output, limit: int, verify: bool, head: str, state: Path | None) -> None:
    """Show what administrators did and who joined, oldest first.

    The log is a Merkle tree. The server's own log tells its head with each act, and so does this command: a
    head that was noted elsewhere shows whether the log was changed since.
    """
    result = server.admin_log(control.AdminLogRequest(limit, verify, head), state)
    if result.valid is False:
        raise AuditInvalid(f"the admin log is not what it was: {result.problem}", hint=_KEEP)
    rows = [
        (wording.moment(each.at), each.who, each.act, str(each.network), each.detail) for each in result.acts
    ]
    output.show(result, table(("AT", "WHO", "ACT", "NETWORK", "DETAIL"), rows))
    output.note(f"Head: {result.head}" + (" (verified)" if result.valid else ""))


@command("backup", example="comity rendezvous backup --out rendezvous.backup --passphrase-file passphrase")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", required=True, help="Where to write it."
)
@_passphrase
@state_option
@click.pass_obj
def backup(output: Output, out: Path, passphrase_file: Path, state: Path | None) -> None:
    """Write the server's key and database to one encrypted file, while it serves or not."""
    result = server.backup(out, home.read_passphrase(passphrase_file), state)
    output.show(result, [f"Backup of {result.name}: {result.path} ({wording.size(result.bytes)})"])


@command("rotate-key", example="comity rendezvous rotate-key")
@state_option
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
@state_option
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


@command("force-clock-back", example="comity rendezvous force-clock-back --what-had-expired-may-count-again")
@click.option(
    "--what-had-expired-may-count-again",
    "understood",
    is_flag=True,
    help="Say that you know what this does: docs/how-to/run-a-rendezvous.md.",
)
@state_option
@click.pass_obj
def force_clock_back(output: Output, understood: bool, state: Path | None) -> None:
    """Turn a stopped server's time back to this machine's, after its clock was once far ahead.

    Dangerous where it is this machine's clock that is wrong: look at it first. Invitations that the server
    saw expire stay ended; the admin log tells of it.
    """
    if not understood:
        raise InvalidInput(
            "nothing was done: what had expired may count again",
            hint="read docs/how-to/run-a-rendezvous.md, then add --what-had-expired-may-count-again",
        )
    result = server.force_clock_back(state)
    output.show(
        result,
        [
            f"The server's time is back from {result.was} to {result.now}",
            f"  Set back: {result.nodes} nodes, {result.letters} letters",
            f"  Invitations ended: {result.ended_invitations}",
            "Next: comity rendezvous serve --listen ...",
        ],
    )


COMMANDS = (status, backup, restore, rotate_key, admin_log, force_clock_back)


def _standing(result: RendezvousStatus) -> Iterator[str]:
    if not result.running:
        yield "The rendezvous is not running"
        return
    yield f"The rendezvous is {'ready' if result.ready else 'not ready'}: version {result.version}"
    yield f"  Up since: {wording.moment(result.started_at or '')}"
    for check in result.checks:
        yield f"  {check.name.capitalize()}: {'ok' if check.ok else 'FAILED'}, {check.detail}"
    backup_at = wording.moment(result.backup_at) if result.backup_at else "never"
    yield f"  Backup: {backup_at}"
    yield f"  Size of the database: {wording.size(result.database_bytes)}"
    open_now = ", ".join(f"{kind}: {count}" for kind, count in sorted(result.connections.items()) if count)
    yield f"  Connections: {open_now or 'none'}; relay lanes: {result.lanes}"
    refused = ", ".join(f"{code}: {count}" for code, count in sorted(result.refusals.items()))
    yield f"  Refused since the start: {refused or 'nothing'}"
    rows = [
        (
            each.name,
            f"{each.online} of {each.nodes} online",
            f"{each.mail} ({wording.size(each.mail_bytes)})",
            wording.size(each.relayed_bytes),
        )
        for each in result.networks
    ]
    yield from table(("NETWORK", "NODES", "MAIL", "RELAYED"), rows)
