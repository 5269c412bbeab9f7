"""Requests and results about events: publish, subscribe, acknowledge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from comity.control.codec import json_name


@dataclass(frozen=True)
class EventData:
    """What a publisher says: a topic, and text."""

    topic: str
    data: str


@dataclass(frozen=True)
class PublishRequest:
    """``to``: the peer whose broker is to store them, for its owner alone; else they are this broker's, for
    every trusted peer.
    """

    events: tuple[EventData, ...]
    to: str | None = None


@dataclass(frozen=True)
class PublishResult:
    """All of them are on disk. ``cursor`` and ``at`` are the last one's.

    ``stored``: ``here``, for ``audience`` peers; or ``peer``. ``here`` with ``to``: the peer is not to be
    reached, and will read them here.
    """

    published: int
    cursor: str
    at: str
    stored: str
    audience: int
    to: str | None = None


@dataclass(frozen=True)
class SubscribeRequest:
    """``topic`` may be a pattern. ``from_`` names one peer; without it all trusted ones are listened to.

    ``consumer`` names the durable place to go on from. ``since``: ``beginning``, or a cursor to go on after.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"alias_generator": json_name}

    topic: str
    consumer: str
    from_: str | None = None
    since: str | None = None


@dataclass(frozen=True)
class SubscriptionView:
    """A subscription that has begun: ``id`` is what acknowledgements name."""

    id: str
    topic: str
    consumer: str


@dataclass(frozen=True)
class Event:
    """One event. ``from_`` is the sender's hostname, ``fingerprint`` its key's; ``at`` when it was stored.

    ``cursor`` names the broker and the event's place there.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"alias_generator": json_name}

    topic: str
    data: str
    from_: str
    fingerprint: str
    cursor: str
    at: str


@dataclass(frozen=True)
class Notice:
    """What became of the way to one broker: ``state`` is ``connected`` or ``waiting``, ``problem`` why."""

    peer: str
    state: str
    problem: str = ""


@dataclass(frozen=True)
class AcknowledgeRequest:
    """Everything up to these ``cursors`` is done with. ``wait``: seconds for the brokers to have it on
    disk.
    """

    subscription: str
    cursors: tuple[str, ...]
    wait: float = 0.0


@dataclass(frozen=True)
class AcknowledgeResult:
    """``durable``: every broker has it on disk. Otherwise these events may come again."""

    durable: bool
