"""What the books promise about networks, invitations, removals and acts: in SQLite, on disk, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from comity import limits
from comity.errors import InvalidInput, LocalProtocolError
from comity.rendezvous.actlog import parse_head, problem
from comity.rendezvous.memory import MemoryBooks
from comity.rendezvous.quotas import LARGEST
from comity.rendezvous.schema import SCHEMA_1
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.stores import Books, Letter, Node
from comity.rendezvous.tenancy import Act, EndedKey, Invitation, Network, Relayed, Removal
from comity.storage.database import Database

KEY, OTHER = b"a" * 32, b"b" * 32
STUDY = Network(2, "lung-study", False, 10, 20, 1000)
INVITATION = Invitation(0, 2, b"d" * 32, 3, 0, 1000, 2000, note="for Charité")
NODE = Node(2, KEY, 0x10, "lab-a", True, ("lung",), "{}", 1, 1000)


@pytest.fixture(params=["memory", "sqlite", "file"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    tmp_path.chmod(0o700)
    make: dict[str, Callable[[], Books]] = {
        "memory": MemoryBooks,
        "sqlite": lambda: SqliteBooks(":memory:"),
        "file": lambda: SqliteBooks(tmp_path / "rendezvous.db"),
    }
    made = make[request.param]()
    made.tenancy.put_network(STUDY)
    yield made
    made.close()


def test_the_first_network_is_there_and_open(books: Books) -> None:
    first = Network(1, "default", True, limits.NODES_PER_NETWORK, limits.MAIL_PER_NETWORK, 0)
    assert books.tenancy.networks() == [first, STUDY]
    assert books.tenancy.network(1) == first
    assert books.tenancy.network(3) is None
    assert books.nodes.networks() == {1, 2}


def test_a_network_changes_and_keeps_its_numbers(books: Books) -> None:
    assert books.nodes.next_number(2) == limits.NODE_FIRST
    books.tenancy.put_network(replace(STUDY, open=True, max_nodes=5))
    assert books.tenancy.network(2) == replace(STUDY, open=True, max_nodes=5)
    assert books.nodes.next_number(2) == limits.NODE_FIRST + limits.NODE_STEP
    with pytest.raises(LocalProtocolError):
        books.tenancy.put_network(replace(STUDY, number=3))


def test_invitations(books: Books) -> None:
    assert books.tenancy.last_invitation() == 0
    first = books.tenancy.add_invitation(INVITATION)
    second = books.tenancy.add_invitation(replace(INVITATION, digest=b"e" * 32, network=1))
    assert (first.id, second.id, books.tenancy.last_invitation()) == (1, 2, 2)
    assert first == replace(INVITATION, id=1)
    assert books.tenancy.invitation(1) == books.tenancy.invitation_of(b"d" * 32) == first
    assert books.tenancy.invitation(3) is books.tenancy.invitation_of(b"f" * 32) is None
    assert books.tenancy.invitations(2) == [first]
    books.tenancy.put_invitation(replace(first, used=2, revoked=1500, note="ignored"))
    assert books.tenancy.invitation(1) == replace(first, used=2, revoked=1500)


def test_removals_and_released_names(books: Books) -> None:
    books.tenancy.remove(2, KEY, Removal(0x10, 7))
    assert books.tenancy.removal(2, KEY) == Removal(0x10, 7)
    assert books.tenancy.removal(1, KEY) is None
    books.tenancy.readmit(2, KEY)
    assert books.tenancy.removal(2, KEY) is None
    books.tenancy.release(2, "lab-a", KEY)
    books.tenancy.release(2, "lab-a", KEY)
    assert books.tenancy.released(2, "lab-a", KEY)
    assert not any(
        books.tenancy.released(*each) for each in ((1, "lab-a", KEY), (2, "lab-b", KEY), (2, "lab-a", OTHER))
    )


def test_acts_come_oldest_first(books: Books) -> None:
    made = [Act(at, "uid 0", "invited", 2, str(at)) for at in range(5)]
    for act in made:
        books.tenancy.note(act)
    assert books.tenancy.acts(3) == made[2:]
    assert books.tenancy.acts(100) == made


def test_a_node_is_forgotten_with_its_mail(books: Books) -> None:
    books.nodes.put(NODE)
    books.nodes.put(replace(NODE, key=OTHER, number=0x20, hostname="lab-b"))
    for recipient in (KEY, OTHER):
        books.letters.add(Letter(2, recipient, b"s" * 32, bytes(16), b"sealed", 1000, reserved=False))
        books.letters.reserve(2, recipient, [b"s" * 32])
    assert [node.hostname for node in books.nodes.everyone(2)] == ["lab-a", "lab-b"]
    assert books.nodes.everyone(1) == []
    books.letters.drop(2, KEY)
    books.nodes.remove(2, KEY)
    assert books.nodes.get(2, KEY) is None
    assert [node.hostname for node in books.nodes.listed(2, "lung", 10)] == ["lab-b"]
    assert (books.letters.held_for(2, KEY).all, books.letters.held_for(2, OTHER).all) == (0, 1)
    assert (books.letters.reserves(2, KEY, b"s" * 32), books.letters.reserves(2, OTHER, b"s" * 32)) == (
        False,
        True,
    )
    assert books.letters.held_in(2).all == 1


def test_what_failed_never_was(books: Books) -> None:
    class Undone(Exception):
        pass

    def work() -> None:
        books.tenancy.put_network(replace(STUDY, number=3, name="other"))
        books.tenancy.add_invitation(INVITATION)
        books.tenancy.remove(2, KEY, Removal(1, 1))
        books.tenancy.release(2, "lab-a", KEY)
        books.tenancy.note(Act(1, "", "", 2, ""))
        raise Undone

    with pytest.raises(Undone), books.transaction():
        work()
    assert books.tenancy.networks()[1:] == [STUDY]
    assert books.tenancy.invitations(2) == []
    assert books.tenancy.removal(2, KEY) is None
    assert not books.tenancy.released(2, "lab-a", KEY)
    assert books.tenancy.acts(10) == []
    books.tenancy.put_network(replace(STUDY, number=3, name="other"))
    assert books.nodes.next_number(3) == limits.NODE_FIRST


def test_a_database_from_before_networks_is_brought_up_to_date(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    old = Database(tmp_path / "rendezvous.db", (SCHEMA_1,))
    old.execute("UPDATE networks SET next_number = 32")
    old.close()
    books = SqliteBooks(tmp_path / "rendezvous.db")
    assert [network.name for network in books.tenancy.networks()] == ["default"]
    assert books.nodes.next_number(1) == 32
    books.close()


def test_keys_that_have_ended(books: Books) -> None:
    assert books.tenancy.ended_key(KEY) is None
    rotated = EndedKey(KEY, 1000, "rotated", "to another", "{}")
    books.tenancy.end_key(rotated)
    assert books.tenancy.ended_key(KEY) == rotated
    books.tenancy.end_key(replace(rotated, how="retired", reason="stolen"))
    found = books.tenancy.ended_key(KEY)
    assert found is not None
    assert (found.how, found.reason) == ("retired", "stolen")
    assert books.tenancy.ended_key(OTHER) is None
    for network in (1, 2, 2):
        books.tenancy.end_member(KEY, network)
    assert books.tenancy.ended_in(KEY) == {1, 2}
    assert books.tenancy.ended_in(OTHER) == set()


def test_who_keeps_slots_for_a_sender(books: Books) -> None:
    books.nodes.put(NODE)
    books.letters.reserve(2, KEY, [OTHER, b"c" * 32])
    books.letters.reserve(1, b"c" * 32, [OTHER])
    assert books.letters.reserving(OTHER) == [(1, b"c" * 32), (2, KEY)]
    books.letters.reserve(2, KEY, [])
    assert books.letters.reserving(OTHER) == [(1, b"c" * 32)]


def test_quotas_are_kept_with_their_network(books: Books) -> None:
    quotas = LARGEST.changed({"node_lanes": 3, "mail_bytes": limits.MAIL_BYTES})
    books.tenancy.put_network(replace(STUDY, quotas=quotas))
    kept = books.tenancy.network(2)
    assert kept is not None
    assert kept.quotas == quotas
    assert kept.quotas.set() == {"node_lanes": 3, "mail_bytes": limits.MAIL_BYTES}


@pytest.mark.parametrize(
    "values", [{"nonsense": 1}, {"node_lanes": 0}, {"node_lanes": 65}, {"mail_bytes": 1}]
)
def test_quotas_out_of_bounds(values: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        LARGEST.changed(values)


def test_what_was_relayed_is_kept_for_a_day(books: Books) -> None:
    first, second = Relayed(2, KEY, 20_000, 7), Relayed(2, OTHER, 20_000, 9)
    books.tenancy.note_relayed([first, second])
    books.tenancy.note_relayed([replace(first, bytes=8)])
    assert sorted(books.tenancy.relayed(20_000), key=lambda row: row.key) == [replace(first, bytes=8), second]
    books.tenancy.note_relayed([replace(first, day=20_001)])
    assert books.tenancy.relayed(20_000) == []
    assert books.tenancy.relayed(20_001) == [replace(first, day=20_001)]


def test_marks(books: Books) -> None:
    assert books.tenancy.mark("backup") == 0
    books.tenancy.set_mark("backup", 1000)
    books.tenancy.set_mark("backup", 900)
    assert (books.tenancy.mark("backup"), books.tenancy.mark("other")) == (900, 0)


def test_the_log_has_a_head_that_commits_to_it(books: Books) -> None:
    heads = [books.tenancy.note(Act(1000 + number, "uid 0", "did", 2, "")) for number in range(5)]
    assert [head.size for head in heads] == [1, 2, 3, 4, 5]
    assert [books.tenancy.rebuilt(head.size) for head in heads] == heads
    assert books.tenancy.head() == books.tenancy.rebuilt() == heads[-1]
    assert parse_head(str(heads[2])) == heads[2]
    assert not problem(books.tenancy, heads[2])
    assert problem(books.tenancy, replace(heads[2], root=heads[3].root))
    assert problem(books.tenancy, replace(heads[4], size=6))


def test_times_of_the_future_are_set_back(books: Books) -> None:
    books.nodes.put(NODE)
    books.letters.add(Letter(2, KEY, OTHER, b"m" * 16, b"sealed", 5000, False))
    assert (books.nodes.not_after(900), books.letters.not_after(6000)) == (1, 0)
    assert books.letters.not_after(900) == 1
    assert books.nodes.latest() == books.letters.latest() == 900
