"""Ports: expose, unexpose, exposures, forward, end-forward, forwards, stream.

``forward`` answers with one JSON object a line: ``{"forward": …}`` first, ``{"notice": …}`` for each
connection, and ``{"ended": …}`` where somebody else ended it. ``stream`` answers ``{"stream": …}`` once the
peer has let the connection in, and ``{"end": …}`` once both sides have ended it. Either may end by
``{"error": …}``, and a client that hangs up ends it.
"""

from __future__ import annotations

import os
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
from comity.services.forwarding import ForwardingService

_LINES = "application/x-ndjson"


def routes(operations: Operations) -> APIRouter:
    """Operations on ports."""
    router = APIRouter(tags=["forwarding"])
    forwarding = operations.forwarding

    @router.post("/expose", response_model=control.ExposureView)
    async def expose(request: control.ExposeRequest) -> Response:
        return reply(await forwarding.exposed.expose(request))

    @router.post("/unexpose", response_model=control.UnexposeResult)
    async def unexpose(request: control.UnexposeRequest) -> Response:
        return reply(await forwarding.exposed.unexpose(request))

    @router.post("/exposures", response_model=control.ExposuresResult)
    async def exposures() -> Response:
        return reply(forwarding.exposed.exposures())

    @router.post(
        "/forward",
        response_class=StreamingResponse,
        responses={200: {"content": {_LINES: {}}, "description": "lines about connections"}},
    )
    async def forward(request: control.ForwardRequest) -> Response:
        listener = operations.take_file(request.listener)
        return StreamingResponse(_forwarding(forwarding, request, _Held(listener)), media_type=_LINES)

    @router.post("/forwards", response_model=control.ForwardsResult)
    async def forwards() -> Response:
        return reply(forwarding.forwards())

    @router.post("/end-forward", response_model=control.ForwardView)
    async def end_forward(request: control.EndForwardRequest) -> Response:
        return reply(forwarding.end(request))

    @router.post(
        "/stream",
        response_class=StreamingResponse,
        responses={200: {"content": {_LINES: {}}, "description": "lines about one connection"}},
    )
    async def stream(request: control.StreamRequest) -> Response:
        sock = operations.take_file(request.file)
        return StreamingResponse(_streaming(forwarding, request, _Held(sock)), media_type=_LINES)

    return router


class _Held:
    """A descriptor that is closed with this, unless it was taken: an answer may never be begun."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def take(self) -> int:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            raise RuntimeError("a descriptor is taken twice")
        return descriptor

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


async def _forwarding(
    forwarding: ForwardingService, request: control.ForwardRequest, listener: _Held
) -> AsyncIterator[bytes]:
    try:
        async with (
            forwarding.forward(request, listener.take()) as forward,
            aclosing(forward.notices()) as said,
        ):
            yield _line("forward", to_plain(forward.view))
            async for notice in said:
                yield _line("notice", to_plain(notice))
            yield _line("ended", to_plain(forward.view))
    except ComityError as error:
        yield _line("error", failure(error))


async def _streaming(
    forwarding: ForwardingService, request: control.StreamRequest, sock: _Held
) -> AsyncIterator[bytes]:
    try:
        async with aclosing(forwarding.stream(request, sock.take())) as stages:
            async for stage in stages:
                yield _line("end" if isinstance(stage, control.StreamEnd) else "stream", to_plain(stage))
    except ComityError as error:
        yield _line("error", failure(error))


def _line(name: str, value: object) -> bytes:
    return msgspec.json.encode({name: value}) + b"\n"
