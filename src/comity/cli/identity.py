"""The life of this node's key: identity backup, restore, rotate, retire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from comity import limits
from comity.cli import files, wording
from comity.cli.commands import Group, command
from comity.cli.output import Output
from comity.control import RetireRequest, RetireResult
from comity.errors import InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.sdk import home, succession, trust
from comity.sdk import identity as keys
from comity.sdk.client import Client

identity = Group("identity", help="The life of this node's key: back it up, restore, rotate, retire it.")

_passphrase = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="A file with the passphrase of the backup.",
)


@command("backup", example="comity identity backup --out lab-a.backup --passphrase-file passphrase")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", required=True, help="Where to write it."
)
@_passphrase
@click.pass_obj
def backup(output: Output, out: Path, passphrase_file: Path) -> None:
    """Write this node's key, agreements, audit log and settings to one encrypted file.

    The node need not stop. Received files are not in it.
    """
    result = keys.backup(out, home.read_passphrase(passphrase_file))
    output.show(result, [f"Backup of {result.name}: {result.path} ({wording.size(result.bytes)})"])


@command("restore", example="comity identity restore lab-a.backup --passphrase-file passphrase")
@click.argument("file", type=click.Path(path_type=Path))
@_passphrase
@click.pass_obj
def restore(output: Output, file: Path, passphrase_file: Path) -> None:
    """Fill an empty home (COMITY_HOME) from such a file.

    A node must run in one place only: stop it elsewhere first. What was agreed since the backup is not in it.
    """
    result = keys.restore(file, home.read_passphrase(passphrase_file))
    made = wording.moment(result.created_at)
    output.show(result, [f"Restored: {result.name}, as of {made}, in {result.place}", "Next: comity up"])


@command("rotate", example="comity identity rotate")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file with the passphrase of the key, if it has one; the new key gets the same.",
)
@click.pass_obj
def rotate(output: Output, passphrase_file: Path | None) -> None:
    """Give this stopped node a new key, which the old key names its successor.

    The name stays, every partner is asked to approve again, and old agreements stay verifiable.
    """
    passphrase = None if passphrase_file is None else home.read_passphrase(passphrase_file)
    result = succession.rotate(passphrase=passphrase)
    output.show(
        result,
        [
            f"{result.hostname} has a new key",
            f"  Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}",
            f"  Card: {result.card}",
            f"  Revocation certificate: {result.certificate} (keep a copy off this machine)",
            "Next: comity up. Partners find your request under comity pending; read the fingerprint to them.",
        ],
    )


@command("retire", example="comity identity retire --certificate retirement.json")
@click.option(
    "--certificate",
    metavar="FILE",
    help="The revocation certificate of a key that was lost or stolen; any node can publish it.",
)
@click.option("--permanently", is_flag=True, help="Retire this node's own key, which nothing brings back.")
@click.option("--reason", metavar="WHY", default="", help="What partners are told, with this node's own key.")
@click.pass_obj
def retire(output: Output, certificate: str | None, permanently: bool, reason: str) -> None:
    """Tell everybody that a key is not to be trusted any more, from now on and for good.

    Every agreement under it ends, the rendezvous refuses it, and its hostname is free again.
    """
    if (certificate is None) != permanently:
        raise InvalidInput(
            "name one key: --certificate FILE for a lost one, --permanently for this node's own",
            hint="comity identity retire --help",
        )
    text = None
    if certificate is not None:
        text = files.read(certificate, limits.SUCCESSION_FILE_BYTES).decode("utf-8", "replace")
    result = trust.retire(Client(), RetireRequest(reason=reason, certificate=text))
    output.show(result, _retired(result))


def _retired(result: RetireResult) -> Iterator[str]:
    whose = "This node's key" if result.own else f"The key of {result.hostname or 'an unknown node'}"
    yield f"{whose} is retired" + (f": {result.reason}" if result.reason else "")
    yield f"  Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}"
    yield f"  Agreements ended: {result.agreements_ended}"
    if not result.published:
        yield "Not everybody could be told yet: leave this node up until comity identity retire says so."
    elif result.own:
        yield "Partners and the rendezvous were told. For a new start: comity init in another COMITY_HOME."
    else:
        yield "The rendezvous was told, and tells every partner of that key."


for each in (backup, restore, rotate, retire):
    identity.add_command(each)
