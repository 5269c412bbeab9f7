"""A tick at the deadline always does something, whatever the clock shows; else the watcher would spin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.errors import TimedOut
from comity.protocol.events import feed, subscriber
from comity.protocol.events.messages import Beat, Subscribe, Subscribed, encode_message

START = st.floats(min_value=0, max_value=1e7)
WANTED = Subscribe(pattern="a", consumer="c")


@given(START, st.integers(min_value=1, max_value=20))
def test_a_feed_moves_on_at_its_deadline(now: float, ticks: int) -> None:
    machine = feed.Feed()
    machine.handle(feed.MessageReceived(encode_message(WANTED)), now)
    machine.handle(feed.Admitted(0, 0), now)
    for _ in range(ticks):
        deadline = machine.deadline
        assert deadline is not None
        try:
            machine.handle(feed.Tick(), deadline)
        except TimedOut:
            return
        assert machine.deadline is not None
        assert machine.deadline > deadline


@given(START, st.integers(min_value=1, max_value=20), st.booleans())
def test_a_subscriber_moves_on_at_its_deadline(now: float, ticks: int, answered: bool) -> None:
    machine = subscriber.Subscriber(WANTED)
    machine.handle(subscriber.Opened(), now)
    for _ in range(ticks):
        if answered:
            message = Beat() if machine.state is subscriber.State.OPEN else Subscribed(position=0)
            machine.handle(subscriber.MessageReceived(encode_message(message)), now)
        deadline = machine.deadline
        assert deadline is not None
        try:
            machine.handle(subscriber.Tick(), deadline)
        except TimedOut:
            assert not answered
            return
        now = deadline
        assert machine.deadline is not None
        assert answered or machine.deadline > deadline
