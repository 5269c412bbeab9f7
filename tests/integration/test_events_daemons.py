"""Events between two real daemons: a killed broker loses and reorders nothing that was published."""

from __future__ import annotations

import threading

import pytest

from comity.control import EventData, PublishRequest, SubscribeRequest
from comity.errors import ComityError
from comity.sdk import events
from comity.sdk.client import Client
from tests.node_processes import Lab, agree, site

TOPIC = "training/weights-ready"


def client(lab: Lab) -> Client:
    return Client(lab.home, environ=lab.environ)


def say(lab: Lab, *data: str) -> None:
    events.publish(client(lab), PublishRequest(tuple(EventData(TOPIC, each) for each in data)))


def read(lab: Lab, count: int) -> list[str]:
    request = SubscribeRequest(TOPIC, consumer="test")
    with events.subscribe(client(lab), request, timeout=40) as subscription:
        return [next(subscription).data for _ in range(count)]


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_reordered_when_the_broker_is_killed() -> None:
    with site() as place:
        a, b = place.lab("lab-a"), place.lab("lab-b")
        a.up()
        b.up("--listen", "127.0.0.1:0")
        agree(a, b)
        say(b, "before")
        assert read(a, 1) == ["before"]
        acknowledged: list[int] = []

        def publish_until_killed() -> None:
            number = 0
            while True:
                batch = range(number, number + 20)
                try:
                    say(b, *map(str, batch))
                except ComityError:
                    return
                number += 20
                acknowledged.append(number)

        publishing = threading.Thread(target=publish_until_killed)
        publishing.start()
        assert read(a, 300) == [str(number) for number in range(300)]
        b.kill()
        publishing.join(30)
        assert not publishing.is_alive()
        b.up("--listen", "127.0.0.1:0")
        left = acknowledged[-1] - 300
        assert read(a, left) == [str(number) for number in range(300, acknowledged[-1])]
