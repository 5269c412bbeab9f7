"""Ports: expose, forward."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from comity.cli import wording
from comity.cli.commands import command
from comity.cli.output import Output, table
from comity.control import (
    EndForwardRequest,
    ExposeRequest,
    ExposuresResult,
    ExposureView,
    ForwardNotice,
    ForwardsResult,
    ForwardView,
    UnexposeRequest,
    UnexposeResult,
)
from comity.errors import InvalidInput
from comity.identity.text import printable
from comity.sdk import forwarding as sdk
from comity.sdk.client import Client


@command("expose", example="comity expose 9092 --to lab-b-trainer")
@click.argument("port", type=click.IntRange(1, 65535), required=False)
@click.option("--to", metavar="PEER", help="Only this peer, for as long as your agreement with it lasts.")
@click.option("--all", "everybody", is_flag=True, help="Every partner whose agreement opens forward.")
@click.option("--list", "listed", is_flag=True, help="Show what is exposed.")
@click.option("--end", is_flag=True, help="Expose PORT no more, to PEER or to anybody, and cut connections.")
@click.pass_obj
def expose(
    output: Output, port: int | None, to: str | None, everybody: bool, listed: bool, end: bool
) -> None:
    """Let a partner reach PORT of this machine (127.0.0.1) by comity forward.

    The agreement has to open the service forward: comity approve PEER --allow exchange,events,forward.
    It holds until you end it, also when this node restarts.
    """
    client = Client()
    if listed:
        found = sdk.exposures(client)
        output.show(found, _exposed(found))
        return
    if port is None:
        raise InvalidInput("which port is to be exposed?", hint="see comity expose --help")
    if end:
        ended = sdk.unexpose(client, UnexposeRequest(port=port, to=to))
        output.show(ended, _unexposed(ended))
        return
    view = sdk.expose(client, ExposeRequest(port=port, to=to, all=everybody))
    output.show(view, [f"Port {view.port} is exposed to {_whom(view)}"])


@command(
    "forward",
    example="comity forward --local 9092 lab-a-aggregator:9092\ncomity forward lab-a-aggregator:9092",
)
@click.argument("target", metavar="PEER:PORT", required=False)
@click.option(
    "--local",
    metavar="PORT|PATH",
    help="Where to listen: a port of 127.0.0.1 (0 for a free one), or a socket's path; by default a socket"
    " in this node's runtime folder, for you alone.",
)
@click.option("--any-user", is_flag=True, help="Let other users of this machine use a --local PORT too.")
@click.option("--list", "listed", is_flag=True, help="Show the forwards that run.")
@click.option("--end", metavar="LOCAL", help="End a forward that another program runs, as --list names it.")
@click.pass_obj
def forward(
    output: Output, target: str | None, local: str | None, any_user: bool, listed: bool, end: str | None
) -> None:
    """Listen on this machine; what connects, connects to PORT of PEER's, which has to be exposed to you.

    It runs until Ctrl-C. Any TCP program can use it, as it is: gRPC, HTTP, WebSocket.
    """
    client = Client()
    if listed:
        found = sdk.forwards(client)
        output.show(found, _forwards(found))
        return
    if end is not None:
        ended = sdk.end_forward(client, EndForwardRequest(local=end))
        output.show(ended, [f"Forward ended: {ended.local}"])
        return
    peer, port = _target(target)
    with sdk.forward(client, peer, port, local=_place(local), any_user=any_user) as running:
        view = running.view
        output.show(view, [f"Forwarding {view.local} to port {view.port} of {view.peer}; Ctrl-C ends it"])
        for notice in running.notices():
            _tell(output, notice)


def _target(text: str | None) -> tuple[str, int]:
    peer, colon, port = (text or "").rpartition(":")
    if not colon or not peer or not port.isascii() or not port.isdecimal() or len(port) > 5:
        raise InvalidInput("whose port? name it as PEER:PORT", hint="comity forward lab-b-trainer:8080")
    return peer, int(port)


def _place(local: str | None) -> int | Path | None:
    if local is None:
        return None
    return int(local) if local.isascii() and local.isdecimal() else Path(local)


def _tell(output: Output, notice: ForwardNotice) -> None:
    if output.json:
        output.event(notice)
    elif notice.state == "failed":
        output.note(f"connection {notice.connection}: {notice.problem}")
        if notice.hint and notice.path is None:
            output.note(f"hint: {notice.hint}")


def _whom(view: ExposureView) -> str:
    return "every partner" if view.all else printable(view.to)


def _exposed(result: ExposuresResult) -> list[str]:
    if not result.exposed:
        return ["No port is exposed."]
    rows = [
        (
            str(view.port),
            _whom(view),
            str(view.connections),
            "yes" if view.active else "no: the agreement is over",
            wording.moment(view.since),
        )
        for view in result.exposed
    ]
    return table(("PORT", "TO", "OPEN", "ACTIVE", "SINCE"), rows)


def _unexposed(result: UnexposeResult) -> Iterator[str]:
    yield f"Port {result.port} is not exposed any more"
    if result.connections_closed:
        yield f"Connections cut: {result.connections_closed}"


def _forwards(result: ForwardsResult) -> list[str]:
    if not result.forwards:
        return ["No forward runs."]
    return table(("LOCAL", "PEER", "PORT", "OPEN", "TOTAL", "SENT", "RECEIVED"), map(_row, result.forwards))


def _row(view: ForwardView) -> tuple[str, ...]:
    return (
        view.local,
        view.peer,
        str(view.port),
        str(view.connections),
        str(view.total),
        wording.size(view.bytes_sent),
        wording.size(view.bytes_received),
    )
