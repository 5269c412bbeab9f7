"""A hostile partner's daemon: an ordinary node that also tells its peer to dial and punch whatever it names.

    python -m tests.natlab.hostile PEER FILE

FILE holds a JSON list of orders: ``{"say": "reachability", "candidates": […]}`` or ``{"say": "punch",
"local": […], "observed": […]}``, told in that order over the session with PEER (a public key in hex), signed
as the real node signs. It prints "told" after the last, and goes on until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from comity import limits
from comity.identity.keys import PublicKey
from comity.node.build import build
from comity.node.config import Flags, settle
from comity.node.parts import Node
from comity.protocol.statements import Punch, Reachability
from comity.storage.home import Home

_SECONDS = 20.0


async def main(peer: PublicKey, orders: list[dict[str, Any]]) -> None:
    home = Home.from_environment(os.environ)
    built = build(home, settle(Flags(), os.environ, home.read_config()))
    node = built.node
    await node.network.start()
    life = (node.sessions.run(node.trust), node.presence.run(), node.rendezvous.run())
    running = [asyncio.create_task(part) for part in life]
    try:
        if not await node.sessions.wait_up(peer, _SECONDS):
            raise TimeoutError("no session with the peer")
        for order in orders:
            await _tell(node, peer, order)
        print("told", flush=True)  # noqa: T201  this program's output
        await asyncio.to_thread(sys.stdin.read)
    finally:
        for part in running:
            part.cancel()
        await asyncio.wait(running)
        await node.network.close()
        node.audit.close()
        built.db.close()


async def _tell(node: Node, peer: PublicKey, order: dict[str, Any]) -> None:
    if order["say"] == "reachability":
        told = node.notary.pair(
            Reachability,
            peer,
            limits.REACHABILITY_LIFETIME,
            candidates=tuple(order["candidates"]),
            answer=False,
        )
        await node.sessions.tell(peer, told)
        return
    call = os.urandom(16).hex()
    steps = (("call", tuple(order["local"]), tuple(order["observed"])), ("go", (), ()))
    for step, local, observed in steps:
        word = node.notary.pair(
            Punch, peer, limits.PUNCH_LIFETIME, call=call, step=step, local=local, observed=observed
        )
        await node.sessions.tell(peer, word)


if __name__ == "__main__":
    asyncio.run(main(PublicKey.from_hex(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
