"""Topics, patterns, and how many events one message carries."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import InvalidInput, RemoteProtocolError, TooLarge
from comity.protocol.events.messages import (
    Deliver,
    NewEvent,
    Publish,
    StoredEvent,
    check_data,
    encode_message,
    parse_message,
    portions,
)
from comity.protocol.events.topics import Filter, check_consumer, check_topic

LEVEL = st.text("abc-_.9", min_size=1, max_size=5).filter(lambda text: text[0] not in "-.")
TOPIC = st.lists(LEVEL, min_size=1, max_size=limits.TOPIC_LEVELS).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("training/weights-ready", "training/weights-ready", True),
        ("training/weights-ready", "training/weights", False),
        ("training/*", "training/weights-ready", True),
        ("training/*", "training", False),
        ("training/*", "training/round/3", False),
        ("training/**", "training/round/3", True),
        ("training/**", "training/weights-ready", True),
        ("training/**", "training", False),
        ("*", "training", True),
        ("*", "training/x", False),
        ("**", "training", True),
        ("**", "a/b/c", True),
        ("*/ready", "a/ready", True),
        ("*/ready", "a/b", False),
        ("*/x/**", "a/x/y/z", True),
        ("*/x/**", "a/y/y/z", False),
    ],
)
def test_patterns(pattern: str, topic: str, matches: bool) -> None:
    assert Filter.parse(pattern).matches(topic) is matches


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a//b", "a b", "é", "a\n", "-a", ".a", "a/..", "/".join("abcdefghi"), "a" * 129],
)
def test_what_is_no_topic(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_topic(text)
    with pytest.raises(InvalidInput):
        Filter.parse(text)


@pytest.mark.parametrize("text", ["a*", "**/a", "***", "a/**/b", "*a"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(InvalidInput):
        Filter.parse(text)


@pytest.mark.parametrize("text", ["", " ", "é", "a\n", "x" * 257])
def test_what_names_no_consumer(text: str) -> None:
    with pytest.raises(InvalidInput):
        check_consumer(text)


@given(TOPIC)
def test_every_topic_chooses_itself_and_is_among_all(topic: str) -> None:
    assert Filter.parse(check_topic(topic)).matches(topic)
    assert Filter.parse("**").matches(topic)
    assert Filter.parse("/".join("*" for _ in topic.split("/"))).matches(topic)


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        Filter.parse(text).matches("a/b")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parse_message(body)


@given(st.lists(st.tuples(TOPIC, st.text(max_size=300)), min_size=1, max_size=600))
def test_portions_keep_order_and_fit_a_frame(pairs: list[tuple[str, str]]) -> None:
    events = [
        StoredEvent(position=2**53 - 1, topic=topic, data=data, at=16_725_225_600_000, sender="f" * 64)
        for topic, data in pairs
    ]
    found = list(portions(events))
    assert [event for portion in found for event in portion] == events
    for portion in found:
        body = encode_message(Deliver(events=portion))
        assert len(body) <= limits.FRAME_BYTES
        assert parse_message(body) == Deliver(events=portion)


def test_the_largest_event_fits_and_one_more_byte_does_not() -> None:
    check_data("x" * (limits.EVENT_BYTES - 2))
    for data in ("x" * (limits.EVENT_BYTES - 1), "\x00" * (limits.EVENT_BYTES // 6 + 1), "x" * 10**6):
        with pytest.raises(TooLarge):
            check_data(data)
    with pytest.raises(InvalidInput):
        check_data("\udc80")
    event = NewEvent("t" * limits.TOPIC_CHARS, "\x00" * ((limits.EVENT_BYTES - 2) // 6))
    check_data(event.data)
    body = encode_message(Publish(batch="0" * 32, events=(event,)))
    assert parse_message(body) == Publish(batch="0" * 32, events=(event,))
