"""A broker that is killed again and again while it is published to and read: what was acknowledged is there.

``COMITY_EVENT_KILLS`` sets how often; a few times by default.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from functools import partial

import pytest

from comity.errors import ComityError
from comity.sdk.connection import connect
from tests.labs import Lab, eventually
from tests.region import agree, region

KILLS = int(os.environ.get("COMITY_EVENT_KILLS", "3"))
TOPICS = ("kills/one", "kills/two", "kills/three")
BATCH = 15
BETWEEN = 150  # events from one kill to the next, at least
#: Published last, so it comes after everything. A number can't tell the end: a batch whose answer was lost is
#: read once for each try that was stored, and only the last try was acknowledged.
END = "end"

#: A number, and which try of its publication it was.
Said = tuple[int, int]


def published(said: Said) -> tuple[int, int, int]:
    """The order in which it was published: a batch whose answer was lost may be there twice, once a try."""
    return said[0] // BATCH, said[1], said[0]


@dataclass
class Publisher:
    """Publishes numbers without end, round the topics; a batch that failed is published again."""

    lab: Lab
    acknowledged: list[Said] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        number, attempt = 0, 0
        while not self.stopping.is_set():
            batch = [(each, attempt) for each in range(number, number + BATCH)]
            try:
                with (
                    connect(self.lab.home, environ=self.lab.environment) as node,
                    node.publisher() as publisher,
                ):
                    for said in batch:
                        publisher.publish(TOPICS[said[0] % len(TOPICS)], "{}:{}".format(*said))
            except ComityError:
                attempt += 1
                self.stopping.wait(0.05)
            else:
                self.acknowledged += batch
                number, attempt = number + BATCH, 0


@dataclass
class Reader:
    """Reads until it is told that there is no more."""

    lab: Lab
    found: dict[str, list[Said]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    ended: bool = False

    @property
    def count(self) -> int:
        return sum(map(len, self.found.values()))

    def has(self, count: int) -> bool:
        return self.count >= count

    def run(self) -> None:
        with (
            connect(self.lab.home, environ=self.lab.environment) as node,
            node.subscribe("kills/*", consumer="test", timeout=100) as events,
        ):
            for event in events:
                if event.data == END:
                    self.ended = True
                    return
                number, _, attempt = event.data.partition(":")
                self.found[event.topic].append((int(number), int(attempt)))


@pytest.mark.timeout(300)
def test_nothing_is_lost_repeated_or_reordered_over_several_kills() -> None:
    with region() as here:
        reading = here.lab("lab-a")
        broker = here.lab("lab-b", up=("--listen", "127.0.0.1:0"))
        agree(reading, broker)
        publisher, reader = Publisher(broker), Reader(reading)
        threads = [threading.Thread(target=each.run) for each in (publisher, reader)]
        for thread in threads:
            thread.start()
        for _ in range(KILLS):
            more = reader.count + BETWEEN
            eventually(partial(reader.has, more), "events go through")
            broker.kill()
            broker.up("--listen", "127.0.0.1:0")
        publisher.stopping.set()
        threads[0].join(60)
        assert not threads[0].is_alive()
        broker.ask("publish", TOPICS[0], "--data", END)
        threads[1].join(100)
        assert reader.ended
        assert not threads[1].is_alive()
        for topic, found in reader.found.items():
            assert found == sorted(set(found), key=published), f"{topic}: out of order, or twice"
            promised = [said for said in publisher.acknowledged if TOPICS[said[0] % len(TOPICS)] == topic]
            assert promised
            assert set(promised) <= set(found), f"{topic}: lost"
