"""A node that runs without anyone looking: once, service, metrics, completion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from comity import limits
from comity.cli.commands import Group, command, seconds
from comity.cli.output import Output
from comity.control.unattended import OnceResult, ServiceRequest, ServiceResult
from comity.errors import InvalidInput
from comity.sdk import clock as sdk_clock
from comity.sdk import metrics as sdk_metrics
from comity.sdk import once as sdk_once
from comity.sdk import service as sdk_service

service = Group("service", help="Run this node as a systemd service: install, show, uninstall.")


@command("once", example="comity once --timeout 600")
@click.option(
    "--timeout",
    type=seconds,
    default=limits.ONCE_SECONDS,
    show_default=True,
    metavar="S",
    help="At most so many seconds.",
)
@click.option(
    "--quiet",
    type=seconds,
    default=limits.ONCE_QUIET_SECONDS,
    show_default=True,
    metavar="S",
    help="Go down after so many seconds in which nothing happened.",
)
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), metavar="FILE", help="The passphrase of the key."
)
@click.pass_obj
def once(output: Output, timeout: float, quiet: float, passphrase_file: Path | None) -> None:
    """Come up, drain mailbox and queue, go down: for machines where no process may outlive a job.

    Whatever waits for a partner who is away waits for the next time.
    """

    def seen(scene: sdk_once.Scene) -> None:
        moving = sum(each.state == "running" for each in scene.transfers)
        output.rewrite(
            f"{scene.status.rendezvous_state}, sessions: {scene.status.sessions}, transfers: {moving}"
        )

    result = sdk_once.once(timeout=timeout, quiet=quiet, passphrase_file=passphrase_file, seen=seen)
    output.show(result, _visit(result))


def _visit(result: OnceResult) -> Iterator[str]:
    yield f"{result.hostname} was up for {result.seconds:.0f} s ({result.address})"
    yield f"  Files received: {result.received}, sent: {result.sent}"
    if result.pending:
        yield f"  Handshakes that wait for you: {result.pending} (comity pending, while the node is up)"
    if result.left or result.owed:
        yield f"  Left for the next time: {result.left} transfers, {result.owed} statements"
    if not result.complete and not (result.left or result.owed):
        yield "  The time was over before it was quiet"


_system = click.option("--system", is_flag=True, help="A unit of the machine; run as you, written by root.")
_listen = click.option("--listen", metavar="HOST:PORT", help="Where peers may dial this node directly.")
_passphrase = click.option(
    "--passphrase-file", metavar="FILE", help="The passphrase of the key, readable by you alone."
)


@command("install", example="comity service install")
@_system
@_listen
@_passphrase
@click.option("--no-start", is_flag=True, help="Write the unit, and leave systemd alone.")
@click.pass_obj
def install(
    output: Output, system: bool, listen: str | None, passphrase_file: str | None, no_start: bool
) -> None:
    """Write a systemd unit for this node, enable it and start it. Once more updates it."""
    request = ServiceRequest(system, listen, passphrase_file, not no_start)
    result = sdk_service.install(request)
    output.show(result, _installed(result, system))


@command("show", example="comity service show --system")
@_system
@_listen
@_passphrase
@click.pass_obj
def show(output: Output, system: bool, listen: str | None, passphrase_file: str | None) -> None:
    """Print the unit that install would write."""
    result = sdk_service.show(ServiceRequest(system, listen, passphrase_file, False))
    output.show(result, result.text.splitlines())


@command("uninstall", example="comity service uninstall")
@_system
@click.pass_obj
def uninstall(output: Output, system: bool) -> None:
    """Stop this node's unit and remove it. The node's home stays as it is."""
    result = sdk_service.uninstall(system)
    output.show(result, [f"Removed: {result.path}"])


def _installed(result: ServiceResult, system: bool) -> Iterator[str]:
    flag = "" if system else " --user"
    yield f"Unit written: {result.path}"
    if result.started:
        yield f"Started: systemctl{flag} status {result.unit}"
        if not system:
            yield "To keep it up while you are not logged in: loginctl enable-linger"
    else:
        yield f"Not started: {result.problem}"
        yield f"Next: systemctl{flag} daemon-reload && systemctl{flag} enable --now {result.unit}"


@command("metrics", example="comity metrics > /var/lib/node_exporter/comity.prom")
@click.pass_obj
def metrics(output: Output) -> None:
    """Print this node's numbers for Prometheus. A node that is down is comity_up 0."""
    result = sdk_metrics.metrics()
    output.show(result, result.text.splitlines())


@command("force-clock-back", example="comity force-clock-back --what-had-expired-may-count-again")
@click.option(
    "--what-had-expired-may-count-again",
    "understood",
    is_flag=True,
    help="Say that you know what this does: docs/how-to/run-unattended.md.",
)
@click.pass_obj
def force_clock_back(output: Output, understood: bool) -> None:
    """Turn the time of a node that is down back to this machine's, after its clock was once far ahead.

    Dangerous where it is this machine's clock that is wrong: look at it first. The audit log tells of it.
    """
    if not understood:
        raise InvalidInput(
            "nothing was done: what had expired may count again",
            hint="read docs/how-to/run-unattended.md, then add --what-had-expired-may-count-again",
        )
    result = sdk_clock.force_clock_back()
    output.show(result, [f"This node's time is back from {result.was} to {result.now}", "Next: comity up"])


@command("completion", example="comity completion bash > ~/.local/share/bash-completion/completions/comity")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_obj
def completion(output: Output, shell: str) -> None:
    """Print the script by which a SHELL completes comity's commands and options."""
    from click.shell_completion import get_completion_class

    from comity.cli.app import app

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    script = found(app, {}, "comity", "_COMITY_COMPLETE").source()
    output.show({"shell": shell, "script": script}, script.splitlines())


for each in (install, show, uninstall):
    service.add_command(each)
