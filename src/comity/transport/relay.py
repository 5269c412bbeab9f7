"""The relay's path: two outbound connections that the rendezvous joins blindly (SECURITY.md rule 8).

The side that asks gets a ticket and the other is offered one; each redeems its own with a preface and waits
for the relay's word that both are there. What follows is the two peers' own TLS, end to end, of which the
relay can read nothing. It splices no bytes itself: that is the rendezvous's half.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from comity import limits
from comity.entropy import Entropy
from comity.errors import PeerUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.registry import RELAY_PREFACE, RELAY_READY
from comity.transport.bounds import Bounds
from comity.transport.interface import PathName, TicketOffice
from comity.transport.paths import Attempt, Connected
from comity.transport.way import Way

_CALL_BYTES = 16


class RelayPath:
    """The dialler's side: ask for a ticket, redeem it on the ``way`` to where a peer is met."""

    path: PathName = "relay"

    def __init__(
        self, office: TicketOffice, way: Callable[[PublicKey], Way], entropy: Entropy, bounds: Bounds
    ) -> None:
        self._office = office
        self._way = way
        self._entropy = entropy
        self._bounds = bounds

    def attempts(self, peer: PublicKey) -> Sequence[Attempt]:
        async def open_lane() -> Connected:
            ticket = await self._office.ask_relay(peer, self._entropy.token(_CALL_BYTES))
            return Connected(await redeem(self._way(peer), ticket, self._bounds), "relay")

        return [Attempt("relay", open_lane)]


async def redeem(way: Way, ticket: bytes, bounds: Bounds) -> socket.socket:
    """A connection to whoever holds the other ticket, through the relay at ``way``'s end, before any TLS.

    PeerUnreachable where the relay can't be reached, doesn't take the ticket, or the other side doesn't come;
    ProxyFailed where a proxy doesn't open the way.
    """
    authority = way.authority
    if len(ticket) != limits.TICKET_BYTES:
        raise PeerUnreachable(f"{authority}: the rendezvous gave a ticket of {len(ticket)} bytes")
    sock = await way.open(bounds.connect)
    try:
        async with asyncio.timeout(bounds.relay_ready):
            await asyncio.get_running_loop().sock_sendall(sock, RELAY_PREFACE + ticket.hex().encode() + b"\n")
            await _expect_ready(sock)
    except TimeoutError:
        sock.close()
        raise PeerUnreachable(f"{authority}: the other side did not come to the relay") from None
    except OSError as error:
        sock.close()
        raise PeerUnreachable(f"{authority}: the relay failed: {error.strerror or error}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _expect_ready(sock: socket.socket) -> None:
    """Read the relay's word and not a byte more: what follows is TLS."""
    answer = b""
    while len(answer) < len(RELAY_READY):
        more = await asyncio.get_running_loop().sock_recv(sock, len(RELAY_READY) - len(answer))
        if not more:
            raise ConnectionAbortedError("it does not take the ticket")
        answer += more
    if answer != RELAY_READY:
        raise ConnectionAbortedError("it answers something else")
