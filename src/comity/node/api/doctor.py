"""Where this node is stuck on the way to its partners: doctor."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """The doctor's operation."""
    router = APIRouter(tags=["node"])

    @router.post("/doctor", response_model=control.DoctorResult)
    async def doctor(request: control.DoctorRequest) -> Response:
        return reply(await operations.doctor.examine(request))

    return router
