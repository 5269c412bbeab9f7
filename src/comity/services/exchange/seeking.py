"""While a transfer runs by the relay: look for a better path, and let the transfer move there.

The relay carries bytes from the first moment; what is better comes later, by a punch that took longer or an
address that the peer only now told. A peer that doesn't know how to join a transfer refuses, and is not asked
again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from comity import limits
from comity.errors import ComityError, PeerRefused, RemoteProtocolError
from comity.protocol.exchange.messages import Accept, Join, Offer, encode_message, parse_message
from comity.protocol.hello import EXCHANGE_PORT
from comity.protocol.paths import path_rank
from comity.services.exchange.moving import MovingLane
from comity.services.exchange.surroundings import Surroundings

log = logging.getLogger("comity.exchange")

_PURPOSE = "better path"


@asynccontextmanager
async def seeking(around: Surroundings, offer: Offer, lane: MovingLane) -> AsyncIterator[None]:
    """Look for a better path than the lane's for the length of the block."""
    search = asyncio.create_task(_search(around, offer, lane))
    try:
        yield
    finally:
        search.cancel()
        await asyncio.wait([search])


async def _search(around: Surroundings, offer: Offer, lane: MovingLane) -> None:
    pause = limits.SEEK_FIRST
    while path_rank(lane.info.path) > path_rank("punched"):
        await asyncio.sleep(pause)
        pause = min(2 * pause, limits.SEEK_MOST)
        try:
            if await _try(around, offer, lane):
                return
        except (PeerRefused, RemoteProtocolError) as error:
            log.info("transfer stays on its path", extra={"fields": _about(offer, lane, error)})
            return
        except ComityError as error:
            log.debug("no better path yet", extra={"fields": _about(offer, lane, error)})


async def _try(around: Surroundings, offer: Offer, lane: MovingLane) -> bool:
    """Whether the transfer moves. What ``Network.dial`` raises; LinkLost, RemoteProtocolError."""
    stream = await around.network.dial(
        lane.peer,
        EXCHANGE_PORT,
        agreement=offer.agreement,
        charter=offer.charter,
        purpose=_PURPOSE,
        better_than=lane.info.path,
    )
    moved = False
    try:
        async with asyncio.timeout(around.patience):
            await stream.send(encode_message(Join(transfer=offer.transfer)))
            answer = await stream.receive()
        if answer is None or not isinstance(parse_message(answer), Accept):
            raise RemoteProtocolError("the peer does not let the transfer move")
        moved = lane.move(stream.lane())
    except TimeoutError:
        return False
    finally:
        if not moved:
            stream.abort()
    if moved:
        log.info("transfer moves", extra={"fields": _about(offer, lane) | {"to": stream.info.path}})
    return moved


def _about(offer: Offer, lane: MovingLane, error: ComityError | None = None) -> dict[str, object]:
    about: dict[str, object] = {"peer": lane.peer.fingerprint.short, "transfer": offer.transfer}
    return about | {"path": lane.info.path} | ({"why": error} if error else {})
