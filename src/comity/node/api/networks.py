"""The networks of this node: join, list, leave."""

from __future__ import annotations

from fastapi import APIRouter, Response

from comity import control
from comity.node.api.operations import Operations, reply


def routes(operations: Operations) -> APIRouter:
    """Operations on memberships."""
    router = APIRouter(tags=["networks"])
    networks = operations.networks

    @router.post("/network-list", response_model=control.NetworkMembershipsResult)
    async def network_list() -> Response:
        return reply(networks.list())

    @router.post("/network-join", response_model=control.NetworkMembership)
    async def network_join(request: control.NetworkJoinRequest) -> Response:
        return reply(await networks.join(request))

    @router.post("/network-leave", response_model=control.NetworkLeaveResult)
    async def network_leave(request: control.NetworkLeaveRequest) -> Response:
        return reply(await networks.leave(request))

    return router
