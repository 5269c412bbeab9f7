"""Charters: propose, read, sign, status, end, attest, suspend, lift, explain."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """Operations on charters."""
    router = APIRouter(tags=["charter"])
    charters = operations.charters

    @router.post("/charter-propose", response_model=control.CharterProposeResult)
    async def propose(request: control.CharterProposeRequest) -> Response:
        return reply(await charters.propose(request))

    @router.post("/charter-read", response_model=control.CharterReadResult)
    async def read(request: control.CharterReadRequest) -> Response:
        return reply(charters.read(request))

    @router.post("/charter-sign", response_model=control.CharterSignResult)
    async def sign(request: control.CharterSignRequest) -> Response:
        return reply(await charters.sign(request))

    @router.post("/charter-status", response_model=control.CharterStatusResult)
    async def status(request: control.CharterStatusRequest) -> Response:
        return reply(charters.status(request))

    @router.post("/charter-end", response_model=control.CharterEndResult)
    async def end(request: control.CharterEndRequest) -> Response:
        return reply(await charters.end(request))

    @router.post("/charter-attest", response_model=control.CharterAttestResult)
    async def attest(request: control.CharterAttestRequest) -> Response:
        return reply(await charters.attest(request))

    @router.post("/charter-suspend", response_model=control.SuspensionView)
    async def suspend(request: control.CharterSuspendRequest) -> Response:
        return reply(await charters.suspend(request))

    @router.post("/charter-lift", response_model=control.SuspensionView)
    async def lift(request: control.CharterLiftRequest) -> Response:
        return reply(await charters.lift(request))

    @router.post("/charter-explain", response_model=control.CharterExplainResult)
    async def explain(request: control.CharterAskRequest) -> Response:
        return reply(await charters.explainer.explain(request))

    return router
