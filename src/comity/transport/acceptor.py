"""Answering: who calls, what for, and one stream after the other on each link that is let in.

Every way of turning a caller away that isn't approved looks the same on the wire, whatever was wrong, and
the gate is told the distinct cause (SECURITY.md rule 10). How many callers are served at once, and how many
of whom nothing is known yet, is bounded. It listens on nothing: sockets come from ``listener`` and from
relay offers.

Anybody can open connections and say nothing. So of those of whom nothing is known the oldest gives way to a
newcomer, and an approved peer that was followed to the relay is not counted among them. Of the approved ones
none has more than its share.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from comity import limits
from comity.errors import (
    ComityError,
    LinkLost,
    RemoteProtocolError,
    VersionMismatch,
)
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
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.interface import Gate, PathName, StreamHandler
from comity.transport.links import Link, Links
from comity.transport.stream import LinkStream
from comity.transport.tcp import remote_of, tune
from comity.transport.tls import Credentials

logger = logging.getLogger(__name__)


class _TurnedAway(Exception):
    """This caller goes no further; ``refused`` is what it reads if it is an approved one."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


@dataclass
class _Caller:
    """One of whom nothing is known yet. ``task`` serves it, once it has begun."""

    since: float
    task: asyncio.Task[None] | None = None


class Acceptor:
    """``handlers`` by virtual port; it may grow while links are served."""

    def __init__(
        self,
        credentials: Credentials,
        gate: Gate,
        instance: str,
        handlers: Mapping[int, StreamHandler],
        links: Links,
        bounds: Bounds,
    ) -> None:
        self._credentials = credentials
        self._gate = gate
        self._instance = instance
        self._handlers = handlers
        self._links = links
        self._bounds = bounds
        self._serving: set[socket.socket] = set()
        self._unadmitted: dict[socket.socket, _Caller] = {}  # of which nothing is known yet, oldest first
        self._peers: Counter[PublicKey] = Counter()

    def __len__(self) -> int:
        """How many callers are being served."""
        return len(self._serving)

    @property
    def full(self) -> bool:
        """Whether the next caller would be turned away without a word, whoever it is."""
        return len(self._serving) >= self._bounds.inbound_links

    def take(self, sock: socket.socket, expected: PublicKey | None = None) -> bool:
        """Own a caller's socket from now on; False, and it is closed, where too many are being served.

        ``expected`` is the approved peer that was followed to the relay.
        """
        if self.full or (expected is None and not self._room()):
            remote = remote_of(sock)
            sock.close()
            self._gate.refused(None, remote, "too_many_links", "too many callers are being served")
            return False
        self._serving.add(sock)
        if expected is None:
            self._unadmitted[sock] = _Caller(asyncio.get_running_loop().time())
        return True

    def _room(self) -> bool:
        """Whether one more of whom nothing is known can be served, if need be in the place of the oldest."""
        if len(self._unadmitted) < self._bounds.inbound_unapproved:
            return True
        sock, oldest = next(iter(self._unadmitted.items()))
        waited = asyncio.get_running_loop().time() - oldest.since
        if oldest.task is None or waited < self._bounds.inbound_grace:
            return False
        remote = remote_of(sock)
        self._forget(sock)
        oldest.task.cancel()
        self._gate.refused(None, remote, "displaced", "it said nothing, and others wait")
        return True

    def _forget(self, sock: socket.socket) -> None:
        self._serving.discard(sock)
        self._unadmitted.pop(sock, None)

    async def serve(self, sock: socket.socket, path: PathName, expected: PublicKey | None = None) -> None:
        """Serve a socket that was taken until its link ends. Only ``expected``, where it is given."""
        try:
            if sock in self._unadmitted:
                self._unadmitted[sock].task = asyncio.current_task()
            channel = await self._answer(sock, remote_of(sock), expected)
            if channel is not None:
                await self._attend(Link(channel, path), sock)
        finally:
            self._forget(sock)

    def close(self) -> None:
        """Close what was taken and not served any more; the links have been ended."""
        for sock in self._serving:
            sock.close()

    async def _answer(
        self, sock: socket.socket, remote: str, expected: PublicKey | None
    ) -> SecureChannel | None:
        pin = None if expected is None else expected.fingerprint
        try:
            tune(sock)
            return await SecureChannel.accept(sock, self._credentials, pin, self._bounds)
        except (LinkLost, OSError):  # it left by itself
            sock.close()
        except ComityError as error:
            self._gate.refused(expected, remote, error.code, error.message)
        return None

    async def _attend(self, link: Link, sock: socket.socket) -> None:
        self._links.add(link)
        self._peers[link.peer] += 1
        patience, first = self._bounds.hello, True
        try:
            if self._peers[link.peer] > self._bounds.inbound_per_peer:
                raise _turned_away("too_many_links", "there are as many links as one peer may have")
            while await self._converse(link, sock, patience, first=first):
                patience, first = self._bounds.link_idle, False
                if link.channel.worn:
                    break
        except LinkLost:
            pass
        except _TurnedAway as turned:
            await self._turn_away(link, turned.refused)
        finally:
            self._peers[link.peer] -= 1
            if not self._peers[link.peer]:
                del self._peers[link.peer]
            self._links.discard(link)
            link.channel.dismiss()

    async def _converse(self, link: Link, sock: socket.socket, patience: float, *, first: bool) -> bool:
        """One hello and its stream; whether the link can carry another."""
        try:
            async with asyncio.timeout(patience):
                kind, body = await link.channel.read_frame(limits.HELLO_BYTES)
        except TimeoutError:
            if first:
                raise _turned_away("no_hello", f"no hello within {patience:g} seconds") from None
            return False
        except RemoteProtocolError as error:
            raise _turned_away("malformed_hello", error.message) from error
        hello, version, handler = self._judge(link.peer, kind, body)
        self._unadmitted.pop(sock, None)
        link.port = hello.port
        welcome = Welcome(version=version, instance=self._instance)
        await link.channel.write_frame(Kind.WELCOME, encode_message(welcome))
        stream = LinkStream(link, hello, hello.instance, self._bounds, lambda _: None)
        try:
            await _handle(handler, stream)
        finally:
            stream.settle()
            if not stream.finished:
                stream.abort()
            link.port = None
        return stream.finished

    def _judge(self, peer: PublicKey, kind: Kind, body: bytes) -> tuple[Hello, int, StreamHandler]:
        if kind is not Kind.HELLO:
            raise _turned_away("malformed_hello", f"a {kind.name.lower()} frame instead of a hello")
        try:
            hello = parse_hello(body)
            version = choose_version(hello)
        except VersionMismatch as error:
            raise _turned_away("version", error.message) from error
        except RemoteProtocolError as error:
            raise _turned_away("malformed_hello", error.message) from error
        refused = self._gate.admit(peer, hello)
        if refused is not None:
            raise _TurnedAway(refused)
        handler = self._handlers.get(hello.port)
        if handler is None:
            raise _turned_away("unknown_port", f"nothing is served on port {hello.port}")
        return hello, version, handler

    async def _turn_away(self, link: Link, refused: Refused) -> None:
        self._gate.refused(link.peer, link.info.remote, refused.code, refused.reason)
        answer = refused if self._gate.approved(link.peer) else UNIFORM_REFUSAL
        try:
            await link.channel.write_frame(Kind.REFUSED, encode_message(answer))
        except LinkLost:  # it didn't wait for the answer
            return
        await link.channel.close()


def _turned_away(code: str, reason: str) -> _TurnedAway:
    return _TurnedAway(Refused(code=code, reason=reason[: limits.CLAIM_BYTES]))


async def _handle(handler: StreamHandler, stream: LinkStream) -> None:
    """Run a service's handler: whatever it raises ends its stream, and nothing else."""
    where = f"stream from {stream.peer.fingerprint.short} to port {stream.hello.port}"
    try:
        await handler(stream)
    except ComityError as error:
        logger.info("%s ended: %s", where, error)
        stream.abort()
    except Exception:
        logger.exception("%s ended by a bug", where)
        stream.abort()
