"""Other nodes, and what this one shows them: find, peers, ping, set-tags, set-visibility."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """Operations on the directory."""
    router = APIRouter(tags=["peers"])
    directory = operations.directory

    @router.post("/find", response_model=control.FindResult)
    async def find(request: control.FindRequest) -> Response:
        return reply(await directory.find(request))

    @router.post("/peers", response_model=control.PeersResult)
    async def peers(request: control.PeersRequest) -> Response:
        return reply(await directory.peers(request))

    @router.post("/ping", response_model=control.PingResult)
    async def ping(request: control.PingRequest) -> Response:
        return reply(await directory.ping(request))

    @router.post("/set-tags", response_model=control.VisibilityResult)
    async def set_tags(request: control.SetTagsRequest) -> Response:
        return reply(await directory.set_tags(request))

    @router.post("/set-visibility", response_model=control.VisibilityResult)
    async def set_visibility(request: control.SetVisibilityRequest) -> Response:
        return reply(await directory.set_visibility(request))

    return router
