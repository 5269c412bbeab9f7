"""An HTTP proxy on loopback for tests: it knows CONNECT, and how to refuse it in every way that real ones do.

It resolves names by its own table, as a hospital's proxy does for names that the inside can't resolve. It
runs on an event loop in a thread of its own; its attributes may be changed between two connections.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass, field

from tests.threaded import Side, ThreadedServer, end

_READ = 65536


@dataclass(frozen=True)
class Asked:
    """One request: its first line, and its headers by their names in lower case."""

    line: str
    headers: dict[str, str]


@dataclass(eq=False)
class ConnectProxy(ThreadedServer):
    """``names``: ``host:port`` to where it really connects; other targets are what they say.

    ``login``: the ``user:password`` that is wanted; ``schemes``: what a 407 offers. ``answer``: said instead
    of opening any tunnel; empty bytes hang up. ``silent``: requests are read and never answered. ``context``:
    the connection to the proxy itself is TLS.
    """

    names: dict[str, int] = field(default_factory=dict)
    login: str | None = None
    schemes: tuple[str, ...] = ('Basic realm="proxy"',)
    answer: bytes | None = None
    silent: bool = False
    context: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.host, self.port, self.context)

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://{self.host}:{self.port}"

    async def attend(self, near: Side) -> None:
        reader, writer = near
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.asked.append(Asked(first, headers))
        method, target, _ = first.split()
        if self.silent:
            await asyncio.sleep(3600)
        if self.answer is not None:
            writer.write(self.answer)
        elif method != "CONNECT":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        elif not self._may(headers):
            offers = "".join(f"Proxy-Authenticate: {scheme}\r\n" for scheme in self.schemes)
            writer.write(f"HTTP/1.1 407 Proxy Authentication Required\r\n{offers}\r\n".encode())
        else:
            await self._join(target, near)

    def _may(self, headers: dict[str, str]) -> bool:
        if self.login is None:
            return True
        wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
        return headers.get("proxy-authorization") == wanted

    async def _join(self, target: str, near: Side) -> None:
        host, _, port = target.rpartition(":")
        if target in self.names:
            host, port = "127.0.0.1", str(self.names[target])
        try:
            far = await asyncio.open_connection(host, int(port))
        except OSError:
            near[1].write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        near[1].write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        await splice(near, far)


async def splice(one: Side, two: Side) -> None:
    """Carry bytes both ways until both sides have ended, or one broke; closes the second one."""
    copying = [asyncio.ensure_future(_copy(one[0], two[1])), asyncio.ensure_future(_copy(two[0], one[1]))]
    try:
        await asyncio.wait(copying, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for each in copying:
            each.cancel()
        await asyncio.gather(*copying, return_exceptions=True)
        await end(two[1])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()
