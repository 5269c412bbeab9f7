"""The running node itself: its status, its details, its end. Errors: those of ``Client``."""

from __future__ import annotations

from comity.control import InfoResult, StatusResult
from comity.sdk.client import Client


def status(client: Client) -> StatusResult:
    """How the daemon stands; NotRunning where there is none (``daemon.status`` answers then too)."""
    return client.call("status", None, StatusResult)


def info(client: Client) -> InfoResult:
    """Address, claims, candidates, sessions, and what was negotiated on each link."""
    return client.call("info", None, InfoResult)
