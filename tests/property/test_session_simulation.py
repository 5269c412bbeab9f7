"""Two session machines over a pipe that delays, stalls, loses and breaks, from hundreds of seeds."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.protocol.session.machine import (
    Closed,
    CloseRequested,
    Dead,
    Deliver,
    Event,
    MessageReceived,
    Opened,
    Output,
    Rtt,
    Send,
    Session,
    State,
    StatementHandled,
    TellRequested,
    Tick,
    Told,
)

DURATION = 120.0


class Pipe:
    """Two machines, a seeded schedule between them, and everything that each of them said."""

    def __init__(
        self, seed: int, *, most_delay: float, loss: float = 0.0, silent_from: float = DURATION
    ) -> None:
        self.random = random.Random(seed)
        self.most_delay, self.loss, self.silent_from = most_delay, loss, silent_from
        self.sides = (Session(), Session())
        self.now = 0.0
        self.schedule: list[tuple[float, int, int, Event]] = []
        self.count = 0
        self.arrives = [0.0, 0.0]
        self.said: tuple[list[tuple[float, Output]], list[tuple[float, Output]]] = ([], [])

    def at(self, when: float, side: int, event: Event) -> None:
        self.count += 1
        heapq.heappush(self.schedule, (when, self.count, side, event))

    def run(self) -> None:
        for side in (0, 1):
            self.at(0.0, side, Opened())
        while self.schedule:
            assert self.count < 10_000, "a tick that brings the next one at the same time"
            self.now, _, side, event = heapq.heappop(self.schedule)
            if self.now > DURATION:
                return
            session = self.sides[side]
            if isinstance(event, TellRequested | CloseRequested) and session.state is State.NEW:
                continue
            if isinstance(event, Tick) and session.deadline != self.now:
                continue  # a later message moved the deadline
            for output in session.handle(event, self.now):
                self.said[side].append((self.now, output))
                self.react(side, output)
            if session.deadline is not None:
                self.at(session.deadline, side, Tick())

    def react(self, side: int, output: Output) -> None:
        if isinstance(output, Send):
            self.carry(1 - side, output.body)
        elif isinstance(output, Deliver):
            self.at(self.now + self.random.random() * 0.2, side, StatementHandled(output.id))

    def carry(self, to: int, body: bytes) -> None:
        if self.now >= self.silent_from or self.random.random() < self.loss:
            return
        # A stream: nothing overtakes.
        self.arrives[to] = max(self.arrives[to], self.now + self.random.random() * self.most_delay)
        self.at(self.arrives[to], to, MessageReceived(body))

    def told(self, side: int) -> list[int]:
        return [output.id for _, output in self.said[side] if isinstance(output, Told)]

    def delivered(self, side: int) -> list[tuple[int, str]]:
        return [(output.id, output.envelope) for _, output in self.said[side] if isinstance(output, Deliver)]

    def ends(self, side: int) -> list[tuple[float, Output]]:
        return [(when, output) for when, output in self.said[side] if isinstance(output, Dead | Closed)]


def with_tells(pipe: Pipe) -> dict[int, int]:
    """Statements at random moments; how many each side was asked to tell."""
    asked: dict[int, int] = defaultdict(int)
    when = 0.1
    while when < DURATION - 10:
        side = pipe.random.randrange(2)
        asked[side] += 1
        pipe.at(when, side, TellRequested(asked[side], f"{side}:{asked[side]}"))
        when += pipe.random.random() * 5
    return asked


@pytest.mark.parametrize("block", range(8))
def test_on_a_slow_pipe_nobody_dies_and_every_statement_arrives_once_in_order(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        pipe = Pipe(seed, most_delay=2.0)
        asked = with_tells(pipe)
        pipe.run()
        for side in (0, 1):
            assert pipe.ends(side) == []
            expected = [(n, f"{side}:{n}") for n in range(1, asked[side] + 1)]
            assert pipe.delivered(1 - side) == expected
            assert sorted(pipe.told(side)) == [n for n, _ in expected]
            rtts = [output.ms for _, output in pipe.said[side] if isinstance(output, Rtt)]
            assert all(0 <= ms <= 4000 for ms in rtts)
            assert len(rtts) >= DURATION / limits.HEARTBEAT_EVERY - 4


@pytest.mark.parametrize("block", range(4))
def test_silence_is_found_by_both_sides_in_time(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        cut = random.Random(seed).uniform(1, DURATION - 20)
        pipe = Pipe(seed, most_delay=1.0, silent_from=cut)
        with_tells(pipe)
        pipe.run()
        for side in (0, 1):
            [(when, end)] = pipe.ends(side)
            assert isinstance(end, Dead)
            assert cut - limits.HEARTBEAT_EVERY <= when <= cut + 1.0 + limits.PEER_DEAD_AFTER
            assert when - cut < 10
            # What was acknowledged had arrived; the rest may or may not have.
            assert set(pipe.told(side)) <= {n for n, _ in pipe.delivered(1 - side)}


@pytest.mark.parametrize("block", range(4))
def test_lost_messages_never_make_a_side_contradict_itself(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        pipe = Pipe(seed, most_delay=1.0, loss=0.3)
        asked = with_tells(pipe)
        pipe.run()
        for side in (0, 1):
            assert len(pipe.ends(side)) <= 1
            arrived = [n for n, _ in pipe.delivered(1 - side)]
            assert arrived == sorted(set(arrived))
            assert set(pipe.told(side)) <= set(arrived) <= set(range(1, asked[side] + 1))
            if pipe.ends(side):  # and after its end it is silent
                assert pipe.said[side][-1] == pipe.ends(side)[0]


@pytest.mark.parametrize("block", range(2))
def test_a_goodbye_ends_both_sides(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        pipe = Pipe(seed, most_delay=1.0)
        with_tells(pipe)
        leaver = pipe.random.randrange(2)
        pipe.at(pipe.random.uniform(3, 100), leaver, CloseRequested("shutdown"))
        pipe.run()
        [(left, own)], [(noticed, other)] = pipe.ends(leaver), pipe.ends(1 - leaver)
        assert own == Closed("shutdown", by_peer=False)
        assert other == Closed("shutdown", by_peer=True)
        assert left <= noticed <= left + 1.0


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_bytes_end_in_death_or_nothing(bodies: list[bytes]) -> None:
    session = Session()
    session.handle(Opened(), 0.0)
    for body in bodies:
        for output in session.handle(MessageReceived(body), 1.0):
            assert isinstance(output, Send | Rtt | Deliver | Dead | Closed)
