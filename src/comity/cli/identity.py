"""The life of this node's key: identity backup, restore."""

from __future__ import annotations

from pathlib import Path

import click

from comity.cli import wording
from comity.cli.commands import Group, command
from comity.cli.output import Output
from comity.sdk import home
from comity.sdk import identity as keys

identity = Group("identity", help="Back this node's key and agreements up, and restore them.")

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


for each in (backup, restore):
    identity.add_command(each)
