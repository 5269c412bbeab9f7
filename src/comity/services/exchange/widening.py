"""While a large transfer runs over a long line: open more lanes, and let the transfer spread over them.

One connection carries what its kernel's memory allows in a round trip: some megabytes, whatever the line
could carry (measured: docs, decisions, "Several lanes"). Bytes flow on the first lane meanwhile; a peer that
takes one only, or a lane that can't be opened, costs nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from comity.errors import ComityError, RemoteProtocolError
from comity.protocol.exchange.lanes import lanes_wanted
from comity.protocol.exchange.messages import Accept, Join, Offer, encode_message, parse_message
from comity.protocol.hello import EXCHANGE_PORT
from comity.protocol.paths import path_rank
from comity.services.exchange.spreading import SpreadLane
from comity.services.exchange.surroundings import Surroundings

log = logging.getLogger("comity.exchange")

_PURPOSE = "several lanes"


@asynccontextmanager
async def widening(around: Surroundings, offer: Offer, lane: SpreadLane, allowed: int) -> AsyncIterator[None]:
    """Look for more lanes for the length of the block, if the transfer is worth them."""
    wanted = lanes_wanted(offer.bytes, lane.round_trip, lane.info.path, allowed)
    opening = asyncio.create_task(_open(around, offer, lane, wanted - 1))
    try:
        yield
    finally:
        opening.cancel()
        await asyncio.wait([opening])


async def _open(around: Surroundings, offer: Offer, lane: SpreadLane, count: int) -> None:
    opened = await asyncio.gather(*(_add(around, offer, lane, number) for number in range(1, count + 1)))
    lane.spread()
    if any(opened):
        fields = {"peer": lane.peer.fingerprint.short, "transfer": offer.transfer, "lanes": 1 + sum(opened)}
        log.info("transfer spreads", extra={"fields": fields})


async def _add(around: Surroundings, offer: Offer, lane: SpreadLane, number: int) -> bool:
    """Whether there is one more lane."""
    try:
        stream = await around.network.dial(
            lane.peer, EXCHANGE_PORT, agreement=offer.agreement, charter=offer.charter, purpose=_PURPOSE
        )
        added = False
        try:
            if path_rank(stream.info.path) <= path_rank("punched"):
                async with asyncio.timeout(around.patience):
                    await stream.send(encode_message(Join(transfer=offer.transfer, number=number)))
                    answer = await stream.receive()
                if answer is None or not isinstance(parse_message(answer), Accept):
                    raise RemoteProtocolError("the peer takes no further lane")
                added = lane.add(stream.lane(), number)
        finally:
            if not added:
                stream.abort()
        return added
    except (ComityError, TimeoutError) as error:
        log.info("no further lane", extra={"fields": {"transfer": offer.transfer, "why": error}})
        return False
