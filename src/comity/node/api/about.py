"""The node itself: status, info, logs, stop."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


@dataclass(frozen=True)
class LogLines:
    """The end of the log, the oldest first."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Stopping:
    """The daemon ends once this answer is through."""

    stopping: bool = True


def routes(operations: Operations) -> APIRouter:
    """Operations on this node."""
    router = APIRouter(tags=["node"])

    @router.post("/status", response_model=control.StatusResult)
    async def status() -> Response:
        return reply(await operations.about.status())

    @router.post("/info", response_model=control.InfoResult)
    async def info() -> Response:
        return reply(await operations.about.info())

    @router.post("/logs", response_model=LogLines)
    async def logs(request: control.LogsRequest) -> Response:
        return reply(LogLines(operations.log_lines(request.lines)))

    @router.post("/stop", response_model=Stopping)
    async def stop() -> Response:
        operations.stop()
        return reply(Stopping())

    return router
