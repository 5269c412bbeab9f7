"""Files: send-file. A partner that is not there now is waited for, since Pilot's scripts don't try again."""

from __future__ import annotations

import time

import click

from comity.cli.commands import command, seconds
from comity.cli.output import Output
from comity.cli.progress import TransferDisplay
from comity.control import SendResult
from comity.errors import (
    ComityError,
    LinkLost,
    PeerUnreachable,
    RendezvousUnreachable,
    TimedOut,
    TransferFailed,
)
from comity.sdk import exchange as sdk
from comity.sdk.client import Client
from comity_pilot.received import show_received

_WAIT = 600.0
_AGAIN = 2.0
#: What passes by itself: the partner restarts, or its network does.
_PASSING = (PeerUnreachable, LinkLost, TransferFailed, TimedOut, RendezvousUnreachable)


@command("send-file", example="pilotctl send-file lab-b-trainer /models/round-3-weights.pt")
@click.argument("peer")
@click.argument("path", type=click.Path())
@click.option(
    "--wait",
    type=seconds,
    default=_WAIT,
    show_default=True,
    metavar="S",
    help="How many seconds to wait for a partner that is not there, 0 for none.",
)
@click.pass_obj
def send_file(output: Output, peer: str, path: str, wait: float) -> None:
    """Send the file at PATH to a trusted PEER, and return once its signed receipt is here."""
    client = Client()
    display = TransferDisplay(output)
    result = _sent(client, output, display, peer, path, time.monotonic() + wait)
    output.show(result, display.finish(result))
    show_received(client, output)


def _sent(
    client: Client, output: Output, display: TransferDisplay, peer: str, path: str, until: float
) -> SendResult:
    said = False
    while True:
        try:
            return sdk.send_file(client, peer, path, display.update)
        except _PASSING as error:
            if time.monotonic() + _AGAIN >= until or not _passes(error):
                raise
            if not said:
                output.note(f"waiting for {peer}: {error.message}")
                said = True
            time.sleep(_AGAIN)


def _passes(error: ComityError) -> bool:
    """Whether it is one of these itself: what derives from them is final."""
    return type(error) in _PASSING
