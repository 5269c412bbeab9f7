"""Events: publish, subscribe, acknowledge.

``subscribe`` answers with one JSON object a line: ``{"subscription": …}`` first, then ``{"events": […]}`` and
``{"notice": …}`` for as long as the client reads, and ``{"error": …}`` where it ends by itself. The client
says by ``acknowledge`` what it is done with; one that hangs up ends its subscription.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from comity import control
from comity.control.codec import to_plain
from comity.errors import ComityError
from comity.node.api.failures import failure
from comity.node.api.operations import Operations, reply
from comity.services.events import EventsService


def routes(operations: Operations) -> APIRouter:
    """Operations on events."""
    router = APIRouter(tags=["events"])
    events = operations.events

    @router.post("/publish", response_model=control.PublishResult)
    async def publish(request: control.PublishRequest) -> Response:
        return reply(await events.publish(request))

    @router.post(
        "/subscribe",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {}}, "description": "lines of events"}},
    )
    async def subscribe(request: control.SubscribeRequest) -> Response:
        return StreamingResponse(_listening(events, request), media_type="application/x-ndjson")

    @router.post("/acknowledge", response_model=control.AcknowledgeResult)
    async def acknowledge(request: control.AcknowledgeRequest) -> Response:
        return reply(await events.acknowledge(request))

    return router


async def _listening(events: EventsService, request: control.SubscribeRequest) -> AsyncIterator[bytes]:
    try:
        async with (
            events.subscribe(request) as subscription,
            aclosing(subscription.batches()) as batches,
        ):
            yield _line("subscription", to_plain(subscription.view))
            async for batch in batches:
                if isinstance(batch, control.Notice):
                    yield _line("notice", to_plain(batch))
                else:
                    yield _line("events", [to_plain(event) for event in batch])
    except ComityError as error:
        yield _line("error", failure(error))


def _line(name: str, value: object) -> bytes:
    return msgspec.json.encode({name: value}) + b"\n"
