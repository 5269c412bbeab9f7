"""A node that moves bytes from memory to nowhere over a lane: what a path itself carries, files left out.

    python -m ways.pipe receive               until its standard input ends
    python -m ways.pipe send PEER             for each line, a number of bytes, sends so many, and prints
                                              {"path", "first_byte", "seconds"}; PEER: key in hex

It is the daemon of the home in ``COMITY_HOME`` without its command line; port 1001 carries the bytes, so the
agreement, the guard, the paths and TLS are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import suppress

from comity.identity.keys import PublicKey
from comity.node.assembly import Node
from comity.node.build import build
from comity.node.config import Flags, settle
from comity.protocol.hello import EXCHANGE_PORT
from comity.storage.home import Home
from comity.transport.interface import Lane, Stream

PIECE = 1 << 22
SECONDS = 20.0


async def swallow(stream: Stream) -> None:
    async with stream:
        lane = stream.lane()

        def work() -> None:
            while lane.receive() is not None:
                pass
            lane.finish()

        await asyncio.to_thread(work)


async def pour(node: Node, peer: PublicKey, size: int) -> dict[str, object]:
    if not await node.sessions.wait_up(peer, SECONDS):
        sys.exit("no session with the peer")
    await asyncio.sleep(1.5)  # a session that the relay carries tries to move
    known = node.trust.known(peer)
    if known is None:
        sys.exit("no agreement with the peer")
    began = time.monotonic()
    async with await node.network.dial(peer, EXCHANGE_PORT, agreement=known.agreement.digest) as stream:
        first = time.monotonic() - began
        path, lane = stream.info.path, stream.lane()
        await asyncio.to_thread(_pour, lane, size)
    return {"path": path, "first_byte": first, "seconds": time.monotonic() - began}


def _pour(lane: Lane, size: int) -> None:
    zeros = memoryview(bytes(PIECE))
    for at in range(0, size, PIECE):
        lane.send(zeros[: min(PIECE, size - at)])
    lane.finish()  # returns once the other side has read it all


async def main() -> None:
    home = Home.from_environment(os.environ)
    listen = os.environ.get("PIPE_LISTEN")
    built = build(home, settle(Flags(listen=listen), os.environ, home.read_config()))
    node = built.node
    node.network.serve(EXCHANGE_PORT, swallow)
    await node.network.start()
    life = (node.sessions.run(node.trust), node.presence.run(), node.rendezvous.run())
    running = [asyncio.create_task(part) for part in life]
    try:
        if sys.argv[1] == "send":
            peer = PublicKey.from_hex(sys.argv[2])
            while line := await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(await pour(node, peer, int(line))), flush=True)
        else:
            await asyncio.to_thread(sys.stdin.read)
    finally:
        node.sessions.stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running[0]), 5)
        for part in running:
            part.cancel()
        await asyncio.wait(running)
        await node.network.close()
        node.audit.close()
        built.db.close()


if __name__ == "__main__":
    asyncio.run(main())
