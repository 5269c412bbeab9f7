"""What the API calls: the services, and the few things that are the daemon's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Response

from comity.control.codec import to_json
from comity.services.about import AboutService
from comity.services.audit.desk import AuditDesk
from comity.services.charter.service import CharterService
from comity.services.directory import DirectoryService
from comity.services.doctor import DoctorService
from comity.services.events import EventsService
from comity.services.exchange import ExchangeService
from comity.services.forwarding import ForwardingService
from comity.services.networks import NetworkService
from comity.services.reporting import ReportService
from comity.services.trust import TrustService


@dataclass(frozen=True, kw_only=True)
class Operations:
    """``take_file`` gives the descriptor behind a handoff token, ``log_lines`` the end of the log."""

    about: AboutService
    networks: NetworkService
    doctor: DoctorService
    directory: DirectoryService
    trust: TrustService
    charters: CharterService
    exchange: ExchangeService
    events: EventsService
    forwarding: ForwardingService
    audit: AuditDesk
    reports: ReportService
    take_file: Callable[[str], int]
    log_lines: Callable[[int], tuple[str, ...]]
    stop: Callable[[], None]


def reply(result: Any) -> Response:
    """A control type as the answer, in the JSON that the SDK and ``--json`` share."""
    return Response(to_json(result), media_type="application/json")
