"""The ASGI application: a router a noun, errors in one form, bodies of bounded size, OpenAPI at
/v1/openapi.json.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comity import __version__, limits
from comity.node.api import (
    about,
    audit,
    charter,
    doctor,
    events,
    exchange,
    failures,
    forwarding,
    networks,
    peers,
    report,
    trust,
)
from comity.node.api.operations import Operations


def create_app(operations: Operations) -> FastAPI:
    """The control API over these services."""
    app = FastAPI(
        title="Comity control API",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # it would load scripts from elsewhere, and no browser comes here
        redoc_url=None,
    )
    failures.install(app)
    app.add_middleware(_Bounded)
    for noun in (about, doctor, networks, peers, trust, charter, exchange, events, forwarding, audit, report):
        app.include_router(noun.routes(operations), prefix="/v1")
    return app


class _Bounded:
    """Takes a request's whole body before anything is answered; refuses one over ``limits.API_BODY_BYTES``.

    To answer earlier would be to close a socket that still holds unread bytes: the caller, who is writing
    them, would see a broken connection in place of the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken: list[Message] = []
        arrived, more = 0, True
        while more and arrived <= limits.API_BODY_BYTES:
            taken.append(await receive())
            arrived += len(taken[-1].get("body", b""))
            more = taken[-1].get("more_body", False)

        async def replayed() -> Message:
            if arrived > limits.API_BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)  # FastAPI would hide ours
            return taken.pop(0) if taken else await receive()

        await self._app(scope, replayed, send)
