"""Before a command returns, the flat folder holds what has arrived, and its warnings have been told."""

from __future__ import annotations

from comity.cli.output import Output
from comity.control import ReceivedRequest
from comity.errors import ComityError
from comity.sdk import exchange
from comity.sdk.client import Client
from comity_pilot import view


def show_received(client: Client, output: Output) -> None:
    """Bring the folder up to date. What it was called for is done: an error here is only a warning."""
    try:
        warnings = view.sync(client.home.path, exchange.received(client, ReceivedRequest()).files)
        warnings = [*view.left(client.home.path), *warnings]
    except (ComityError, OSError) as error:
        warnings = [f"{view.FOLDER} is not up to date: {error}"]
    for warning in warnings:
        output.note(f"warning: {warning}")
