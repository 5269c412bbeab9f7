"""Two sides of a forward, in every order: nothing is lost or grows without bound, and both find the end."""

from __future__ import annotations

import contextlib
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import LinkLost, LocalProtocolError, NotExposed, RemoteProtocolError
from comity.protocol.forwarding import messages
from comity.protocol.forwarding.flow import Flow, Half
from comity.protocol.forwarding.messages import Tag

WINDOW = 16


class _Side:
    """A program that has ``left`` bytes to say, and takes what comes when it is asked to."""

    def __init__(self, left: int) -> None:
        self.flow = Flow(0.0, WINDOW)
        self.left = left
        self.wire: deque[tuple[Tag, int]] = deque()  # on its way to this side
        self.waiting = 0
        self.taken = 0
        self.ended = False

    def say(self, other: _Side, most: int) -> None:
        if self.flow.outward is not Half.OPEN:
            return
        count = min(most, self.left, self.flow.credit)
        if count:
            self.flow.sending(count, 0.0)
            self.left -= count
            other.wire.append((Tag.PAYLOAD, count))
        elif not self.left:
            self.flow.ending(0.0)
            other.wire.append((Tag.END, 0))

    def hear(self) -> None:
        if not self.wire:
            return
        tag, count = self.wire.popleft()
        self.flow.arrived(tag, count, 0.0)
        self.waiting += count if tag is Tag.PAYLOAD else 0
        self.ended |= tag is Tag.END
        assert self.waiting <= WINDOW

    def take(self, other: _Side, most: int) -> None:
        count = min(most, self.waiting)
        self.waiting -= count
        self.taken += count
        grant = self.flow.handed(count, 0.0) if count else 0
        if grant:
            other.wire.append((Tag.CREDIT, grant))
        if self.ended and not self.waiting and self.flow.inward is Half.ENDED:
            self.flow.delivered(0.0)
            other.wire.append((Tag.DONE, 0))


_steps = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 2 * WINDOW)), max_size=80)


@given(st.integers(0, 200), st.integers(0, 200), _steps)
def test_everything_arrives_in_any_order_of_steps(
    here: int, there: int, steps: list[tuple[int, int]]
) -> None:
    one, two = _Side(here), _Side(there)

    def step(kind: int, most: int) -> None:
        side, other = (one, two) if kind < 3 else (two, one)
        match kind % 3:
            case 0:
                side.say(other, most)
            case 1:
                side.hear()
            case 2:
                side.take(other, most)

    for kind, most in steps:
        step(kind, most)
    for _ in range(500):
        for kind in range(6):
            step(kind, WINDOW)
    for side, said in ((one, there), (two, here)):
        assert side.flow.over
        assert (side.taken, side.flow.received) == (said, said)
    assert (one.flow.sent, two.flow.sent) == (here, there)


@given(st.lists(st.tuples(st.sampled_from(list(Tag)), st.integers(0, 2**32)), max_size=30))
def test_a_peer_that_says_anything_gets_no_more_than_the_window(said: list[tuple[Tag, int]]) -> None:
    flow = Flow(0.0, WINDOW)
    with contextlib.suppress(RemoteProtocolError):
        for tag, count in said:
            flow.arrived(tag, count, 0.0)
    assert flow.received <= WINDOW
    assert flow.credit <= WINDOW


def test_sending_without_credit_or_after_the_end_is_our_bug() -> None:
    flow = Flow(0.0, WINDOW)
    flow.sending(WINDOW, 0.0)
    with pytest.raises(LocalProtocolError):
        flow.sending(1, 0.0)
    flow.ending(0.0)
    with pytest.raises(LocalProtocolError):
        flow.ending(0.0)


def test_a_silent_peer_is_given_up_and_a_quiet_one_is_not() -> None:
    flow = Flow(0.0)
    assert flow.beat_due(0.0) == limits.FORWARD_BEAT_EVERY
    assert flow.beat_due(limits.FORWARD_BEAT_EVERY) == 0.0
    flow.beating(limits.FORWARD_BEAT_EVERY)
    assert flow.beat_due(limits.FORWARD_BEAT_EVERY) == limits.FORWARD_BEAT_EVERY
    flow.arrived(Tag.BEAT, 0, 40.0)
    flow.beat_due(40.0 + limits.FORWARD_DEAD_AFTER - 0.1)
    with pytest.raises(LinkLost):
        flow.beat_due(40.0 + limits.FORWARD_DEAD_AFTER)


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_malformed(body: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        tag, rest = messages.parse(body)
        assert bytes((tag,)) + bytes(rest) == body
        if tag is Tag.CREDIT:
            assert messages.credit(messages.credit_of(rest)) == body
        if tag is Tag.FAIL:
            messages.error_of(rest)


@given(st.text(max_size=40))
def test_any_purpose_is_a_port_or_malformed(purpose: str) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert messages.purpose_of(messages.port_of(purpose)) == purpose


@pytest.mark.parametrize(
    "purpose", ["", "tcp 0", "tcp 65536", "tcp 080", "tcp -1", "tcp 80 ", "udp 80", "tcp ٨٠"]
)
def test_other_purposes_name_no_port(purpose: str) -> None:
    with pytest.raises(RemoteProtocolError):
        messages.port_of(purpose)


def test_what_a_fail_says_is_escaped_and_an_unknown_code_is_a_refusal() -> None:
    error = messages.error_of(memoryview(b'{"code":"new_code","message":"no \\u001b[31mway"}'))
    assert error.code == "peer_refused"
    assert "\x1b" not in error.message
    tag, rest = messages.parse(messages.fail(NotExposed("port 80 is not exposed to this node")))
    assert (tag, messages.error_of(rest).code) == (Tag.FAIL, "not_exposed")
