"""What holds for every sequence: tickets, token buckets, a connection's states, the mailbox's bounds."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import MailboxFull, RateLimited
from comity.identity.keys import Identity
from comity.protocol.registration import Admitted, Denied, Ended, Entry, Event, Phase, Refuse, Serve
from comity.protocol.registry import Find, Open, Ping, Post, Register, Reserve
from comity.protocol.tickets import Role, TicketBook
from comity.rendezvous import mailbox
from comity.rendezvous.buckets import Buckets, Rate
from comity.rendezvous.memory import MemoryBooks
from comity.rendezvous.stores import Node
from tests.rendezvous.nodes import Registrant

NOW = 1_800_000_000.0
SERVER = Identity.generate().public.fingerprint
NODE = Registrant(SERVER, hostname="lab-a")
NONCE = bytes(32)


@given(st.lists(st.tuples(st.sampled_from(["issue", "redeem", "wait"]), st.integers(0, 200)), max_size=80))
def test_no_ticket_opens_twice_late_or_with_another_lane(steps: list[tuple[str, int]]) -> None:
    book, now, out, came = TicketBook(), 0.0, {}, set()
    for numbers, (step, value) in zip(itertools.count(0, 2), steps, strict=False):
        if step == "issue":
            pair = (numbers.to_bytes(32), (numbers + 1).to_bytes(32))
            try:
                lane = book.issue(1, bytes([value % 3]), b"b", pair, now)
            except RateLimited:
                continue
            out.update(dict(zip(pair, ((lane, role) for role in Role), strict=True)))
        elif step == "redeem" and out:
            ticket = list(out)[value % len(out)]
            lane, role = out[ticket]
            seat = book.redeem(ticket, now)
            assert (seat is not None) == (ticket not in came and now < lane.expires)
            if seat is not None:
                assert (seat.lane, seat.role) == (lane, role)
            came.add(ticket)
        else:
            now += value / 10
    book.expire(now + limits.TICKET_LIFETIME)
    assert len(book) == 0
    assert not book._asked
    assert not book._seats
    assert not book._came


@given(
    st.integers(1, 20),
    st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=100),
)
def test_a_bucket_never_gives_more_than_its_rate(burst: int, per_second: float, waits: list[float]) -> None:
    buckets, now, taken = Buckets(Rate(burst, per_second)), 0.0, []
    for wait in waits:
        now += wait
        if buckets.take("key", now):
            taken.append(now)
        if wait > 4:
            buckets.sweep(now)
    for first, last in itertools.combinations(range(len(taken)), 2):
        assert last - first + 1 <= burst + (taken[last] - taken[first]) * per_second + 1.001
    buckets.sweep(now + burst / per_second + 1)
    assert len(buckets) == 0


@given(st.integers(1, 20), st.sampled_from([0.5, 1.0, 3.0]))
def test_a_rested_bucket_gives_its_whole_burst_and_no_more(burst: int, per_second: float) -> None:
    buckets = Buckets(Rate(burst, per_second))
    assert [buckets.take("key", 5.0) for _ in range(burst + 1)] == [True] * burst + [False]
    assert buckets.take("other", 5.0)
    assert not buckets.take("key", 5.0 + 0.9 / per_second)
    assert buckets.take("key", 5.0 + 1.1 / per_second)


MESSAGES = st.one_of(
    st.builds(
        Open,
        oldest=st.integers(1, 3),
        newest=st.integers(1, 3),
        network=st.integers(1, 2),
        instance=st.just("0" * 32),
    ),
    st.just(NODE.register(NONCE, NOW)),
    st.builds(Register, id=st.just(4), statement=st.text(max_size=50), sealing_key=st.text(max_size=50)),
    st.just(Ping(id=1)),
    st.just(Find(id=2)),
    st.sampled_from([Admitted(), Denied(), Ended()]),
)


@given(st.lists(MESSAGES, max_size=12))
def test_a_connection_serves_only_after_the_registry_admitted(events: list[Event]) -> None:
    entry = Entry(SERVER, NODE.identity.public, NONCE)
    admitted = False
    for event in events:
        before = entry.phase
        effects = entry.handle(event, NOW)
        admitted = admitted or (isinstance(event, Admitted) and before is Phase.JUDGING)
        assert admitted or not any(isinstance(effect, Serve) for effect in effects)
        if any(isinstance(effect, Refuse) and effect.id == 0 for effect in effects):
            assert entry.phase is Phase.CLOSED
        assert before is not Phase.CLOSED or entry.phase is Phase.CLOSED


def node_key(number: int) -> bytes:
    return number.to_bytes(32)


PEOPLE = st.integers(0, 5)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("post"), PEOPLE, PEOPLE),
            st.tuples(st.just("reserve"), PEOPLE, PEOPLE),
            st.tuples(st.just("acknowledge"), PEOPLE, PEOPLE),
        ),
        max_size=60,
    )
)
def test_unread_mail_is_never_lost_and_bounds_hold(steps: list[tuple[str, int, int]]) -> None:
    books = MemoryBooks()
    for number in range(6):
        books.nodes.rows[1, node_key(number)] = Node(
            1, node_key(number), number, str(number), False, (), "", 1, 0
        )
    accepted: dict[tuple[bytes, bytes], list[bytes]] = {}
    for message_id, (step, sender, recipient) in enumerate(steps):
        pair = (node_key(sender), node_key(recipient))
        if sender == recipient:
            continue
        if step == "post":
            name = message_id.to_bytes(16)
            request = Post(id=1, recipient=pair[1].hex(), message_id=name.hex(), blob=b"x", keep=True)
            try:
                mailbox.keep(books, 1, pair[0], request, NOW)
            except MailboxFull:
                continue
            accepted.setdefault(pair, []).append(name)
        elif step == "reserve":
            mailbox.reserve(books, 1, pair[1], Reserve(id=1, senders=(pair[0].hex(),)))
        elif waiting := accepted.get(pair):
            assert books.letters.remove(1, pair[1], pair[0], waiting.pop())
    for (sender_key, recipient_key), names in accepted.items():
        kept = books.letters.waiting(1, recipient_key, 0, 1000)
        assert [one.letter.message_id for one in kept if one.letter.sender == sender_key] == names
