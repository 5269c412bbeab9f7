"""Events: publish, subscribe."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli import wording
from comity.cli.commands import command, seconds
from comity.cli.output import Output
from comity.control import Event, EventData, Notice, PublishRequest, PublishResult, SubscribeRequest
from comity.errors import TimedOut
from comity.sdk import events as sdk
from comity.sdk.client import Client


@command("publish", example="comity publish training/round-complete --data '{\"round\": 3}'")
@click.argument("topic")
@click.option("--data", default="", metavar="TEXT", help="What to say; JSON, if you like.")
@click.option("--to", metavar="PEER", help="Only for this peer, and kept by its node.")
@click.pass_obj
def publish(output: Output, topic: str, data: str, to: str | None) -> None:
    """Publish an event under TOPIC to every trusted peer, and return once it is on disk."""
    result = sdk.publish(Client(), PublishRequest(events=(EventData(topic, data),), to=to))
    output.show(result, _published(topic, result))


@command("subscribe", example="comity subscribe training/weights-ready --count 1 --timeout 600")
@click.argument("topic")
@click.option("--from", "peer", metavar="PEER", help="Only events of this peer; of all trusted ones if not.")
@click.option("--consumer", metavar="NAME", help="Whose place to go on from; one per topic if not given.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many events.")
@click.option("--timeout", type=seconds, metavar="S", help="How many seconds to listen at most.")
@click.option("--since", metavar="CURSOR", help="Go back, or on, to after this event; or: beginning.")
@click.pass_obj
def subscribe(
    output: Output,
    topic: str,
    peer: str | None,
    consumer: str | None,
    count: int | None,
    timeout: float | None,
    since: str | None,
) -> None:
    """Print events of trusted peers under TOPIC, one a line, those from before included.

    TOPIC may be a pattern: training/* for one level, training/** for all below. An event that was printed
    does not come again to the same consumer.
    """
    request = SubscribeRequest(
        topic=topic, consumer=consumer or f"subscribe:{topic}", from_=peer, since=since
    )

    def note(notice: Notice) -> None:
        if notice.state == "waiting":
            output.note(f"waiting for {notice.peer}: {notice.problem}")

    with sdk.subscribe(Client(), request, timeout=timeout, notice=note) as events:
        left = count
        while left is None or left > 0:
            try:
                event = next(events)
            except TimedOut:
                if count is None:
                    return
                raise
            output.show(event, [_line(event)])
            left = None if left is None else left - 1


def _published(topic: str, result: PublishResult) -> Iterator[str]:
    if result.stored == "peer":
        yield f"Published to {result.to}: {topic}"
    elif result.to is not None:
        yield f"Published for {result.to}, which is not to be reached now and will read it here: {topic}"
    elif not result.audience:
        yield f"Published to nobody: {topic}"
        yield "No agreement or charter lets a peer read it: see comity trust, and comity charter status"
    else:
        yield f"Published to {result.audience} trusted peer{'s' * (result.audience != 1)}: {topic}"


def _line(event: Event) -> str:
    return f"{wording.moment(event.at)}  {event.from_}  {event.topic}  {event.data}"
