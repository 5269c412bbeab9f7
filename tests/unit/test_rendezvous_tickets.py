"""The ticket book: single use, two roles, one lane, half a minute (SECURITY.md rule 8)."""

from __future__ import annotations

import pytest

from comity import limits
from comity.errors import LocalProtocolError, RateLimited
from comity.protocol.tickets import Lane, Role, TicketBook

NOW = 1000.0
ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32


def ticket(number: int) -> bytes:
    return number.to_bytes(limits.TICKET_BYTES)


def issued(book: TicketBook, first: int = 1, dialler: bytes = ALICE, now: float = NOW) -> Lane:
    return book.issue(1, dialler, BOB, (ticket(first), ticket(first + 1)), now)


def test_each_side_has_its_own_seat() -> None:
    book = TicketBook()
    lane = issued(book)
    dialler, acceptor = book.redeem(ticket(1), NOW), book.redeem(ticket(2), NOW)
    assert dialler is not None
    assert acceptor is not None
    assert (dialler.lane, acceptor.lane) == (lane, lane)
    assert (dialler.role, acceptor.role) == (Role.DIALLER, Role.ACCEPTOR)
    assert (lane.key(dialler.role), lane.key(acceptor.role)) == (ALICE, BOB)


def test_a_ticket_opens_once() -> None:
    book = TicketBook()
    issued(book)
    assert book.redeem(ticket(1), NOW)
    assert book.redeem(ticket(1), NOW) is None


def test_one_role_never_takes_both_seats() -> None:
    book = TicketBook()
    issued(book, 1)
    issued(book, 3)
    first, second = book.redeem(ticket(1), NOW), book.redeem(ticket(3), NOW)
    assert first is not None
    assert second is not None
    assert first.role is second.role is Role.DIALLER
    assert first.lane.number != second.lane.number


@pytest.mark.parametrize("guess", [b"", bytes(32), ticket(1)[:31], ticket(1) + b"\0", bytes(64)])
def test_an_unknown_ticket_opens_nothing(guess: bytes) -> None:
    book = TicketBook()
    issued(book)
    assert book.redeem(guess, NOW) is None


def test_a_ticket_expires() -> None:
    book = TicketBook()
    lane = issued(book)
    assert book.expire(lane.expires - 0.001) == []
    assert book.redeem(ticket(1), lane.expires) is None
    assert len(book) == 0


def test_the_second_side_may_come_late_but_not_too_late() -> None:
    book = TicketBook()
    lane = issued(book)
    assert book.redeem(ticket(1), NOW)
    assert book.redeem(ticket(2), lane.expires - 0.001)


def test_lanes_that_have_not_met_are_bounded_by_dialler() -> None:
    book = TicketBook()
    for number in range(limits.TICKETS_PER_NODE):
        issued(book, 2 * number)
    with pytest.raises(RateLimited):
        issued(book, 10_000)
    issued(book, 20_000, dialler=CAROL)


def test_lanes_that_met_or_expired_no_longer_count() -> None:
    book = TicketBook()
    for number in range(limits.TICKETS_PER_NODE):
        issued(book, 2 * number)
    book.redeem(ticket(0), NOW)
    with pytest.raises(RateLimited):
        issued(book, 10_000)
    book.redeem(ticket(1), NOW)
    issued(book, 10_000)
    issued(book, 20_000, now=NOW + limits.TICKET_LIFETIME)
    assert len(book) == 1


def test_the_book_holds_no_ticket() -> None:
    book = TicketBook()
    secret = bytes(range(32))
    book.issue(1, ALICE, BOB, (secret, bytes(reversed(secret))), NOW)
    assert secret not in b"".join(book._seats)


@pytest.mark.parametrize("pair", [(bytes(32), bytes(32)), (bytes(31), ticket(1)), (ticket(1), b"")])
def test_bad_entropy_is_our_bug(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        TicketBook().issue(1, ALICE, BOB, pair, NOW)
