"""The answering half of a network in memory: hello, gate, welcome or refusal, and the handler's stream.

It says what ``acceptor`` says over TLS, one stream a link: links in memory are cheap, and not pooled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from comity import limits
from comity.errors import ComityError, LinkLost, RemoteProtocolError, VersionMismatch
from comity.identity.keys import PublicKey
from comity.protocol.framing import Kind
from comity.protocol.hello import (
    UNIFORM_REFUSAL,
    Hello,
    Refused,
    Welcome,
    choose_version,
    encode_message,
    parse_hello,
)
from comity.transport.channel import DEFAULT_BOUNDS
from comity.transport.interface import Gate, PathName, StreamHandler
from comity.transport.links import Link, Links
from comity.transport.memory_channel import MemoryChannel
from comity.transport.memory_links import End
from comity.transport.stream import LinkStream

log = logging.getLogger("comity.transport")


class _TurnedAway(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


class Door:
    """Where links to one node come in. ``handlers`` by virtual port; it may grow while links are served."""

    def __init__(
        self,
        place: str,
        key: PublicKey,
        gate: Gate,
        instance: str,
        handlers: Mapping[int, StreamHandler],
        links: Links,
    ) -> None:
        self.place = place
        self.key = key
        self._gate = gate
        self._instance = instance
        self._handlers = handlers
        self._links = links
        self._serving: set[asyncio.Task[None]] = set()

    def enter(self, end: End, caller: PublicKey, remote: str, path: PathName) -> None:
        """Serve a link of ``caller`` from now on, until it ends."""
        task = asyncio.create_task(self._attend(Link(MemoryChannel(end, caller, remote), path)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """Stop serving."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _attend(self, link: Link) -> None:
        self._links.add(link)
        try:
            await self._converse(link)
        except LinkLost:
            pass
        except _TurnedAway as turned:
            await self._turn_away(link, turned.refused)
        finally:
            self._links.discard(link)
            link.channel.dismiss()

    async def _converse(self, link: Link) -> None:
        hello, welcome, handler = await self._greeted(link)
        link.port = hello.port
        await link.channel.write_frame(Kind.WELCOME, encode_message(welcome))
        stream = LinkStream(link, hello, hello.instance, DEFAULT_BOUNDS, lambda _: None)
        try:
            await handler(stream)
        except ComityError as error:
            log.info("a stream to port %d ended: %s", hello.port, error)
        except Exception:
            log.exception("a stream to port %d ended by a bug", hello.port)
        finally:
            stream.settle()
            if not stream.finished:
                stream.abort()

    async def _greeted(self, link: Link) -> tuple[Hello, Welcome, StreamHandler]:
        try:
            async with asyncio.timeout(limits.HELLO_TIMEOUT):
                kind, body = await link.channel.read_frame(limits.HELLO_BYTES)
            if kind is not Kind.HELLO:
                raise RemoteProtocolError(f"a {kind.name.lower()} frame instead of a hello")
            hello = parse_hello(body)
            version = choose_version(hello)
        except TimeoutError:
            raise _turned_away("no_hello", "no hello in time") from None
        except VersionMismatch as error:
            raise _turned_away("version", error.message) from error
        except RemoteProtocolError as error:
            raise _turned_away("malformed_hello", error.message) from error
        refused = self._gate.admit(link.peer, hello)
        if refused is not None:
            raise _TurnedAway(refused)
        handler = self._handlers.get(hello.port)
        if handler is None:
            raise _turned_away("unknown_port", f"nothing is served on port {hello.port}")
        return hello, Welcome(version=version, instance=self._instance), handler

    async def _turn_away(self, link: Link, refused: Refused) -> None:
        self._gate.refused(link.peer, link.info.remote, refused.code, refused.reason)
        answer = refused if self._gate.approved(link.peer) else UNIFORM_REFUSAL
        try:
            await link.channel.write_frame(Kind.REFUSED, encode_message(answer))
        except LinkLost:  # it didn't wait for the answer
            return


def _turned_away(code: str, reason: str) -> _TurnedAway:
    return _TurnedAway(Refused(code=code, reason=reason[: limits.CLAIM_BYTES]))
