"""The audit log and its evidence. ``audit-export`` writes into an open file that the client handed over."""

from __future__ import annotations

import os

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """Operations on the log."""
    router = APIRouter(tags=["audit"])
    audit = operations.audit

    @router.post("/audit-log", response_model=control.AuditLogResult)
    async def log(request: control.AuditLogRequest) -> Response:
        return reply(await audit.log(request))

    @router.post("/audit-verify", response_model=control.AuditVerifyResult)
    async def verify(request: control.AuditVerifyRequest) -> Response:
        return reply(await audit.verify(request))

    @router.post("/audit-prove", response_model=control.AuditProof)
    async def prove(request: control.AuditProveRequest) -> Response:
        return reply(await audit.prove(request))

    @router.post("/audit-redact", response_model=control.AuditRedactResult)
    async def redact(request: control.AuditRedactRequest) -> Response:
        return reply(await audit.redact(request))

    @router.post("/audit-export", response_model=control.AuditExportResult)
    async def export(request: control.AuditExportRequest) -> Response:
        descriptor = operations.take_file(request.file)
        try:
            return reply(await audit.export(request, descriptor))
        finally:
            os.close(descriptor)

    @router.post("/audit-witnesses", response_model=control.AuditWitnessesResult)
    async def witnesses() -> Response:
        return reply(await audit.witnesses())

    @router.post("/audit-checkpoint", response_model=control.AuditCheckpoint)
    async def checkpoint(request: control.AuditCheckpointRequest) -> Response:
        return reply(await audit.checkpoint(request))

    return router
