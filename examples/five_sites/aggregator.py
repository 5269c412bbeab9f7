"""The aggregator: approves the sites that it was told to expect, and leads them through rounds.

    python aggregator.py --home HOME --sites sites.json --model untrained.safetensors --work DIR --rounds 5

``sites.json`` holds the sites' names and fingerprints, compared by phone. In each round the global model
goes to every site; who hands a fit model in before the deadline counts. With a quorum the round closes then,
sooner if nobody is missing. One JSON line is printed for each round. Killed and started again, it goes on
after the last round that it completed. It knows no data and no model: the sites go on from whatever
safetensors file it was given, of which it holds no more than a few megabytes in memory at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collecting import Collection, collect

import comity
from comity.sdk import averaging

_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 1.0


def main() -> None:
    """Read the arguments, and lead the study."""
    parser = argparse.ArgumentParser(description="the aggregator of the study")
    parser.add_argument("--home", type=Path, required=True, help="the home of this node")
    parser.add_argument("--sites", type=Path, required=True, help="names and fingerprints of the sites")
    parser.add_argument("--model", type=Path, required=True, help="what the first round starts from")
    parser.add_argument("--work", type=Path, required=True, help="a folder for global models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quorum", type=int, default=3, help="how many sites make a round")
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds that a round is open")
    parser.add_argument(
        "--give-up", type=float, default=600.0, help="seconds to wait for a quorum after that"
    )
    parser.add_argument("--epochs", type=int, default=3, help="passes over a site's images in a round")
    asyncio.run(lead(parser.parse_args()))


async def lead(chosen: argparse.Namespace) -> None:
    """All rounds that are not done yet, while sites may come and go."""
    sites: dict[str, str] = json.loads(chosen.sites.read_text(encoding="utf-8"))
    first = global_model(chosen.work, 0)
    if not first.exists():
        shutil.copyfile(chosen.model, first)
    async with comity.connect_async(chosen.home) as node:
        admission = asyncio.create_task(admit(node, sites))
        try:
            with suppress(TimeoutError):
                await until_there_are(node, len(sites), chosen.deadline)
            await until_there_are(node, chosen.quorum, chosen.give_up)
            for number in range(1, chosen.rounds + 1):
                if not global_model(chosen.work, number).exists():
                    await lead_round(node, sites, chosen, number)
            await hand_out(node, sites, global_model(chosen.work, chosen.rounds), chosen.deadline)
            await node.publish("study/over", "{}")
        finally:
            admission.cancel()
            await asyncio.wait({admission})


async def admit(node: comity.AsyncNode, sites: dict[str, str]) -> None:
    """Approve who is expected, under the fingerprint that is expected, whenever they ask. Others wait."""
    while True:
        for request in await node.pending():
            if sites.get(request.hostname) == request.fingerprint:
                await node.approve(
                    request.hostname,
                    fingerprint=request.fingerprint,
                    digest=request.digest,
                    allow=("exchange", "events"),
                    wait=0.0,
                )
                say(approved=request.hostname, why=request.justification)
        await asyncio.sleep(_LOOK_SECONDS)


async def until_there_are(node: comity.AsyncNode, count: int, seconds: float) -> None:
    """Return once so many agreements are in force; TimeoutError."""
    ends = time.monotonic() + seconds
    while len(await node.trusted()) < count:
        if time.monotonic() > ends:
            raise TimeoutError(f"fewer than {count} sites have an agreement")
        await asyncio.sleep(_LOOK_SECONDS)


async def lead_round(
    node: comity.AsyncNode, sites: dict[str, str], chosen: argparse.Namespace, number: int
) -> None:
    """Hand the model out, collect what comes back, write the mean."""
    began = time.monotonic()
    before, after = global_model(chosen.work, number - 1), global_model(chosen.work, number)
    say(opened=number)
    trusted = {peer.fingerprint for peer in await node.trusted()}
    expected = {name: key for name, key in sites.items() if key in trusted}
    closes = datetime.fromtimestamp(time.time() + chosen.deadline, UTC).isoformat(timespec="milliseconds")
    opening = json.dumps({"round": number, "model": before.name, "closes": closes, "epochs": chosen.epochs})
    handing = asyncio.create_task(hand_out(node, expected, before, chosen.deadline))
    await node.publish("study/open", opening)
    collection = Collection(
        frozenset(expected.values()), chosen.quorum, f"round-{number}.safetensors", before
    )
    await collect(node, collection, chosen.deadline, chosen.give_up)
    handing.cancel()
    await asyncio.wait({handing})
    made = await asyncio.to_thread(
        averaging.weighted_mean, collection.contributions, after, like=before, metadata={"round": str(number)}
    )
    for contribution in collection.contributions:
        os.unlink(contribution.path)  # what a site sent is kept no longer than it is needed
    names = {key: name for name, key in sites.items()}
    took = sorted(names[key] for key in collection.found)
    missing = sorted(set(sites) - set(took))
    result: dict[str, Any] = {"round": number, "digest": made.digest, "sites": took, "missing": missing}
    await node.publish("study/closed", json.dumps(result))
    say(**result, refused=collection.refused, seconds=round(time.monotonic() - began, 2))


async def hand_out(node: comity.AsyncNode, sites: Iterable[str], model: Path, seconds: float) -> None:
    """Send the model to every site at once, again to who is away, for so many ``seconds``."""

    async def send(name: str) -> None:
        problem = ""
        while True:
            try:
                await node.send(name, model)
            except comity.errors.ComityError as error:
                if error.code != problem:
                    problem = error.code
                    say(unreached=name, problem=str(error))
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(send(name) for name in sites))


def global_model(work: Path, number: int) -> Path:
    """The global model after that round; before the first one, the untrained model."""
    return work / f"global-{number}.safetensors"


def say(**what: object) -> None:
    """One line for whoever watches."""
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
