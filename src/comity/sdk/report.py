"""What happened with one partner, as a report, and as a page. Errors: those of ``Client``."""

from __future__ import annotations

from comity import limits
from comity.control import Report, ReportRequest
from comity.sdk.audit import fingerprint_of
from comity.sdk.client import Client


def report(client: Client, peer: str, since: str | None = None, until: str | None = None) -> Report:
    """Who agreed to what, what passed, what was refused and why. ``peer``: any PEER argument; ``since`` and
    ``until``: days or times, the end included. UnknownPeer, InvalidInput, TooLarge.
    """
    request = ReportRequest(fingerprint_of(client, peer), since, until)
    return client.call("report", request, Report, wait=limits.CONTROL_SILENCE_SECONDS)
