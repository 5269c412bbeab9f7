"""Evidence for people: report."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity.control import Report, ReportRequest
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """What happened with one partner."""
    router = APIRouter(tags=["report"])

    @router.post("/report", response_model=Report)
    async def report(request: ReportRequest) -> Response:
        return reply(await operations.reports.report(request))

    return router
