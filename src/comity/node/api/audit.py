"""The audit log: audit-log, audit-verify."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """Operations on the log."""
    router = APIRouter(tags=["audit"])

    @router.post("/audit-log", response_model=control.AuditLogResult)
    async def log(request: control.AuditLogRequest) -> Response:
        return reply(operations.audit.log(request))

    @router.post("/audit-verify", response_model=control.AuditVerifyResult)
    async def verify() -> Response:
        return reply(operations.audit.verify())

    return router
