"""The running node itself: its status, its details, its end. Errors: those of ``Client``."""

from __future__ import annotations

from comity.control import InfoResult, StatusResult
from comity.sdk import asks
from comity.sdk.client import Client


def status(client: Client) -> StatusResult:
    """How the daemon stands; NotRunning where there is none (``daemon.status`` answers then too)."""
    return client.ask(asks.status())


def info(client: Client) -> InfoResult:
    """Address, claims, candidates, sessions, and what was negotiated on each link."""
    return client.ask(asks.info())
