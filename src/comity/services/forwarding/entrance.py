"""Where this machine's connections go in: one program's socket, one stream to a peer's port.

Places for a peer are bounded; who finds none waits for a while. The guard is asked for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from comity import limits
from comity.errors import ComityError, ForwardsBusy, RemoteProtocolError, TimedOut, UntrustedPeer
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.forwarding.flow import Flow
from comity.protocol.forwarding.messages import Tag, error_of, parse, purpose_of
from comity.protocol.hello import FORWARD_PORT
from comity.services.forwarding.pipe import Pipe, break_off
from comity.services.forwarding.record import recorded
from comity.services.forwarding.surroundings import SERVICE, Surroundings
from comity.transport.interface import Stream


@dataclass(frozen=True)
class Opened:
    """A connection that the peer let in: ``flow`` counts while it runs."""

    stream: Stream
    flow: Flow


class Entrance:
    """Connections to peers' ports."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._places: dict[PublicKey, asyncio.Semaphore] = {}
        self._waiting = 0

    def require(self, peer: PublicKey, port: int) -> str | None:
        """The charter that lets connections go to this peer's port, if one governs; Denied."""
        return self._around.guard.require(_operation(peer, port)).charter

    async def carry(
        self, sock: socket.socket, peer: PublicKey, port: int, opened: Callable[[Opened], None]
    ) -> None:
        """Be one connection from beginning to end; ``opened`` is told once the peer has let it in.

        The socket is its own from the call on. Denied, UntrustedPeer, NotExposed, TargetUnreachable,
        ForwardsBusy, what ``Network.dial`` raises; then LinkLost, RemoteProtocolError, ProgramGone.
        """
        try:
            sock.setblocking(False)
            async with self._place(peer):
                stream = await self._dial(peer, port)
                async with stream:
                    refused = await _refusal(stream)
                    if refused is None:
                        pipe = Pipe(
                            sock,
                            stream,
                            self._around.clock,
                            lambda: self._around.guard.consider(_operation(peer, port)),
                        )
                        opened(Opened(stream, pipe.flow))
                        with recorded(self._around.audit, pipe.flow, stream, port, "forward"):
                            await pipe.run()
            if refused is not None:
                raise refused
        finally:
            break_off(sock)  # nothing where the pipe has ended it in order

    async def _dial(self, peer: PublicKey, port: int) -> Stream:
        known = self._around.trust.known(peer)
        if known is None:
            hostname = self._around.trust.hostname(peer)
            raise UntrustedPeer(f"the agreement with {hostname} is not in force any more")
        charter = self.require(peer, port)
        return await self._around.network.dial(
            peer,
            FORWARD_PORT,
            agreement=known.agreement.digest,
            charter=charter,
            purpose=purpose_of(port),
        )

    @contextlib.asynccontextmanager
    async def _place(self, peer: PublicKey) -> AsyncIterator[None]:
        places = self._places.setdefault(peer, asyncio.Semaphore(limits.FORWARD_CONNECTIONS_PER_PEER))
        if self._waiting >= limits.FORWARD_WAITING:
            raise ForwardsBusy(f"{self._waiting} connections wait for a place already")
        self._waiting += 1
        try:
            async with asyncio.timeout(limits.FORWARD_PLACE_TIMEOUT):
                await places.acquire()
        except TimeoutError:
            raise ForwardsBusy(
                f"{limits.FORWARD_CONNECTIONS_PER_PEER} connections to this peer are open, and none ended"
            ) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            places.release()


def _operation(peer: PublicKey, port: int) -> Operation:
    return Operation(kind="forward", peer=peer, service=SERVICE, port=port)


async def _refusal(stream: Stream) -> ComityError | None:
    """None once the peer has opened its port; what it says where it does not."""
    try:
        async with asyncio.timeout(limits.FORWARD_OPEN_TIMEOUT):
            body = await stream.receive()
    except TimeoutError:
        raise TimedOut("the peer did not say in time whether it opens the port") from None
    if body is None:
        raise RemoteProtocolError("the peer ended a forward without an answer")
    tag, rest = parse(body)
    if tag is Tag.FAIL:
        return error_of(rest)
    if tag is not Tag.OPENED:
        raise RemoteProtocolError(f"the peer answered a forward with {tag.name.lower()}")
    return None
