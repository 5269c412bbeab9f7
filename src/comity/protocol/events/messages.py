"""What is said on a stream to port 1002: one JSON message a DATA frame, tagged by ``type`` (docs: protocol,
"Events", messages).

    reader → broker       SUBSCRIBE   ACKNOWLEDGE…   BEAT…
    broker → reader       SUBSCRIBED  DELIVER…  ACKNOWLEDGED…  BEAT…
    publisher → broker    PUBLISH…                      broker → publisher    PUBLISHED…
    broker → either       FAIL, and nothing after it

Who sent an event is never a member that a peer fills in: it is the key of the TLS connection (SECURITY.md
rule 13). Only a broker that tells its own owner what others left with it names a ``sender``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, TypeVar

import msgspec

from comity import limits
from comity.errors import InvalidInput, TooLarge
from comity.protocol.events.topics import CONSUMER_PATTERN, FILTER_PATTERN, TOPIC_PATTERN
from comity.protocol.wire import Count, Hex16, Hex32, decode, encode

Topic = Annotated[str, msgspec.Meta(pattern=TOPIC_PATTERN, max_length=limits.TOPIC_CHARS)]
FilterText = Annotated[str, msgspec.Meta(pattern=FILTER_PATTERN, max_length=limits.TOPIC_CHARS)]
Consumer = Annotated[str, msgspec.Meta(pattern=CONSUMER_PATTERN, max_length=limits.CONSUMER_CHARS)]
Data = Annotated[str, msgspec.Meta(max_length=limits.EVENT_BYTES)]
#: Milliseconds since 1970 UTC, before the year 2500.
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=16_725_225_600_000)]
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=limits.CLAIM_BYTES)]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Members that a later minor version adds are ignored."""


class NewEvent(msgspec.Struct, frozen=True):
    """What a publisher says."""

    topic: Topic
    data: Data


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker keeps. ``position`` grows with each event of that broker; ``at`` is when it was stored.

    ``sender`` is the key of a peer that left it there, None for the broker's own.
    """

    position: Count
    topic: Topic
    data: Data
    at: Milliseconds
    sender: Hex32 | None = None


class Subscribe(_Message, frozen=True, kw_only=True, tag="subscribe"):
    """The first message of a reader.

    ``after``: send what comes after this position; without it, what comes after the consumer's last
    acknowledgement. ``sender``: only what this key left here.
    """

    pattern: FilterText
    consumer: Consumer
    after: Count | None = None
    sender: Hex32 | None = None


class Subscribed(_Message, frozen=True, kw_only=True, tag="subscribed"):
    """What comes after ``position`` follows."""

    position: Count


class Deliver(_Message, frozen=True, kw_only=True, tag="deliver"):
    """Events in ascending positions."""

    events: Annotated[
        tuple[StoredEvent, ...], msgspec.Meta(min_length=1, max_length=limits.EVENTS_PER_MESSAGE)
    ]


class Acknowledge(_Message, frozen=True, kw_only=True, tag="acknowledge"):
    """Everything up to ``position`` is done with."""

    position: Count


class Acknowledged(_Message, frozen=True, kw_only=True, tag="acknowledged"):
    """The broker has that on disk."""

    position: Count


class Publish(_Message, frozen=True, kw_only=True, tag="publish"):
    """Events for the broker's owner. A ``batch`` that was stored already is only answered again."""

    batch: Hex16
    events: Annotated[tuple[NewEvent, ...], msgspec.Meta(min_length=1, max_length=limits.EVENTS_PER_MESSAGE)]


class Published(_Message, frozen=True, kw_only=True, tag="published"):
    """The batch is on the broker's disk; its last event has ``position`` and was stored ``at`` that time."""

    batch: Hex16
    position: Count
    at: Milliseconds


class Fail(_Message, frozen=True, kw_only=True, tag="fail"):
    """The conversation is over, and why. ``code`` is one of comity.errors' codes."""

    code: Code
    message: Text
    hint: Text = ""


class Beat(_Message, frozen=True, kw_only=True, tag="beat"):
    """Still here."""


Message = Subscribe | Subscribed | Deliver | Acknowledge | Acknowledged | Publish | Published | Fail | Beat
_Event = TypeVar("_Event", NewEvent, StoredEvent)


def encode_message(message: Message) -> bytes:
    """One DATA frame's body."""
    return encode(message)


def parse_message(body: bytes | bytearray | memoryview) -> Message:
    """The message in a DATA frame; RemoteProtocolError unless it is exactly one."""
    return decode(body, Message, limits.FRAME_BYTES)  # type: ignore[arg-type]  # a union is a decodable type


def size_of(event: NewEvent | StoredEvent) -> int:
    """At least as many bytes as the event takes in a message."""
    return limits.EVENT_OVERHEAD_BYTES + len(event.topic) + len(encode(event.data))


def check_data(data: str) -> None:
    """TooLarge for more than ``limits.EVENT_BYTES`` as JSON; InvalidInput where it is no text."""
    try:
        size = len(data) if len(data) > limits.EVENT_BYTES else len(encode(data))
    except UnicodeEncodeError as error:
        raise InvalidInput("an event's data is not valid text (a byte that is not UTF-8)") from error
    if size > limits.EVENT_BYTES:
        raise TooLarge(
            f"an event of {size} bytes: at most {limits.EVENT_BYTES} fit",
            hint="send a file with comity send-file, and publish its name",
        )


def portions(events: Iterable[_Event]) -> Iterator[tuple[_Event, ...]]:
    """The events in order, as many at a time as one message may carry."""
    portion: list[_Event] = []
    size = 0
    for event in events:
        more = size_of(event)
        full = len(portion) == limits.EVENTS_PER_MESSAGE or size + more > limits.EVENTS_MESSAGE_BYTES
        if portion and full:
            yield tuple(portion)
            portion, size = [], 0
        portion.append(event)
        size += more
    if portion:
        yield tuple(portion)
