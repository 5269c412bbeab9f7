"""What the rendezvous's books promise, held by the SQLite ones, on disk and in memory, and by their twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from comity import limits
from comity.errors import LocalProtocolError
from comity.rendezvous.memory import MemoryBooks
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.stores import Books, Held, Letter, Node

ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32

NODE = Node(
    network=1,
    key=ALICE,
    number=0x10,
    hostname="charité-trainer",
    public=True,
    tags=("genomics", "eu"),
    sealing_key='{"payload": "…"}',
    sealing_sequence=7,
    last_seen=1000,
)
LETTER = Letter(
    network=1,
    recipient=BOB,
    sender=ALICE,
    message_id=bytes(16),
    blob=b"\0sealed",
    posted=1000,
    reserved=False,
)


@pytest.fixture(params=["memory", "sqlite", "file"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    tmp_path.chmod(0o700)
    make: dict[str, Callable[[], Books]] = {
        "memory": MemoryBooks,
        "sqlite": lambda: SqliteBooks(":memory:"),
        "file": lambda: SqliteBooks(tmp_path / "rendezvous.db"),
    }
    made = make[request.param]()
    yield made
    made.close()


def letter(number: int, **changes: object) -> Letter:
    return replace(LETTER, message_id=number.to_bytes(16), **changes)  # type: ignore[arg-type]  # by name


def node(index: int, **changes: object) -> Node:
    one = replace(NODE, key=bytes([index]) * 32, number=index * 16, hostname=f"lab-{index}")
    return replace(one, **changes)  # type: ignore[arg-type]  # by name


def test_there_is_one_network_to_begin_with(books: Books) -> None:
    assert books.nodes.networks() == {1}
    assert books.nodes.latest() == books.letters.latest() == 0


def test_numbers_are_given_out_once(books: Books) -> None:
    given = [books.nodes.next_number(1) for _ in range(4)]
    assert given == [0x10, 0x20, 0x30, 0x40]


def test_a_node_is_found_by_key_name_and_number(books: Books) -> None:
    books.nodes.put(NODE)
    assert books.nodes.get(1, ALICE) == NODE
    assert books.nodes.named(1, "charité-trainer") == NODE
    assert books.nodes.numbered(1, 0x10) == NODE
    assert books.nodes.count(1) == 1


def test_a_node_is_not_found_by_less(books: Books) -> None:
    books.nodes.put(NODE)
    assert books.nodes.get(2, ALICE) is None
    assert books.nodes.get(1, BOB) is None
    assert books.nodes.named(1, "charité") is None
    assert books.nodes.named(1, "CHARITÉ-TRAINER") is None
    assert books.nodes.named(2, "charité-trainer") is None
    assert books.nodes.numbered(2, 0x10) is None
    assert books.nodes.count(2) == 0


def test_a_node_is_written_over_and_keeps_its_number(books: Books) -> None:
    books.nodes.put(NODE)
    changed = replace(
        NODE,
        hostname="b",
        public=False,
        tags=("x",),
        sealing_key="k",
        sealing_sequence=8,
        last_seen=2000,
        number=0x90,
    )
    books.nodes.put(changed)
    assert books.nodes.get(1, ALICE) == replace(changed, number=0x10)
    assert books.nodes.named(1, "charité-trainer") is None
    assert books.nodes.count(1) == 1


@pytest.mark.parametrize("clash", [{"hostname": "charité-trainer"}, {"number": 0x10}])
def test_a_name_and_a_number_have_one_key(books: Books, clash: dict[str, object]) -> None:
    books.nodes.put(NODE)
    with pytest.raises(LocalProtocolError):
        books.nodes.put(node(2, **clash))


def test_public_nodes_are_listed_by_name(books: Books) -> None:
    for number, tags in ((3, ("eu",)), (1, ("eu", "us")), (2, ()), (4, ("eu",))):
        books.nodes.put(node(number, tags=tags, public=number != 4))
    assert [found.hostname for found in books.nodes.listed(1, None, 10)] == ["lab-1", "lab-2", "lab-3"]
    assert [found.hostname for found in books.nodes.listed(1, "eu", 10)] == ["lab-1", "lab-3"]
    assert [found.hostname for found in books.nodes.listed(1, None, 2)] == ["lab-1", "lab-2"]
    assert (
        books.nodes.listed(1, "e", 10)
        == books.nodes.listed(1, "EU", 10)
        == books.nodes.listed(2, None, 10)
        == []
    )


def test_tags_and_visibility_change(books: Books) -> None:
    books.nodes.put(NODE)
    books.nodes.put(replace(NODE, tags=("us",)))
    assert books.nodes.listed(1, "eu", 10) == []
    assert len(books.nodes.listed(1, "us", 10)) == 1
    books.nodes.put(replace(NODE, public=False))
    assert books.nodes.listed(1, None, 10) == []


def test_last_seen(books: Books) -> None:
    books.nodes.put(NODE)
    books.nodes.put(node(2, last_seen=1500))
    books.nodes.seen(1, ALICE, 3000)
    books.nodes.seen(1, CAROL, 9000)
    found = books.nodes.get(1, ALICE)
    assert found is not None
    assert (found.last_seen, books.nodes.latest()) == (3000, 3000)


def test_letters_wait_in_order(books: Books) -> None:
    for number in (5, 3, 4):
        books.letters.add(letter(number))
    waiting = books.letters.waiting(1, BOB, 0, 10)
    assert [kept.letter for kept in waiting] == [letter(5), letter(3), letter(4)]
    assert [kept.place for kept in waiting] == sorted({kept.place for kept in waiting})
    assert books.letters.waiting(1, BOB, waiting[0].place, 1) == [waiting[1]]
    assert books.letters.waiting(1, BOB, waiting[2].place, 10) == []
    assert books.letters.waiting(1, ALICE, 0, 10) == books.letters.waiting(2, BOB, 0, 10) == []


def test_a_place_is_never_used_twice(books: Books) -> None:
    books.letters.add(letter(1))
    (first,) = books.letters.waiting(1, BOB, 0, 10)
    books.letters.remove(1, BOB, ALICE, letter(1).message_id)
    books.letters.add(letter(2))
    (second,) = books.letters.waiting(1, BOB, first.place, 10)
    assert second.letter == letter(2)


def test_a_letter_is_removed_by_its_whole_name(books: Books) -> None:
    books.letters.add(LETTER)
    for name in [
        (2, BOB, ALICE, bytes(16)),
        (1, ALICE, BOB, bytes(16)),
        (1, BOB, CAROL, bytes(16)),
        (1, BOB, ALICE, b"x" * 16),
    ]:
        assert not books.letters.remove(*name)
        assert books.letters.find(*name) is None
    assert books.letters.find(1, BOB, ALICE, bytes(16)) == LETTER
    assert books.letters.remove(1, BOB, ALICE, bytes(16))
    assert not books.letters.remove(1, BOB, ALICE, bytes(16))


def test_the_same_letter_twice_is_a_bug(books: Books) -> None:
    books.letters.add(LETTER)
    with pytest.raises(LocalProtocolError):
        books.letters.add(replace(LETTER, blob=b"other"))


def test_letters_expire(books: Books) -> None:
    for number, posted in ((1, 1000), (2, 1001), (3, 1002)):
        books.letters.add(letter(number, posted=posted))
    assert books.letters.latest() == 1002
    assert books.letters.expire(1001) == 1
    assert [kept.letter.posted for kept in books.letters.waiting(1, BOB, 0, 10)] == [1001, 1002]
    assert books.letters.held_in(1) == Held(2, 2, 14)


def test_letters_are_counted(books: Books) -> None:
    books.letters.add(letter(1))
    books.letters.add(letter(2, reserved=True))
    books.letters.add(letter(3, recipient=CAROL))
    books.letters.add(letter(4, sender=CAROL, reserved=True))
    assert books.letters.held_in(1) == Held(4, 2, 28)
    assert books.letters.held_in(2) == Held(0, 0, 0)
    assert books.letters.held_for(1, BOB) == Held(3, 1, 21)
    assert books.letters.held_for(1, ALICE) == Held(0, 0, 0)
    assert books.letters.held_between(1, ALICE, BOB) == 2
    assert books.letters.held_between(1, BOB, ALICE) == 0
    assert books.letters.held_from(1, ALICE) == Held(3, 2, 21)
    assert books.letters.held_from(1, CAROL) == Held(1, 0, 7)
    books.letters.remove(1, BOB, ALICE, letter(2).message_id)
    books.letters.remove(1, BOB, ALICE, letter(1).message_id)
    assert books.letters.held_in(1) == Held(2, 1, 14)


def test_reservations_are_replaced_whole(books: Books) -> None:
    books.letters.reserve(1, BOB, [ALICE, ALICE])
    assert books.letters.reserves(1, BOB, ALICE)
    assert not books.letters.reserves(1, ALICE, BOB)
    assert not books.letters.reserves(2, BOB, ALICE)
    books.letters.reserve(1, BOB, [CAROL])
    assert not books.letters.reserves(1, BOB, ALICE)
    assert books.letters.reserves(1, BOB, CAROL)
    books.letters.reserve(1, BOB, [])
    assert not books.letters.reserves(1, BOB, CAROL)


def test_an_exception_undoes_the_transaction(books: Books) -> None:
    def write() -> None:
        with books.transaction():
            books.nodes.put(replace(NODE, number=books.nodes.next_number(1)))
            books.letters.add(LETTER)
            books.letters.reserve(1, BOB, [ALICE])
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert books.nodes.count(1) == 0
    assert books.letters.held_in(1) == Held()
    assert not books.letters.reserves(1, BOB, ALICE)
    assert books.nodes.next_number(1) == limits.NODE_FIRST


def test_an_inner_transaction_undoes_its_own_part(books: Books) -> None:
    def fail() -> None:
        with books.transaction():
            books.letters.add(letter(2))
            raise KeyError

    with books.transaction():
        books.letters.add(letter(1))
        with pytest.raises(KeyError):
            fail()
        with books.transaction():
            books.letters.add(letter(3))
    assert [kept.letter for kept in books.letters.waiting(1, BOB, 0, 10)] == [letter(1), letter(3)]


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    first = SqliteBooks(tmp_path / "rendezvous.db")
    first.nodes.put(replace(NODE, number=first.nodes.next_number(1)))
    first.letters.add(LETTER)
    first.letters.reserve(1, BOB, [CAROL])
    places = first.letters.waiting(1, BOB, 0, 10)
    first.close()
    second = SqliteBooks(tmp_path / "rendezvous.db")
    assert second.nodes.get(1, ALICE) == NODE
    assert second.nodes.next_number(1) == 0x20
    assert second.letters.waiting(1, BOB, 0, 10) == places
    assert second.letters.held_in(1) == Held(1, 1, 7)
    assert second.letters.reserves(1, BOB, CAROL)
    second.close()
    assert (tmp_path / "rendezvous.db").stat().st_mode & 0o777 == 0o600
