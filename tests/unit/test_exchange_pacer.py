"""Threads that wait for their turn to write: bounds are kept, turns passed on, nobody waits for the dead."""

from __future__ import annotations

import threading
import time

from comity.clock import SystemClock
from comity.protocol.exchange.sharing import BURST, SLICE
from comity.services.exchange.pacer import Pacer, Place

MB = 1_000_000


def until_granted(place: Place, left: int) -> int:
    while not (granted := place(left)):
        pass
    return granted


def test_one_alone_without_a_bound_is_let_through_whole() -> None:
    pacer = Pacer(None, SystemClock())
    place = pacer.join("bob", None)
    assert place(10**9) == 10**9
    place.pause()
    place.leave()


def test_no_more_is_let_through_than_the_bound_says() -> None:
    """However fast threads ask: what was granted is bounded by the time that passed on the same clock."""
    clock, rate = SystemClock(), 4 * MB
    pacer = Pacer(rate, clock)
    granted = [0, 0, 0]
    stop = threading.Event()
    began = clock.monotonic()

    def write(number: int) -> None:
        place = pacer.join(f"peer-{number % 2}", None)
        while not stop.is_set():
            granted[number] += place(MB)
        place.leave()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while sum(granted) < MB or not all(granted):
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    passed = clock.monotonic() - began
    assert sum(granted) <= rate * (passed + BURST) + SLICE
    assert all(granted)


def test_a_transfers_own_bound_is_asked_for_in_short_pieces() -> None:
    pacer = Pacer(None, SystemClock())
    place = pacer.join("bob", 2 * MB)
    assert 0 < until_granted(place, MB) <= 2 * MB // 20
    assert place(5) in (0, 5)


def test_a_turn_is_passed_on_when_it_is_given_back() -> None:
    pacer = Pacer(None, SystemClock())
    first, second, other = (pacer.join(peer, None) for peer in ("bob", "bob", "carol"))
    assert until_granted(first, MB) == SLICE
    assert until_granted(other, MB) == SLICE
    passed = threading.Event()

    def wait() -> None:
        until_granted(second, MB)
        passed.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    first.pause()
    assert passed.wait(20)
    waiting.join()


def test_one_that_ends_lets_the_others_go() -> None:
    pacer = Pacer(None, SystemClock())
    first, second, other = (pacer.join(peer, None) for peer in ("bob", "bob", "carol"))
    until_granted(first, MB)
    until_granted(other, MB)
    first.leave()
    assert until_granted(second, MB) == SLICE
    other.leave()
    assert second(MB) == MB  # alone again
