"""The session's state chart, event by event."""

from __future__ import annotations

import pytest

from comity import limits
from comity.errors import LocalProtocolError
from comity.identity.keys import Identity, PublicKey
from comity.protocol.session.duplicate import Contender, outranks
from comity.protocol.session.machine import (
    TRANSITIONS,
    Closed,
    CloseRequested,
    Dead,
    Deliver,
    Event,
    MessageReceived,
    Opened,
    Output,
    Rtt,
    Send,
    Session,
    State,
    StatementHandled,
    TellRequested,
    Tick,
    Told,
)
from comity.protocol.session.messages import (
    DUPLICATE,
    Goodbye,
    Message,
    Ping,
    Pong,
    Statement,
    StatementTaken,
    encode_message,
    parse_message,
)


def opened(now: float = 0.0) -> Session:
    session = Session()
    assert messages(session.handle(Opened(), now)) == [Ping(n=1)]
    return session


def receive(session: Session, message: Message, now: float = 0.0) -> list[Output]:
    return session.handle(MessageReceived(encode_message(message)), now)


def messages(outputs: list[Output]) -> list[Message]:
    return [parse_message(output.body) for output in outputs if isinstance(output, Send)]


def test_heartbeats_and_round_trip_times() -> None:
    session = opened()
    assert receive(session, Pong(n=1), 0.25) == [Rtt(250.0)]
    assert session.handle(Tick(), 1.0) == []
    assert session.deadline == limits.HEARTBEAT_EVERY
    assert messages(session.handle(Tick(), limits.HEARTBEAT_EVERY)) == [Ping(n=2)]
    assert messages(receive(session, Ping(n=77))) == [Pong(n=77)]


def test_silence_is_death_within_ten_seconds() -> None:
    session, now = opened(), 0.0
    while session.state is State.OPEN:
        assert session.deadline is not None
        now = session.deadline
        outputs = session.handle(Tick(), now)
    assert outputs == [Dead(f"nothing was heard for {limits.PEER_DEAD_AFTER:g} seconds")]
    assert now == limits.PEER_DEAD_AFTER < 10
    assert session.deadline is None


def test_any_message_is_a_sign_of_life_but_pings_must_be_answered() -> None:
    session, now = opened(), 0.0
    outputs: list[Output] = []
    for n in range(1, 100):
        now += limits.HEARTBEAT_EVERY
        receive(session, Ping(n=n), now)
        outputs = session.handle(Tick(), now)
        if session.state is State.DEAD:
            break
    assert outputs == [Dead("the peer answers no pings")]


def test_statement_is_acknowledged_after_it_was_handled() -> None:
    session = opened()
    assert receive(session, Statement(id=1, envelope="{}")) == [Deliver(1, "{}")]
    assert receive(session, Statement(id=3, envelope="[]")) == [Deliver(3, "[]")]
    assert messages(session.handle(StatementHandled(3), 0.0)) == [StatementTaken(id=3)]
    assert messages(session.handle(StatementHandled(1), 0.0)) == [StatementTaken(id=1)]
    with pytest.raises(LocalProtocolError):
        session.handle(StatementHandled(1), 0.0)


def test_tell_ends_with_told() -> None:
    session = opened()
    assert messages(session.handle(TellRequested(1, "{}"), 0.0)) == [Statement(id=1, envelope="{}")]
    assert receive(session, StatementTaken(id=1)) == [Told(1)]
    with pytest.raises(LocalProtocolError):
        session.handle(TellRequested(1, "{}"), 0.0)


def test_goodbyes() -> None:
    session = opened()
    outputs = session.handle(CloseRequested(DUPLICATE), 0.0)
    assert messages(outputs) == [Goodbye(reason=DUPLICATE)]
    assert outputs[-1] == Closed(DUPLICATE, by_peer=False)
    assert receive(opened(), Goodbye(reason="later")) == [Closed("later", by_peer=True)]
    assert messages(Session().handle(CloseRequested(DUPLICATE), 0.0)) == [Goodbye(reason=DUPLICATE)]


