"""The other programs of this distribution, which take this process's place: rendezvous serve, demo."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from comity.cli.commands import Group, command
from comity.cli.output import Output

rendezvous = Group("rendezvous", help="Run a rendezvous: registry, mailbox and blind relay in one process.")


@command(
    "serve",
    example="comity rendezvous serve --listen 0.0.0.0:9000 --advertise comity://rendezvous.example:9000",
)
@click.option(
    "--listen",
    multiple=True,
    metavar="HOST:PORT",
    help="Where to listen; :PORT for every interface, port 0 for any free one; may be repeated. Not needed "
    "where systemd hands over sockets.",
)
@click.option("--advertise", metavar="URL", help="The public comity://HOST:PORT of this server.")
@click.option("--state", metavar="DIR", help="Where its key, its database and join.url lie.")
@click.option("--monitor", metavar="PLACE", help="Serve health and metrics at 127.0.0.1:PORT or unix:PATH.")
@click.option(
    "--monitor-beyond-this-machine",
    is_flag=True,
    help="Let --monitor be a place that others reach. Nobody is asked who they are.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Of the log on standard error.")
@click.pass_obj
def serve(
    output: Output,
    listen: tuple[str, ...],
    advertise: str | None,
    state: str | None,
    monitor: str | None,
    monitor_beyond_this_machine: bool,
    log_format: str | None,
) -> None:
    """Serve a rendezvous until it is ended.

    The join URL for nodes is written to join.url in its state folder. With --json the log is JSON, one object
    a line.
    """
    arguments = [part for place in listen for part in ("--listen", place)]
    if advertise is not None:
        arguments += ["--advertise", advertise]
    if state is not None:
        arguments += ["--state", state]
    if monitor is not None:
        arguments += ["--monitor", monitor]
    if monitor_beyond_this_machine:
        arguments.append("--monitor-beyond-this-machine")
    form = log_format or ("json" if output.json else None)
    if form is not None:
        arguments += ["--log-format", form]
    _become("comity.rendezvous", arguments)


rendezvous.add_command(serve)


@command("demo", example="comity demo --rounds 5")
@click.option("--rounds", type=int, metavar="N", help="How many rounds of federated averaging; 3 by default.")
@click.option("--seed", type=int, metavar="N", help="Decides who is whose patient; 2 by default.")
@click.option("--keep", metavar="DIR", help="Play in DIR, and leave everything there.")
@click.pass_obj
def demo(output: Output, rounds: int | None, seed: int | None, keep: str | None) -> None:
    """Two hospitals share a model and not data, on this machine.

    Each is a process of its own with real patients of its own. It ends with 0 only if everything held.
    """
    given = {"--rounds": rounds, "--seed": seed, "--keep": keep}
    arguments = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    _become("comity.demo", [*arguments, *(["--json"] if output.json else [])])


def _become(module: str, arguments: list[str]) -> NoReturn:
    sys.stdout.flush()
    # -P: a folder that happens to be the current one must not add modules; utf8: hostnames name folders
    command_line = [sys.executable, "-P", "-X", "utf8", "-m", module, *arguments]
    os.execv(sys.executable, command_line)  # noqa: S606  no shell is wanted
