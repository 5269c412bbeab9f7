"""Errors as answers: ``{"error": {"code", "message", "hint"}}`` with an HTTP status by class.

Every failure takes this form, those of FastAPI and of bugs included, so that a client has one way to read
them.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from comity import errors, limits

log = logging.getLogger("comity.node")

#: By the first class in the error's ancestry that is listed.
_STATUS: dict[type[errors.ComityError], HTTPStatus] = {
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.NameRefused: HTTPStatus.BAD_REQUEST,
    errors.FileUnusable: HTTPStatus.BAD_REQUEST,
    errors.UnknownPeer: HTTPStatus.NOT_FOUND,
    errors.NothingPending: HTTPStatus.NOT_FOUND,
    errors.UnknownTransfer: HTTPStatus.NOT_FOUND,
    errors.UntrustedPeer: HTTPStatus.FORBIDDEN,
    errors.Denied: HTTPStatus.FORBIDDEN,
    errors.PeerRefused: HTTPStatus.FORBIDDEN,
    errors.NotExposed: HTTPStatus.FORBIDDEN,
    errors.TargetUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ForwardsBusy: HTTPStatus.TOO_MANY_REQUESTS,
    errors.HandshakeRejected: HTTPStatus.FORBIDDEN,
    errors.IdentityMismatch: HTTPStatus.CONFLICT,
    errors.AmbiguousPeer: HTTPStatus.CONFLICT,
    errors.RequestChanged: HTTPStatus.CONFLICT,
    errors.FileChanged: HTTPStatus.CONFLICT,
    errors.TransferCancelled: HTTPStatus.CONFLICT,
    errors.NameTaken: HTTPStatus.CONFLICT,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.MailboxFull: HTTPStatus.TOO_MANY_REQUESTS,
    errors.RendezvousRefused: HTTPStatus.BAD_GATEWAY,
    errors.RendezvousUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PeerUnreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.InboxFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.TimedOut: HTTPStatus.GATEWAY_TIMEOUT,
    errors.RemoteProtocolError: HTTPStatus.BAD_GATEWAY,
}


def failure(error: errors.ComityError) -> dict[str, str | int]:
    """What a client is told of an error: enough to end with the status that its class has here."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "exit_status": error.exit_status,
    }


def status_of(error: errors.ComityError) -> HTTPStatus:
    """The HTTP status of an error: its class's, or its closest ancestor's."""
    for cls in type(error).__mro__:
        if cls in _STATUS:
            return _STATUS[cls]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def install(app: FastAPI) -> None:
    """Make every failure of ``app`` take this form."""
    app.add_exception_handler(errors.ComityError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


def _answer(status: int, error: errors.ComityError) -> JSONResponse:
    return JSONResponse({"error": failure(error)}, status)


async def _on_ours(_: Request, error: Exception) -> JSONResponse:
    ours = error if isinstance(error, errors.ComityError) else errors.LocalProtocolError(str(error))
    return _answer(status_of(ours), ours)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, p['loc'][1:])) or 'body'}: {p['msg']}".lower() for p in problems)
    return _answer(HTTPStatus.BAD_REQUEST, errors.InvalidInput(f"the request is malformed: {said}"))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        most = f"a request to the daemon has at most {limits.API_BODY_BYTES} bytes"
        return _answer(status, errors.TooLarge(most))
    asked = f"{request.method} {request.url.path}"
    hint = "run comity down, then comity up, so that both are the same version"
    return _answer(status, errors.InvalidInput(f"the daemon has no operation {asked}", hint=hint))


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    # The traceback is logged by uvicorn, to which Starlette raises it again.
    bug = errors.LocalProtocolError(f"{request.url.path} failed by a bug: {type(error).__name__}")
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, bug)
