"""Agreements: handshake, pending, approve, reject, confirm, trust, revoke, retire,
agreement-export."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """Operations on trust."""
    router = APIRouter(tags=["trust"])
    trust = operations.trust

    @router.post("/handshake", response_model=control.HandshakeResult)
    async def handshake(request: control.HandshakeRequest) -> Response:
        return reply(await trust.asking.handshake(request))

    @router.post("/pending", response_model=control.PendingResult)
    async def pending() -> Response:
        return reply(await trust.answering.pending())

    @router.post("/approve", response_model=control.ApproveResult)
    async def approve(request: control.ApproveRequest) -> Response:
        return reply(await trust.answering.approve(request))

    @router.post("/reject", response_model=control.RejectResult)
    async def reject(request: control.RejectRequest) -> Response:
        return reply(await trust.answering.reject(request))

    @router.post("/confirm", response_model=control.ConfirmResult)
    async def confirm(request: control.ConfirmRequest) -> Response:
        return reply(await trust.answering.confirm(request))

    @router.post("/trust", response_model=control.TrustResult)
    async def trusted() -> Response:
        return reply(await trust.ending.trust())

    @router.post("/revoke", response_model=control.RevokeResult)
    async def revoke(request: control.RevokeRequest) -> Response:
        return reply(await trust.ending.revoke(request))

    @router.post("/retire", response_model=control.RetireResult)
    async def retire(request: control.RetireRequest) -> Response:
        return reply(await trust.retiring.retire(request))

    @router.post("/agreement-export", response_model=control.AgreementFile)
    async def export(request: control.ExportRequest) -> Response:
        return reply(await trust.ending.export(request))

    return router
