"""The ASGI application: a router a noun, errors in one form, bodies of bounded size, OpenAPI at
/v1/openapi.json.
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comity import __version__, limits
from comity.errors import TooLarge
from comity.node.api import about, audit, exchange, failures, peers, trust
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
    for noun in (about, peers, trust, exchange, audit):
        app.include_router(noun.routes(operations), prefix="/v1")
    return app


class _Bounded:
    """Refuses a request body over ``limits.API_BODY_BYTES`` while it arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > limits.API_BODY_BYTES:
                raise TooLarge(f"a request to the daemon has at most {limits.API_BODY_BYTES} bytes")
            return message

        await self._app(scope, counted, send)
