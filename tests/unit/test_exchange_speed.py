"""How fast it goes, and how long it will take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from comity.protocol.exchange.speed import WINDOW, Speed


def test_the_last_seconds_count_not_the_first() -> None:
    speed = Speed()
    done = 0
    for second in range(100):
        done += 1000 if second < 50 else 10
        speed.note(done, float(second))
    assert speed.rate() == 10.0
    assert speed.remaining(100) == 10.0


def test_nothing_is_known_at_first() -> None:
    speed = Speed()
    assert speed.rate() is None
    assert speed.remaining(5) is None
    speed.note(0, 1.0)
    assert speed.rate() is None
    speed.note(10, 1.0)
    assert speed.rate() is None


def test_what_stands_still_has_no_end_and_what_is_done_has() -> None:
    speed = Speed()
    speed.note(10, 0.0)
    speed.note(10, WINDOW)
    assert (speed.rate(), speed.remaining(5), speed.remaining(0)) == (0.0, None, 0.0)


def test_a_transfer_that_begins_anew() -> None:
    speed = Speed()
    speed.note(1000, 0.0)
    speed.note(0, 1.0)
    speed.note(5, 2.0)
    assert speed.rate() == 5.0


@given(st.lists(st.tuples(st.integers(0, 2**40), st.floats(0, 1e6)), max_size=200))
def test_any_samples_give_a_rate_or_none(samples: list[tuple[int, float]]) -> None:
    speed = Speed()
    for done, now in samples:
        speed.note(done, now)
        rate = speed.rate()
        assert rate is None or rate >= 0


@given(st.integers(1, 10**9), st.floats(0.01, 1.0))
def test_a_steady_rate_is_found_from_few_samples(rate: int, every: float) -> None:
    speed = Speed()
    for step in range(200):
        speed.note(int(rate * step * every), step * every)
    found = speed.rate()
    assert found is not None
    assert abs(found - rate) <= rate * 0.01 + 2 / every
    assert len(speed._samples) <= WINDOW / 0.25 + 3
