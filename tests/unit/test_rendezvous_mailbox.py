"""Sealed mail: kept, bounded, never evicted, and not blocked by strangers (SECURITY.md rule 8)."""

from __future__ import annotations

import pytest

from comity import limits
from comity.errors import InvalidInput, MailboxFull, UnknownPeer
from comity.protocol.registry import Post, Reserve
from comity.rendezvous import mailbox
from comity.rendezvous.memory import MemoryBooks
from comity.rendezvous.stores import Node

NOW = 1_800_000_000.0


def key(number: int) -> bytes:
    return number.to_bytes(32)


ALICE, BOB = key(1), key(2)
FIRST_STRANGER = 100


@pytest.fixture
def books() -> MemoryBooks:
    books = MemoryBooks()
    for number in (1, 2, 3):
        add_node(books, number)
    return books


def add_node(books: MemoryBooks, number: int) -> None:
    books.nodes.rows[1, key(number)] = Node(1, key(number), number * 16, f"lab-{number}", False, (), "", 1, 0)


def post(number: int, recipient: bytes = BOB, blob: bytes = b"sealed") -> Post:
    return Post(id=1, recipient=recipient.hex(), message_id=number.to_bytes(16).hex(), blob=blob, keep=True)


def keep(books: MemoryBooks, sender: bytes, number: int, recipient: bytes = BOB, now: float = NOW) -> None:
    mailbox.keep(books, 1, sender, post(number, recipient), now)


def reserve(books: MemoryBooks, recipient: bytes, *senders: bytes) -> None:
    mailbox.reserve(books, 1, recipient, Reserve(id=1, senders=tuple(sender.hex() for sender in senders)))


def fill(books: MemoryBooks, senders: range, each: int, recipient: bytes = BOB) -> int:
    """How many letters got in."""
    kept = 0
    for sender in senders:
        for number in range(each):
            try:
                keep(books, key(sender), number, recipient)
            except MailboxFull:
                break
            kept += 1
    return kept


def test_mail_waits_in_order_until_it_is_removed(books: MemoryBooks) -> None:
    for number in range(3):
        keep(books, ALICE, number)
    first, *_ = mailbox.waiting(books, 1, BOB, 0, NOW)
    assert mailbox.mail(first.letter).message_id == post(0).message_id
    assert mailbox.mail(first.letter).sender == ALICE.hex()
    assert len(mailbox.waiting(books, 1, BOB, 0, NOW)) == 3
    assert len(mailbox.waiting(books, 1, BOB, first.place, NOW)) == 2


def test_the_same_letter_again_is_no_error(books: MemoryBooks) -> None:
    keep(books, ALICE, 1)
    keep(books, ALICE, 1)
    assert len(mailbox.waiting(books, 1, BOB, 0, NOW)) == 1
    # A sender that missed the answer seals again, and sealing never gives the same bytes twice.
    mailbox.keep(books, 1, ALICE, post(1, blob=b"sealed again"), NOW)
    (waiting,) = mailbox.waiting(books, 1, BOB, 0, NOW)
    assert waiting.letter.blob == b"sealed"
    keep(books, key(3), 1)  # another sender's ids are its own


def test_mail_to_nobody_and_to_oneself(books: MemoryBooks) -> None:
    with pytest.raises(UnknownPeer):
        keep(books, ALICE, 1, recipient=key(99))
    with pytest.raises(UnknownPeer):
        mailbox.keep(books, 2, ALICE, post(1), NOW)
    with pytest.raises(InvalidInput):
        keep(books, ALICE, 1, recipient=ALICE)


def test_mail_expires(books: MemoryBooks) -> None:
    keep(books, ALICE, 1)
    keep(books, ALICE, 2, now=NOW + 10)
    assert len(mailbox.waiting(books, 1, BOB, 0, NOW + limits.MAIL_LIFETIME)) == 2
    assert len(mailbox.waiting(books, 1, BOB, 0, NOW + limits.MAIL_LIFETIME + 1)) == 1
    assert mailbox.waiting(books, 1, BOB, 0, NOW + limits.MAIL_LIFETIME + 11) == []


def test_a_stranger_has_few_places(books: MemoryBooks) -> None:
    assert fill(books, range(1, 2), limits.MAIL_PER_STRANGER + 5) == limits.MAIL_PER_STRANGER


def test_a_stranger_has_few_places_over_all_recipients(books: MemoryBooks) -> None:
    for number in range(FIRST_STRANGER, FIRST_STRANGER + 20):
        add_node(books, number)
    kept = sum(
        fill(books, range(1, 2), limits.MAIL_PER_STRANGER, key(number))
        for number in range(FIRST_STRANGER, FIRST_STRANGER + 20)
    )
    assert kept == limits.MAIL_PER_SENDER


def test_a_reserved_sender_has_more(books: MemoryBooks) -> None:
    reserve(books, BOB, ALICE)
    assert fill(books, range(1, 2), limits.MAIL_PER_SENDER + 5) == limits.MAIL_PER_SENDER


def test_a_flood_of_strangers_neither_evicts_nor_blocks(books: MemoryBooks) -> None:
    friend = key(3)
    reserve(books, BOB, friend)
    keep(books, friend, 1)
    crowd = range(FIRST_STRANGER, FIRST_STRANGER + 40)
    assert fill(books, crowd, limits.MAIL_PER_STRANGER) == limits.MAIL_STRANGERS
    with pytest.raises(MailboxFull):
        keep(books, ALICE, 1)
    assert fill(books, range(3, 4), limits.MAIL_PER_SENDER) == limits.MAIL_PER_SENDER
    assert mailbox.waiting(books, 1, BOB, 0, NOW)[0].letter.sender == friend


def test_a_mailbox_has_an_end_for_friends_too(books: MemoryBooks) -> None:
    friends = range(FIRST_STRANGER, FIRST_STRANGER + 15)
    reserve(books, BOB, *map(key, friends))
    assert fill(books, friends, limits.MAIL_PER_SENDER) == limits.MAIL_PER_RECIPIENT
    reserve(books, BOB)  # what lies there stays, whoever is reserved for later
    assert books.letters.held_for(1, BOB).all == limits.MAIL_PER_RECIPIENT


def test_a_network_keeps_room_for_reserved_senders(
    books: MemoryBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAIL_PER_NETWORK", 12)
    monkeypatch.setattr(limits, "MAIL_PER_NETWORK_STRANGERS", 8)
    reserve(books, BOB, ALICE)
    crowd = range(FIRST_STRANGER, FIRST_STRANGER + 12)
    assert fill(books, crowd, 1, key(3)) == 8
    assert fill(books, range(1, 2), 20) == 4


def test_an_acknowledged_letter_makes_room(books: MemoryBooks) -> None:
    fill(books, range(1, 2), limits.MAIL_PER_STRANGER)
    assert books.letters.remove(1, BOB, ALICE, (0).to_bytes(16))
    keep(books, ALICE, 777)


def test_a_signal_names_its_sender() -> None:
    signal = mailbox.signal(ALICE, post(7), NOW)
    assert (signal.sender, signal.keep, signal.posted) == (ALICE.hex(), False, int(NOW))
