"""Echo servers over TLS, that hold as many connections and know nothing: what TLS alone costs.

    python -m crowd.echo asyncio FOLDER     the standard library's, as one writes it first
    python -m crowd.echo channel FOLDER     this project's channel, mutual and post-quantum, and nothing else

It prints a join URL that leads to it, and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from comity.clock import SystemClock
from comity.errors import ComityError
from comity.identity.card import JoinUrl
from comity.identity.certificate import issue_certificate
from comity.identity.keys import Identity
from comity.transport.channel import SecureChannel
from comity.transport.tls import Credentials
from crowd.files import raise_files

_BACKLOG = 1024
_MOST = 4096  # bytes said at once
_FILES = 12_000


async def serve_asyncio(identity: Identity, folder: Path, listener: socket.socket) -> None:
    (folder / "key.pem").write_bytes(identity.to_pem())
    certificate = issue_certificate(identity, SystemClock().now())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_MOST):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(echo, sock=listener, ssl=context, backlog=_BACKLOG)
    await server.serve_forever()


async def serve_channel(identity: Identity, _: Path, listener: socket.socket) -> None:
    credentials = Credentials(identity, SystemClock())
    callers: set[asyncio.Task[None]] = set()

    async def echo(sock: socket.socket) -> None:
        try:
            channel = await SecureChannel.accept(sock, credentials)
            try:
                while True:
                    kind, body = await channel.read_frame(_MOST)
                    await channel.write_frame(kind, body)
            finally:
                channel.abort()
        except ComityError:
            return

    while True:
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        task = asyncio.create_task(echo(sock))
        callers.add(task)
        task.add_done_callback(callers.discard)


async def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    raise_files(_FILES)
    identity = Identity.generate()
    listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    listener.setblocking(False)
    print(JoinUrl(*listener.getsockname(), fingerprint=identity.public.fingerprint), flush=True)
    await (serve_asyncio if kind == "asyncio" else serve_channel)(identity, folder, listener)


if __name__ == "__main__":
    asyncio.run(main())
