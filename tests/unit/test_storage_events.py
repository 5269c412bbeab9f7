"""The broker's tables: order, audiences, consumers, retention by age and by size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comity.protocol.events.messages import NewEvent, size_of
from comity.protocol.events.topics import Filter
from comity.storage.database import MEMORY, Database
from comity.storage.events import Consumer, EventStore
from comity.storage.schema import open_node_database

KEY, OTHER = "a" * 64, "b" * 64
ALL = Filter("**")


@pytest.fixture
def db() -> Iterator[Database]:
    with open_node_database(MEMORY) as opened:
        yield opened


@pytest.fixture
def store(db: Database) -> EventStore:
    return EventStore(db)


def own(store: EventStore, *data: str, at: int = 1000, topic: str = "t") -> list[int]:
    audience = store.audience({KEY: "sha256:1"})
    events = [NewEvent(topic, each) for each in data]
    return [event.position for event in store.append(events, at, sender=None, audience=audience)]


def seen(store: EventStore, wanted: Filter = ALL, *, left: bool = False) -> list[str]:
    return [row.event.data for row in store.after(0, wanted, 100, left=left)]


def test_own_events_and_what_peers_left_are_apart_and_in_order(store: EventStore) -> None:
    own(store, "1", "2")
    store.append([NewEvent("t", "left")], 1000, sender=OTHER, audience=None)
    own(store, "3", topic="u")
    assert seen(store) == ["1", "2", "3"]
    assert seen(store, Filter("u")) == ["3"]
    assert seen(store, left=True) == ["left"]
    assert [row.event.data for row in store.tail(2)] == ["left", "3"]
    assert store.newest() == 4


def test_an_audience_is_kept_once(store: EventStore) -> None:
    first = store.audience({KEY: "1", OTHER: "2"})
    assert store.audience({OTHER: "2", KEY: "1"}) == first
    assert store.audience({KEY: "1"}) != first
    assert store.members(first) == {KEY: "1", OTHER: "2"}
    store.forget_audiences()
    assert store.members(first) == {}


def test_positions_are_never_used_twice(store: EventStore) -> None:
    last = own(store, "1", "2", "3")[-1]
    store.drop_oldest(10**6)
    assert (seen(store), store.newest()) == ([], last)
    assert own(store, "4") == [last + 1]


def test_what_is_too_old_goes_and_so_do_its_batches_and_consumers(store: EventStore) -> None:
    own(store, "old", at=1_000)
    store.put_batch(OTHER, "0" * 32, 1, 1_000)
    own(store, "new", at=60_000)
    old, new = Consumer(KEY, "old", "t", ""), Consumer(KEY, "new", "t", "")
    store.put_places([(old, 1)], 1)
    store.put_places([(new, 1)], 60)
    assert store.expire(30) == 1
    assert seen(store) == ["new"]
    assert store.batch(OTHER, "0" * 32) is None
    assert (store.place(old), store.place(new), store.consumers(KEY)) == (None, 1, 1)
    assert store.expire(100) == 1
    assert seen(store) == []


def test_the_oldest_own_events_make_room_and_peers_stay(store: EventStore) -> None:
    own(store, "1", "2")
    store.append([NewEvent("t", "left")], 1000, sender=OTHER, audience=None)
    own(store, "3")
    one = size_of(NewEvent("t", "1"))
    assert (store.size(None), store.size(OTHER)) == (3 * one, size_of(NewEvent("t", "left")))
    assert store.drop_oldest(one + 1) == 2
    assert (seen(store), seen(store, left=True)) == (["3"], ["left"])


def test_a_consumers_place(store: EventStore) -> None:
    consumer = Consumer(KEY, "c", "t", "")
    assert store.place(consumer) is None
    store.put_places([(consumer, 5)], 1)
    store.put_places([(consumer, 3)], 2)
    assert store.place(consumer) == 3
    assert store.place(Consumer(KEY, "c", "t", OTHER)) is None
