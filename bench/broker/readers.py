"""Many identities in one process, each a whole node on real sockets: what ``bench/events.py`` publishes to.

They are wired as the daemon wires itself, with key, database, registration and tunnel each; only the control
API is missing. Fifty daemons as processes would take four gigabytes and measure the machine's patience.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

from comity import control, limits
from comity.node.build import Built, build
from comity.node.config import Flags, settle
from comity.sdk.home import card, init
from comity.storage.home import Home

_PATIENCE = 120.0


async def main() -> None:
    logging.disable(logging.WARNING)  # links that are tried a moment too early, and tried again
    folder, join, identities, count = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    nodes = [made(folder / f"reader-{number}", f"reader-{number}", join) for number in range(identities)]
    async with asyncio.TaskGroup() as tasks:
        running = [job for built in nodes for job in await started(built, tasks)]
        cards = [str(card(folder / f"reader-{number}").card) for number in range(identities)]
        print(json.dumps(cards), flush=True)
        await asyncio.gather(*(trusted(built) for built in nodes))
        print("trusted", flush=True)
        done = await asyncio.gather(*(read(built, count) for built in nodes))
        print(json.dumps({"first": min(done), "last": max(done)}), flush=True)
        for job in running:
            job.cancel()
    for built in nodes:
        await built.node.network.close()
        built.node.exchange.stop()
        built.node.audit.close()
        built.db.close()


def made(path: Path, hostname: str, join: str) -> Built:
    init(control.InitRequest(hostname=hostname, join=join), home=path)
    home = Home(path)
    return build(home, settle(Flags(), os.environ, home.read_config()))


async def started(built: Built, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
    """Everything that the daemon starts; once registered."""
    node = built.node
    for service in (node.trust, node.exchange, node.events, node.forwarding):
        service.start()
    await node.network.start()
    jobs = (node.sessions.run(node.trust), node.presence.run(), node.rendezvous.run())
    running = [tasks.create_task(job) for job in jobs]
    async with asyncio.timeout(30):
        while node.presence.state != "registered":
            await node.presence.changed.wait()
    return running


async def trusted(built: Built) -> None:
    """Approve the broker, once it asks."""
    async with asyncio.timeout(_PATIENCE):
        while not (await built.node.trust.answering.pending()).pending:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.1)
        await built.node.trust.answering.approve(control.ApproveRequest(peer="bench-broker"))


async def read(built: Built, count: int) -> float:
    """When this identity had all of them, in their order, acknowledged."""
    request = control.SubscribeRequest("bench/many", consumer="bench")
    found = 0
    async with built.node.events.subscribe(request) as subscription:
        async for batch in subscription.batches():
            if isinstance(batch, control.Notice):
                continue
            for event in batch:
                if int(event.data[:8]) != found:
                    raise SystemExit(f"{event.data[:8]} came, and {found} was to come")
                found += 1
            noted = await subscription.acknowledge((batch[-1].cursor,), limits.EVENTS_ACKNOWLEDGE_TIMEOUT)
            if found == count:
                if not noted:
                    raise SystemExit("an acknowledgement was not noted")
                return time.time()
    raise SystemExit("the subscription ended early")


if __name__ == "__main__":
    asyncio.run(main())
