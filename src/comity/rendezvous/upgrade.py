"""Connections that come inside a WebSocket, as a reverse proxy that ends TLS hands them on (RFC 6455).

    GET /comity HTTP/1.1, Upgrade: websocket      answered with 101; anything else with an HTTP error

What is inside is what comes to the doors directly: a node's TLS, or a relay's preface. The reverse proxy is
trusted for nothing but what it says of where a node came from, and that only for the log, and only if it runs
on this machine.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from email.utils import formatdate

from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request
from websockets.server import ServerProtocol

from comity import limits
from comity.errors import LinkLost, RateLimited, RemoteProtocolError, TimedOut
from comity.rendezvous.files import Files
from comity.transport.bridge import Bridges
from comity.transport.layers import Stack, WebSocketLayer, forget
from comity.transport.wire import PATH

_READ = 4096


class NoWebSocket(RemoteProtocolError):
    """An HTTP request that is none for the WebSocket: a browser's, a scanner's."""

    code = "no_websocket"


async def accept_websocket(
    sock: socket.socket, remote: str, bridges: Bridges, files: Files, now: float
) -> tuple[socket.socket, str]:
    """The socket inside, and where the connection comes from. It owns ``sock`` from the call on; ``now``, in
    seconds UTC, is what the answer is dated.

    NoWebSocket once the answer is sent, LinkLost, TimedOut, RateLimited, OSError.
    """
    protocol = ServerProtocol(max_size=limits.WEBSOCKET_MESSAGE_BYTES)
    try:
        async with asyncio.timeout(limits.PREFACE_TIMEOUT):
            request = await _request(sock, protocol)
            right = request.path.partition("?")[0] == PATH
            response = protocol.accept(request) if right else protocol.reject(404, "There is nothing here.\n")
            del response.headers["Date"]  # the library's own clock, and every answer of ours has one
            response.headers["Date"] = formatdate(now, usegmt=True)
            protocol.send_response(response)
            await _say(sock, protocol)
        if response.status_code != 101:
            raise NoWebSocket(f"a request for {request.path[:64]} was answered with {response.status_code}")
        if not files.room_for_bridge():
            raise RateLimited("as many wrapped connections as there are files for")
        inside = bridges.join(sock, Stack([WebSocketLayer(protocol)]))
    except BaseException as error:
        sock.close()
        forget(protocol)
        if isinstance(error, TimeoutError):
            raise TimedOut("no whole request for a websocket came in time") from None
        raise
    return inside, _origin(request.headers, remote)


async def _request(sock: socket.socket, protocol: ServerProtocol) -> Request:
    loop = asyncio.get_running_loop()
    received = 0
    while True:
        data = await loop.sock_recv(sock, _READ)
        received += len(data)
        if not data:
            raise LinkLost("the connection ended before its request")
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                return event
        if protocol.handshake_exc is not None or received > limits.UPGRADE_BYTES:
            await _say(sock, protocol)
            raise NoWebSocket("a connection began like HTTP and went on as something else")


async def _say(sock: socket.socket, protocol: ServerProtocol) -> None:
    said = b"".join(protocol.data_to_send())
    if said:
        await asyncio.get_running_loop().sock_sendall(sock, said)


def _origin(headers: Headers, remote: str) -> str:
    """The node's address, as a reverse proxy on this machine says; else that of who handed it on.

    Without a port: the one that is seen here is no node's, and must not be taken for one.
    """
    last = remote.rpartition(":")[0].strip("[]")
    try:
        if not ipaddress.ip_address(last).is_loopback:
            return last
        return str(ipaddress.ip_address(headers["X-Forwarded-For"].rpartition(",")[2].strip()))
    except (ValueError, KeyError, MultipleValuesError):
        return last
