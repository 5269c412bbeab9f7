"""One round's models: who handed a fit one in, and when to wait no longer.

A site counts once, under its key, with the first fit model that it sent in this round; what doesn't fit is
refused and spoils nothing. What a site claims about itself, its number of images, is bounded.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import comity
from comity.sdk import averaging

#: Nobody's model weighs more than if it came from so many images.
IMAGES_MOST = 10_000


@dataclass
class Collection:
    """``expected``: fingerprints; ``name``: of this round's models; ``like``: what they go on from."""

    expected: frozenset[str]
    quorum: int
    name: str
    like: Path
    found: dict[str, averaging.Contribution] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    @property
    def contributions(self) -> list[averaging.Contribution]:
        """What counts, in an order that doesn't depend on who was first."""
        return [self.found[key] for key in sorted(self.found)]

    @property
    def complete(self) -> bool:
        """Whether nobody is missing."""
        return self.expected <= set(self.found)

    def wants(self, file: comity.control.ReceivedFile) -> bool:
        """Whether a file may be a model of this round."""
        return file.name == self.name and file.fingerprint in self.expected - set(self.found)

    def take(self, file: comity.control.ReceivedFile) -> None:
        """Count a model that it ``wants``, if it fits."""
        try:
            averaging.check(file.path, like=self.like)
            images = int(averaging.metadata_of(file.path).get("images", ""))
            if not 1 <= images <= IMAGES_MOST:
                raise comity.errors.InvalidWeights(f"{file.name} claims to be made from {images} images")
        except (comity.errors.InvalidWeights, ValueError) as error:
            self.refused.append(f"{file.from_}: {error}")
        else:
            self.found[file.fingerprint] = averaging.Contribution(file.path, images)


async def collect(node: comity.AsyncNode, collection: Collection, deadline: float, give_up: float) -> None:
    """Return once all are there, or after ``deadline`` seconds with a quorum; TimeoutError after ``give_up``
    seconds more without one.
    """
    enough = asyncio.Event()

    async def receive() -> None:
        async with aclosing(node.arrivals(past=True)) as arrivals:
            async for file in arrivals:
                if collection.wants(file):
                    await asyncio.to_thread(collection.take, file)
                if len(collection.found) >= collection.quorum:
                    enough.set()
                if collection.complete:
                    return

    receiving = asyncio.create_task(receive())
    try:
        await asyncio.wait({receiving}, timeout=deadline)
        if not receiving.done() and not enough.is_set():
            async with asyncio.timeout(give_up):
                await enough.wait()
    finally:
        if receiving.done():
            receiving.result()
        receiving.cancel()
        with suppress(asyncio.CancelledError):
            await receiving
