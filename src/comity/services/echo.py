"""Port 7: whatever a trusted peer sends comes back, so that a path can be measured (RFC 862's idea).

It keeps nothing and reads nothing into what it returns.
"""

from __future__ import annotations

import asyncio

from comity import limits
from comity.errors import TimedOut
from comity.transport.interface import Stream


async def echo(stream: Stream) -> None:
    """Answer one stream until the peer ends it; TimedOut where nothing comes for ``limits.LINK_IDLE``."""
    async with stream:
        while (body := await _next(stream)) is not None:
            await stream.send(body)


async def _next(stream: Stream) -> bytes | None:
    try:
        async with asyncio.timeout(limits.LINK_IDLE):
            return await stream.receive()
    except TimeoutError:
        raise TimedOut(f"nothing came for {limits.LINK_IDLE:g} seconds") from None
