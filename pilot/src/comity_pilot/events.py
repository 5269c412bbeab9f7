"""Events: publish, subscribe. A subscription remembers what its topic's last one has shown, and returns after
one event, so that a script can wait for its partner.
"""

from __future__ import annotations

import click

from comity.cli.commands import command, seconds
from comity.cli.output import Output
from comity.control import EventData, Notice, PublishRequest, SubscribeRequest
from comity.sdk import events as sdk
from comity.sdk.client import Client
from comity_pilot.received import show_received


@command("publish", example="pilotctl publish training/round-complete --data '{\"round\": 3}'")
@click.argument("topic")
@click.option("--data", default="", metavar="TEXT", help="What to say; JSON, if you like.")
@click.pass_obj
def publish(output: Output, topic: str, data: str) -> None:
    """Publish an event under TOPIC to every trusted peer."""
    result = sdk.publish(Client(), PublishRequest(events=(EventData(topic, data),)))
    output.show(result, [f"Published: {topic}"])


@command("subscribe", example="pilotctl subscribe training/weights-ready")
@click.argument("topic")
@click.option("--count", type=click.IntRange(0), default=1, show_default=True, help="How many; 0: no end.")
@click.option("--timeout", type=seconds, metavar="S", help="How many seconds to wait at most.")
@click.pass_obj
def subscribe(output: Output, topic: str, count: int, timeout: float | None) -> None:
    """Wait for an event of a trusted peer under TOPIC, and print it; also one from before."""
    client = Client()
    request = SubscribeRequest(topic=topic, consumer=f"pilot:{topic}")

    def note(notice: Notice) -> None:
        if notice.state == "waiting":
            output.note(f"waiting for {notice.peer}: {notice.problem}")

    with sdk.subscribe(client, request, timeout=timeout, notice=note) as events:
        left = count or None
        while left is None or left > 0:
            event = next(events)
            output.show(event, [f"[{event.topic}] {event.from_}: {event.data}"])
            left = None if left is None else left - 1
    show_received(client, output)
