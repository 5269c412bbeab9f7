"""How a forwarded connection ended, put on record: what was carried, and what broke it.

That it began is the guard's decision on record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from comity.errors import ComityError
from comity.protocol.forwarding.flow import Flow
from comity.services.audit import AuditService
from comity.services.forwarding.surroundings import SERVICE
from comity.transport.interface import Stream


@contextmanager
def recorded(audit: AuditService, flow: Flow, stream: Stream, port: int, operation: str) -> Iterator[None]:
    """Around a pipe's run: what ends the block is recorded with the bytes of payload, and raised."""
    problem: str | None = None
    try:
        yield
    except ComityError as error:
        problem = error.code
        raise
    except asyncio.CancelledError:
        problem = "cancelled"
        raise
    finally:
        audit.append(
            "forward.closed",
            peer=stream.peer,
            operation=operation,
            reasons=() if problem is None else (problem,),
            service=SERVICE,
            port=port,
            path=stream.info.path,
            bytes_sent=flow.sent,
            bytes_received=flow.received,
        )
