"""An operator's order to turn the server's time back, after its machine's clock had once been far ahead.

Time never goes back by itself (SECURITY.md rule 2): what was seen to expire must not count again because a
clock is wrong. A person can know that it was the earlier time that was wrong. What expired in the time that
never was stays so here where that can let somebody in: invitations. Registrations, tickets, retired and
removed keys do not hang on the clock. The admin log tells of it, and of its later times nothing is taken
away.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comity import limits
from comity.clock import Clock, rfc3339
from comity.control.rendezvous import ForcedClockBack
from comity.errors import InvalidInput
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.state import State
from comity.rendezvous.stores import Books
from comity.rendezvous.tenancy import Act
from comity.rendezvous.timing import latest


def force_clock_back(folder: Path, clock: Clock, who: str) -> ForcedClockBack:
    """Set the time of the stopped server of ``folder`` to the machine's.

    AlreadyRunning while it serves; InvalidInput where its time is not ahead.
    """
    state = State(folder)
    try:
        books = SqliteBooks(state.database)
        try:
            with books.transaction():
                return turn_back(books, clock.now(), who)
        finally:
            books.close()
    finally:
        state.close()


def turn_back(books: Books, now: float, who: str) -> ForcedClockBack:
    """The same inside a transaction, at ``now``."""
    was = latest(books)
    if was <= now + limits.CLOCK_SKEW:
        raise InvalidInput(
            "the server's time is not ahead of this machine's clock: there is nothing to turn back",
            hint="run comity rendezvous status",
        )
    ended = 0
    for network in books.tenancy.networks():
        for invitation in books.tenancy.invitations(network.number):
            seen_to_expire = now < invitation.expires <= was
            if not invitation.revoked and (seen_to_expire or invitation.created > now):
                books.tenancy.put_invitation(replace(invitation, revoked=int(now)))
                ended += 1
    turned = ForcedClockBack(
        was=rfc3339(was),
        now=rfc3339(now),
        nodes=books.nodes.not_after(int(now)),
        letters=books.letters.not_after(int(now)),
        ended_invitations=ended,
    )
    detail = f"from {turned.was}, invitations ended: {ended}"
    books.tenancy.note(Act(int(now), who, "clock forced back", 0, detail))
    return turned
