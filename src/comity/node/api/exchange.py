"""Artifacts: send-file, sign-artifact, received, transfers, watch-transfers, cancel.

``send-file`` answers with one JSON object a line: ``{"progress": …}`` any number of times, then ``{"result":
…}`` or ``{"error": …}``. A client that hangs up interrupts its transfer. ``watch-transfers`` is lines of
``{"progress": …}`` of all of them, without an end.
"""

from __future__ import annotations

import asyncio
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
from comity.services.exchange import ExchangeService


def routes(operations: Operations) -> APIRouter:
    """Operations on artifacts."""
    router = APIRouter(tags=["exchange"])
    exchange = operations.exchange

    @router.post(
        "/send-file",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"application/x-ndjson": {}}, "description": "lines of progress and a result"}
        },
    )
    async def send_file(request: control.SendFileRequest) -> Response:
        descriptor = operations.take_file(request.file)
        lines = _sending(exchange, request, descriptor)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @router.post("/sign-artifact", response_model=control.SignArtifactResult)
    async def sign_artifact(request: control.SignArtifactRequest) -> Response:
        return reply(exchange.sign(request))

    @router.post("/queue-file", response_model=control.QueueResult)
    async def queue_file(request: control.QueueFileRequest) -> Response:
        descriptor = operations.take_file(request.file)
        try:
            return reply(await exchange.queue(request, descriptor))
        finally:
            os.close(descriptor)

    @router.post("/received", response_model=control.ReceivedResult)
    async def received(request: control.ReceivedRequest) -> Response:
        return reply(await exchange.received(request))

    @router.post("/transfers", response_model=control.TransfersResult)
    async def transfers() -> Response:
        return reply(exchange.transfers())

    @router.post(
        "/watch-transfers",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {}}, "description": "lines of progress"}},
    )
    async def watch_transfers() -> Response:
        return StreamingResponse(_watching(exchange), media_type="application/x-ndjson")

    @router.post("/cancel", response_model=control.CancelResult)
    async def cancel(request: control.CancelRequest) -> Response:
        return reply(await exchange.cancel(request))

    return router


async def _sending(
    exchange: ExchangeService, request: control.SendFileRequest, descriptor: int
) -> AsyncIterator[bytes]:
    # A client that reads slowly misses progress, and slows nothing down.
    latest: asyncio.Queue[control.Progress] = asyncio.Queue(1)

    def show(progress: control.Progress) -> None:
        if latest.full():
            latest.get_nowait()
        latest.put_nowait(progress)

    try:
        sending = asyncio.create_task(exchange.send(request, descriptor, show))
        try:
            while not sending.done():
                waiting = asyncio.create_task(latest.get())
                await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    yield _line("progress", to_plain(waiting.result()))
                waiting.cancel()
        finally:
            sending.cancel()
            await asyncio.wait({sending})
        try:
            yield _line("result", to_plain(sending.result()))
        except ComityError as error:
            yield _line("error", failure(error))
    finally:
        os.close(descriptor)


async def _watching(exchange: ExchangeService) -> AsyncIterator[bytes]:
    async with aclosing(exchange.watch()) as seen:
        async for progress in seen:
            yield _line("progress", to_plain(progress))


def _line(name: str, value: object) -> bytes:
    return msgspec.json.encode({name: value}) + b"\n"