@pytest.mark.parametrize(
    "message",
    [
        Pong(n=9),
        StatementTaken(id=1),
        b"",
        b"{}",
        b'{"type":"ping"}',
        b'{"type":"ping","n":0}',
        b'{"type":"ping","n":1,"extra":1}',
        b'{"type":"punch","n":1}',
        b'{"type":"goodbye","reason":"\xff"}',
        b"[" * 5000,
        b" " * (limits.FRAME_BYTES + 1),
    ],
)
def test_broken_protocol_is_death_and_no_exception(message: Message | bytes) -> None:
    session = opened()
    body = message if isinstance(message, bytes) else encode_message(message)
    outputs = session.handle(MessageReceived(body), 0.0)
    assert [type(output) for output in outputs] == [Dead]
    assert session.state is State.DEAD


def test_statements_out_of_order_and_floods_are_death() -> None:
    session = opened()
    receive(session, Statement(id=2, envelope=""))
    assert isinstance(receive(session, Statement(id=2, envelope=""))[0], Dead)
    session = opened()
    for n in range(1, limits.SESSION_STATEMENTS + 1):
        receive(session, Statement(id=n, envelope=""))
    assert isinstance(receive(session, Statement(id=n + 1, envelope=""))[0], Dead)


def test_peer_that_acknowledges_nothing_is_dead() -> None:
    session = opened()
    for n in range(1, limits.SESSION_STATEMENTS + 1):
        session.handle(TellRequested(n, ""), 0.0)
    assert session.handle(TellRequested(n + 1, ""), 0.0) == [Dead("the peer acknowledges nothing")]


EVENTS: list[Event] = [
    Opened(),
    MessageReceived(encode_message(Ping(n=1))),
    Tick(),
    TellRequested(1, "{}"),
    StatementHandled(1),
    CloseRequested("x"),
]


def in_state(state: State) -> Session:
    session = Session()
    if state is State.NEW:
        return session
    session.handle(Opened(), 0.0)
    receive(session, Statement(id=1, envelope=""))
    if state is State.CLOSED:
        session.handle(CloseRequested(""), 0.0)
    elif state is State.DEAD:
        session.handle(Tick(), 100.0)
    assert session.state is state
    return session


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_transitions_are_the_table(state: State, event: Event) -> None:
    session = in_state(state)
    allowed = TRANSITIONS.get((state, type(event)))
    if allowed is None:
        with pytest.raises(LocalProtocolError):
            session.handle(event, 0.0)
        return
    outputs = session.handle(event, 0.0)
    assert session.state in allowed
    if state in (State.CLOSED, State.DEAD):
        assert outputs == []


A, B = sorted((Identity.generate().public, Identity.generate().public))


def contender(client: PublicKey, path: str = "relay", instance: str = "1" * 32) -> Contender:
    return Contender(client=client, path=path, instance=instance)


@pytest.mark.parametrize(
    ("stays", "goes"),
    [
        (contender(A), contender(B)),
        (contender(A, "direct"), contender(B, "direct")),
        (contender(B, "direct"), contender(A, "relay")),
        (contender(B, "direct"), contender(A, "punched")),
        (contender(A, "punched"), contender(B, "carrier-pigeon")),
    ],
)
def test_both_sides_keep_the_same_of_two(stays: Contender, goes: Contender) -> None:
    assert outranks(stays, goes)
    assert not outranks(goes, stays)


def test_a_restart_and_a_second_dial_by_the_same_side_replace() -> None:
    assert outranks(contender(B, "relay", "2" * 32), contender(A, "direct"))
    assert outranks(contender(A, "relay"), contender(A, "direct"))


def test_an_attempt_at_a_better_path_that_found_none_replaces_nothing() -> None:
    for path, better in (("direct", True), ("punched", True), ("relay", False), ("elsewhere", False)):
        upgrade = Contender(B, path, "1" * 32, upgrade=True)
        assert outranks(upgrade, contender(B, "relay")) is better
        assert outranks(upgrade, contender(A, "relay")) is better
