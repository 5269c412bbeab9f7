"""Whatever the other side says, in whatever order: a machine answers, or raises a RemoteProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import ComityError, ConsumerReplaced, Denied, PeerRefused, RemoteProtocolError
from comity.protocol.events import feed, subscriber
from comity.protocol.events.messages import (
    Acknowledge,
    Acknowledged,
    Beat,
    Deliver,
    Fail,
    Message,
    NewEvent,
    Publish,
    Published,
    StoredEvent,
    Subscribe,
    Subscribed,
    encode_message,
    parse_message,
)

KEY = "ab" * 32
COUNTS = st.integers(0, 20)
STORED = st.builds(
    StoredEvent,
    position=COUNTS,
    topic=st.sampled_from(["a", "a/b", "b"]),
    data=st.text(max_size=5),
    at=st.just(0),
    sender=st.none() | st.just(KEY),
)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Subscribe, pattern=st.sampled_from(["a", "**"]), consumer=st.just("c"), after=st.none() | COUNTS
    ),
    st.builds(Subscribed, position=COUNTS),
    st.builds(Deliver, events=st.lists(STORED, min_size=1, max_size=3).map(tuple)),
    st.builds(Acknowledge, position=COUNTS),
    st.builds(Acknowledged, position=COUNTS),
    st.builds(Publish, batch=st.just("ab" * 16), events=st.just((NewEvent("a", "1"),))),
    st.builds(Published, batch=st.just("ab" * 16), position=COUNTS, at=st.just(0)),
    st.builds(Fail, code=st.sampled_from(["denied", "nonsense"]), message=st.text(max_size=5)),
    st.just(Beat()),
)
WANTED = Subscribe(pattern="a/*", consumer="c")


@given(MESSAGES)
def test_every_message_is_read_as_it_was_written(message: Message) -> None:
    assert parse_message(encode_message(message)) == message


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_message(noise)


@given(st.lists(MESSAGES, max_size=12))
def test_a_feed_takes_any_sequence(messages: list[Message]) -> None:
    machine = feed.Feed()
    sent = 0
    try:
        for message in messages:
            for output in machine.handle(feed.MessageReceived(encode_message(message)), 0.0):
                if isinstance(output, feed.Judge):
                    machine.handle(feed.Admitted(0, 0), 0.0)
                if isinstance(output, feed.Note):
                    assert output.shown <= sent
                if isinstance(output, feed.Fetch):
                    sent = output.after + 1
    except RemoteProtocolError:
        return


@given(st.lists(MESSAGES, max_size=12))
def test_a_subscriber_takes_any_sequence_and_positions_only_grow(messages: list[Message]) -> None:
    machine = subscriber.Subscriber(Subscribe(pattern="**", consumer="c"))
    machine.handle(subscriber.Opened(), 0.0)
    positions = [0]
    try:
        for message in messages:
            for output in machine.handle(subscriber.MessageReceived(encode_message(message)), 0.0):
                if isinstance(output, subscriber.Arrived):
                    positions += [event.position for event in output.events]
                    assert all(event.sender is None for event in output.events)
    except (RemoteProtocolError, Denied, PeerRefused):
        pass
    assert positions == sorted(set(positions))


def opened(wanted: Subscribe = WANTED, *, own: bool = False, at: int = 10) -> subscriber.Subscriber:
    machine = subscriber.Subscriber(wanted, own=own)
    machine.handle(subscriber.Opened(), 0.0)
    tell(machine, Subscribed(position=at))
    return machine


def tell(machine: subscriber.Subscriber, *messages: Message) -> None:
    for message in messages:
        machine.handle(subscriber.MessageReceived(encode_message(message)), 0.0)


def event(position: int, topic: str = "a/b", sender: str | None = None, data: str = "") -> StoredEvent:
    return StoredEvent(position=position, topic=topic, data=data, at=0, sender=sender)


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([Deliver(events=(event(10),))], "came after event 10"),
        ([Deliver(events=(event(12), event(11)))], "came after event 12"),
        ([Deliver(events=(event(11), event(11)))], "came after event 11"),
        ([Deliver(events=(event(11),)), Deliver(events=(event(11),))], "came after event 11"),
        ([Deliver(events=(event(11, topic="b"),))], "not asked for"),
        ([Deliver(events=(event(11, topic="a"),))], "not asked for"),
        ([Deliver(events=(event(11, sender=KEY),))], "may not say who"),
        ([Acknowledged(position=1)], "was not given"),
        ([Subscribed(position=10)], "no place"),
        ([Published(batch="ab" * 16, position=1, at=0)], "no place"),
        ([Subscribe(pattern="a", consumer="c")], "no place"),
    ],
)
def test_a_lying_broker_is_found_out(messages: list[Message], problem: str) -> None:
    machine = opened()
    with pytest.raises(RemoteProtocolError, match=problem):
        tell(machine, *messages)


def test_a_broker_that_starts_elsewhere() -> None:
    with pytest.raises(RemoteProtocolError, match="starts elsewhere"):
        opened(Subscribe(pattern="a/*", consumer="c", after=5))


def test_an_own_broker_names_the_sender_that_was_asked_for() -> None:
    wanted = Subscribe(pattern="a/*", consumer="c", sender=KEY)
    tell(opened(wanted, own=True), Deliver(events=(event(11, sender=KEY),)))
    with pytest.raises(RemoteProtocolError, match="another sender"):
        tell(opened(wanted, own=True), Deliver(events=(event(11, sender="cd" * 32),)))
    with pytest.raises(RemoteProtocolError, match="may not say who"):
        tell(opened(wanted, own=True), Deliver(events=(event(11),)))


def test_a_broker_that_pours_out_small_events() -> None:
    pages = [
        Deliver(events=tuple(event(start + at) for at in range(256)))
        for start in range(1, limits.EVENTS_UNACKNOWLEDGED + 2, 256)
    ]
    machine = opened(at=0)
    tell(machine, *pages[:-1])
    with pytest.raises(RemoteProtocolError, match="more than may wait"):
        tell(machine, pages[-1])


def test_a_broker_that_pours_out_large_events() -> None:
    large = [event(position, data="x" * 30_000) for position in range(1, 12 * limits.MIB // 30_000)]
    assert len(large) < limits.EVENTS_UNACKNOWLEDGED
    machine = opened(at=0)
    with pytest.raises(RemoteProtocolError, match="more than may wait"):
        tell(machine, *(Deliver(events=(each,)) for each in large))


@pytest.mark.parametrize(
    ("code", "kind"), [("consumer_replaced", ConsumerReplaced), ("own_words", PeerRefused)]
)
def test_what_a_broker_says_is_shown_with_care(code: str, kind: type[ComityError]) -> None:
    with pytest.raises(kind) as caught:
        tell(opened(), Fail(code=code, message="\x1b[2Jgone", hint="\u202e"))
    assert "\x1b" not in caught.value.message
    assert "\u202e" not in caught.value.hint
