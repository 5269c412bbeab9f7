"""Fair sharing of the wire, in virtual time: bounds hold, peers get equal shares, nobody starves."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.protocol.exchange.sharing import BURST, HOLD, LEAST_SLICE, SLICE, Sharing

MB = 1_000_000


class Wire:
    """Transfers that always have more to write; ``seconds`` says how long a write takes one of them."""

    def __init__(self, rate: int | None, seconds: Callable[[int, int], float] = lambda _, __: 0.0) -> None:
        self.sharing = Sharing(rate)
        self.seconds = seconds
        self.now = 0.0
        self.sent: Counter[int] = Counter()
        self.log: list[tuple[float, int, int]] = []  # when, who, how much
        self._sizes: dict[int, int] = {}
        self._writes: list[tuple[float, int]] = []

    def join(self, transfer: int, peer: str, rate: int | None = None) -> None:
        self.sharing.join(transfer, peer, rate)
        self._ask(transfer)

    def leave(self, transfer: int) -> None:
        self.sharing.leave(transfer)
        self._sizes.pop(transfer, None)

    def run(self, until: float) -> None:
        while True:
            for transfer in self.sharing.grant(self.now):
                size = self._sizes[transfer]
                self.sent[transfer] += size
                self.log.append((self.now, transfer, size))
                heapq.heappush(self._writes, (self.now + self.seconds(transfer, size), transfer))
            times = [self._writes[0][0]] if self._writes else []
            following = self.sharing.next_at(self.now)
            if following is not None:
                assert following > self.now or self._writes, "it could have granted more"
                times.append(following)
            if not times or min(times) > until:
                self.now = until
                return
            self.now = max(self.now, min(times))
            while self._writes and self._writes[0][0] <= self.now:
                _, transfer = heapq.heappop(self._writes)
                if transfer in self._sizes:
                    self._ask(transfer)

    def _ask(self, transfer: int) -> None:
        self._sizes[transfer] = self.sharing.slice(transfer)
        self.sharing.ask(transfer, self._sizes[transfer])


@settings(deadline=None, max_examples=40)
@given(
    st.integers(20_000, 200 * MB),
    st.lists(st.sampled_from("abc"), min_size=1, max_size=8),
    st.lists(st.floats(0, 0.2), min_size=1, max_size=8),
)
def test_the_common_bound_holds_in_every_window(rate: int, peers: list[str], pauses: list[float]) -> None:
    wire = Wire(rate, lambda transfer, _: pauses[transfer % len(pauses)])
    for transfer, peer in enumerate(peers):
        wire.join(transfer, peer)
    wire.run(3.0)
    for begin in range(0, len(wire.log), max(1, len(wire.log) // 20)):
        total = 0
        for when, _, size in wire.log[begin:]:
            total += size
            assert total <= rate * (when - wire.log[begin][0] + BURST) + SLICE + size


def test_a_transfers_own_bound_holds_and_leaves_the_rest_to_the_others() -> None:
    wire = Wire(10 * MB)
    wire.join(1, "a", 1 * MB)
    wire.join(2, "a")
    wire.run(10.0)
    assert wire.sent[1] == pytest.approx(10 * MB, rel=0.03)
    assert wire.sent[2] == pytest.approx(90 * MB, rel=0.03)


def test_a_peers_hundred_sends_get_no_more_than_anothers_one() -> None:
    wire = Wire(100 * MB)
    for transfer in range(100):
        wire.join(transfer, "hog")
    wire.join(100, "other")
    wire.run(3.0)
    hogs = [wire.sent[transfer] for transfer in range(100)]
    assert wire.sent[100] == pytest.approx(sum(hogs), abs=4 * SLICE)
    assert max(hogs) - min(hogs) <= 2 * SLICE


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=5))
def test_peers_get_equal_shares_and_their_transfers_too(counts: list[int]) -> None:
    wire = Wire(50 * MB)
    transfers = [(peer, number) for peer, count in enumerate(counts) for number in range(count)]
    for identity, (peer, _) in enumerate(transfers):
        wire.join(identity, str(peer))
    wire.run(5.0)
    shares: Counter[int] = Counter()
    for identity, (peer, _) in enumerate(transfers):
        shares[peer] += wire.sent[identity]
    assert max(shares.values()) - min(shares.values()) <= 4 * SLICE


def test_what_a_slow_line_leaves_goes_to_the_others() -> None:
    wire = Wire(
        100 * MB, lambda transfer, size: size / MB if transfer == 1 else 0.0
    )  # 1 MB/s is all it takes
    wire.join(1, "slow")
    wire.join(2, "fast")
    wire.run(10.0)
    assert wire.sent[1] == pytest.approx(10 * MB, rel=0.1)
    assert wire.sent[2] > 950 * MB


def test_a_newcomer_does_not_catch_up_on_what_it_never_asked_for() -> None:
    wire = Wire(10 * MB)
    wire.join(1, "early")
    wire.run(10.0)
    wire.join(2, "late")
    before = wire.sent[1]
    wire.run(20.0)
    assert wire.sent[1] - before == pytest.approx(50 * MB, rel=0.05)
    assert wire.sent[2] == pytest.approx(50 * MB, rel=0.05)


def test_without_a_bound_one_alone_is_not_held_back() -> None:
    sharing = Sharing()
    sharing.join(1, "a")
    sharing.join(2, "a")
    assert sharing.free(1)
    assert sharing.free(2)
    sharing.join(3, "b")
    assert not sharing.free(1)
    sharing.leave(3)
    assert sharing.free(1)


def test_without_a_bound_each_of_several_peers_writes_once_at_a_time() -> None:
    sharing = Sharing()
    for transfer, peer in ((1, "a"), (2, "a"), (3, "b")):
        sharing.join(transfer, peer)
        sharing.ask(transfer, SLICE)
    assert sharing.grant(0.0) == [1, 3]
    assert sharing.grant(0.1) == []
    sharing.ask(1, SLICE)  # it has written, and wants more: the other one's turn
    assert sharing.grant(0.2) == [2]
    sharing.pause(2)
    assert sharing.grant(0.3) == [1]


def test_one_that_hangs_does_not_keep_its_peers_others_waiting() -> None:
    sharing = Sharing()
    for transfer, peer in ((1, "a"), (2, "a"), (3, "b")):
        sharing.join(transfer, peer)
    sharing.ask(1, SLICE)
    assert sharing.grant(0.0) == [1]
    sharing.ask(2, SLICE)
    assert sharing.grant(0.5) == []
    assert sharing.next_at(0.5) == HOLD
    assert sharing.grant(HOLD) == [2]


def test_those_who_leave_make_room() -> None:
    sharing = Sharing()
    for transfer, peer in ((1, "a"), (2, "a"), (3, "b")):
        sharing.join(transfer, peer)
        sharing.ask(transfer, SLICE)
    assert sharing.grant(0.0) == [1, 3]
    sharing.leave(1)
    sharing.leave(1)
    sharing.pause(1)
    assert sharing.grant(0.0) == [2]
    sharing.leave(2)
    sharing.leave(3)
    assert sharing.next_at(0.0) is None


@given(st.integers(16_000, 10**10), st.none() | st.integers(16_000, 10**10))
def test_slices_are_short_but_not_tiny(rate: int, own: int | None) -> None:
    sharing = Sharing(rate)
    sharing.join(1, "a", own)
    assert LEAST_SLICE <= sharing.slice(1) <= SLICE


@settings(deadline=None, max_examples=60)
@given(
    st.none() | st.integers(1 * MB, 50 * MB),
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.booleans(), st.floats(0, 0.5)), max_size=30
    ),
)
def test_nobody_starves_whoever_comes_and_goes(
    rate: int | None, steps: list[tuple[int, str, bool, float]]
) -> None:
    wire = Wire(rate, lambda transfer, size: 0.01 * (transfer + 1))
    here: set[int] = set()
    for transfer, peer, comes, pause in steps:
        if comes and transfer not in here:
            wire.join(transfer, peer)
            here.add(transfer)
        elif not comes and transfer in here:
            wire.leave(transfer)
            here.remove(transfer)
        wire.run(wire.now + pause)
    before = Counter(wire.sent)
    wire.run(wire.now + 5.0)
    assert all(wire.sent[transfer] > before[transfer] for transfer in here)
