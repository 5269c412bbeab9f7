"""Connecting to the rendezvous that a join URL names: the way, the pinned TLS, and what to do where something
else answers (SECURITY.md rule 7; docs: protocol, "Ways out").

Another form of the way may lead there: inside a WebSocket, or without one. Another key may be the pinned
one's successor, if the pinned one says so. It registers nothing and does not connect again: the client and
the keeper do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from comity import limits
from comity.errors import (
    ComityError,
    IdentityMismatch,
    LinkLost,
    PeerUnreachable,
    RemoteProtocolError,
    TimedOut,
)
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.protocol.succession import LINEAGE_REQUEST, Lineage
from comity.transport.channel import SecureChannel
from comity.transport.rendezvous_connection import FrameChannel
from comity.transport.tls import Credentials
from comity.transport.way import NothingBehind, Way
from comity.transport.wire import UpgradeRefused

#: Told of the keys that a rendezvous has had, once they lead from the pinned one to the one of now.
OnLineage = Callable[[Lineage], None]

#: What says that no rendezvous is there in this form; in the other one it may be. Not an IdentityMismatch:
#: then one is there, with another key.
_NOT_IT = (RemoteProtocolError, LinkLost, TimedOut, UpgradeRefused)
_HINT = "run comity doctor: it says what answers there, and what to ask for"


@dataclass
class PinnedConnector:
    """Opens the way, and pinned TLS, to the server that a join URL names. Raises what both raise.

    Where something else answers, it tries the other form of the way. Where the server has another key, it may
    show that the pinned one has named that its successor; the pin follows then, and ``followed`` is told.
    """

    join: JoinUrl
    credentials: Credentials
    way: Way
    followed: OnLineage

    async def __call__(self) -> FrameChannel:
        try:
            return await self._reach()
        except IdentityMismatch:
            lineage = await ask_lineage(self.way, self.join.fingerprint)
            newest = lineage.follow(self.join.fingerprint, self.join.named)
            if newest == self.join.fingerprint:
                raise
            self.join = replace(self.join, fingerprint=newest, first=self.join.named)
        channel = await self._reach()
        self.followed(lineage)
        return channel

    async def _reach(self) -> FrameChannel:
        """In the form that worked last, else in the other one."""
        try:
            return await self._connect()
        except NothingBehind:
            raise
        except _NOT_IT as error:
            first = error
        self.way.wrapped = not self.way.wrapped
        try:
            return await self._connect()
        except (NothingBehind, IdentityMismatch):  # this is the form, then
            raise
        except ComityError as second:
            self.way.wrapped = not self.way.wrapped
            raise _explained(self.way, first, second) from second

    async def _connect(self) -> FrameChannel:
        sock = await self.way.open(limits.CONNECT_TIMEOUT)
        channel = await SecureChannel.connect(sock, self.credentials, self.join.fingerprint)
        channel.via = self.way.via
        return channel


async def ask_lineage(way: Way, known: Fingerprint) -> Lineage:
    """What the server says of its keys since ``known``; an empty one where it says nothing that can be
    understood. Raises what ``Way.open`` raises.
    """
    sock = await way.open(limits.CONNECT_TIMEOUT)
    with sock:
        loop = asyncio.get_running_loop()
        said = b""
        try:
            async with asyncio.timeout(limits.PREFACE_TIMEOUT):
                await loop.sock_sendall(sock, LINEAGE_REQUEST + f"{known}\n".encode())
                while len(said) <= limits.RENDEZVOUS_LINEAGE_BYTES:
                    more = await loop.sock_recv(sock, 64 * limits.KIB)
                    if not more:
                        return Lineage.parse(said)
                    said += more
        except (OSError, TimeoutError, RemoteProtocolError):
            pass  # then the mismatch stands, and is what there is to tell
    return Lineage()


def _explained(way: Way, first: ComityError, second: ComityError) -> ComityError:
    """Why neither form of the way led to the rendezvous, as the first one's error."""
    if isinstance(second, PeerUnreachable) and not isinstance(second, UpgradeRefused):
        return first  # it went away in between
    forms = ("directly", "inside a websocket")[:: -1 if way.wrapped else 1]
    said = "; ".join(f"{form}: {error.message}" for form, error in zip(forms, (first, second), strict=True))
    return type(first)(f"{way.authority} does not answer as a rendezvous: {said}", hint=_HINT)
