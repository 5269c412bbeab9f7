"""The server's small parts: who is online, the lobby, the log's lines, the flags, the listeners."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path

import pytest

from comity import limits
from comity.clock import ManualClock
from comity.errors import ComityError, InvalidInput
from comity.protocol.registry import ServerMessage
from comity.rendezvous.doors import listen, observed
from comity.rendezvous.journal import JsonFormatter, TextFormatter
from comity.rendezvous.lobby import Lobby, place_of
from comity.rendezvous.options import Endpoint, parse_advertise, parse_listen, parse_options
from comity.rendezvous.presence import NodeKey, Presence

KEY = b"k" * 32


class Somebody:
    def __init__(self, node: NodeKey = (1, KEY)) -> None:
        self.node = node

    def push(self, message: ServerMessage) -> bool:
        return True

    def mail_came(self) -> None: ...

    def expel(self, error: ComityError) -> None: ...

    def supersede(self, instance: str) -> None: ...

    def go_away(self, within: int) -> None: ...


def test_who_is_online() -> None:
    presence, older, newer = Presence(), Somebody(), Somebody()
    assert presence.get(1, KEY) is None
    assert presence.enter(older) is None
    assert presence.enter(older) is None
    assert presence.get(1, KEY) is older
    assert presence.get(2, KEY) is None
    assert presence.enter(newer) is older
    presence.leave(older, 5.0)
    assert presence.get(1, KEY) is newer
    assert presence.departures() == {}
    presence.leave(newer, 7.9)
    assert (len(presence), presence.departures(), presence.departures()) == (0, {(1, KEY): 7}, {})


def test_who_came_back_did_not_leave() -> None:
    presence = Presence()
    presence.enter(Somebody())
    presence.leave(somebody := Somebody(), 1.0)
    presence.enter(somebody)
    presence.leave(somebody, 2.0)
    presence.enter(somebody)
    assert presence.departures() == {}


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def test_the_lobby_lets_the_oldest_go_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 2)
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_GRACE", 0.1)
    clock = ManualClock()
    lobby = Lobby(clock)
    guests = [asyncio.create_task(wait_for_ever()) for _ in range(3)]
    for guest in guests[:2]:
        await lobby.room()
        lobby.enter(guest)
        clock.advance(0.01)
    waiting = asyncio.create_task(lobby.room())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    clock.advance(0.1)
    assert await waiting
    lobby.enter(guests[2])
    await asyncio.wait(guests[:1])
    assert [guest.cancelled() for guest in guests] == [True, False, False]
    assert len(lobby) == 2
    lobby.leave(guests[1])
    assert not await lobby.room()
    for guest in guests[1:]:
        guest.cancel()
    await asyncio.wait(guests)


async def test_somebody_who_leaves_the_lobby_makes_room_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED", 1)
    lobby = Lobby(ManualClock())
    guest = asyncio.create_task(wait_for_ever())
    lobby.enter(guest)
    waiting = asyncio.create_task(lobby.room())
    await asyncio.sleep(0)
    lobby.leave(guest)
    async with asyncio.timeout(60):
        assert not await waiting
    guest.cancel()
    await asyncio.wait([guest])


async def test_an_address_that_has_its_share_takes_nobody_elses_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_PER_ADDRESS", 2)
    monkeypatch.setattr(limits, "RENDEZVOUS_UNREGISTERED_GRACE", 0.1)
    clock = ManualClock()
    lobby = Lobby(clock)
    guests = [asyncio.create_task(wait_for_ever()) for _ in range(5)]
    for guest in guests[:2]:
        assert lobby.welcomes("198.51.100.7")
        lobby.enter(guest, "198.51.100.7")
        clock.advance(0.01)
    assert not lobby.welcomes("198.51.100.7")
    for guest, place in ((guests[2], "198.51.100.8"), (guests[3], "")):
        assert lobby.welcomes(place)
        lobby.enter(guest, place)
    clock.advance(0.085)
    assert lobby.welcomes("198.51.100.7")  # its oldest has had its time, and leaves for it
    lobby.enter(guests[4], "198.51.100.7")
    await asyncio.wait(guests[:1])
    assert [guest.cancelled() for guest in guests] == [True, False, False, False, False]
    assert not lobby.welcomes("198.51.100.7")
    lobby.leave(guests[1])
    assert lobby.welcomes("198.51.100.7")
    for guest in guests[1:]:
        guest.cancel()
    await asyncio.wait(guests)


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("198.51.100.7:1234", "198.51.100.7"),
        ("127.0.0.2:1234", "127.0.0.2"),
        ("[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::1]:1234", "2001:db8:1:2::/64"),
        ("127.0.0.1:1234", ""),
        ("[::1]:1234", ""),
        ("", ""),
    ],
)
def test_whose_share_a_connection_is(remote: str, place: str) -> None:
    assert place_of(remote) == place


def line(**fields: object) -> logging.LogRecord:
    record = logging.LogRecord("comity.rendezvous", logging.INFO, "", 0, "registered", (), None)
    record.created = 1_800_000_000.5
    record.fields = fields
    return record


def test_a_line_of_text() -> None:
    text = TextFormatter().format(line(address="1:0001.0000.0010", hostname="lab a", n=3, s=0.5, none=None))
    assert text == (
        '2027-01-15T08:00:00Z info registered address=1:0001.0000.0010 hostname="lab a" n=3 s=0.5 none=null'
    )


def test_what_peers_chose_is_escaped() -> None:
    hostile = "a\n2027-01-15T08:00:00Z info stopped\x1b[2J\u202e"
    for form in (TextFormatter(), JsonFormatter()):
        text = form.format(line(reason=hostile))
        assert len(text.splitlines()) == 1
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert len(TextFormatter().format(line(reason="x" * 100_000))) < 1000


def test_a_line_of_json() -> None:
    assert json.loads(JsonFormatter().format(line(hostname="lab-a", n=3))) == {
        "at": "2027-01-15T08:00:00Z",
        "level": "info",
        "event": "registered",
        "hostname": "lab-a",
        "n": 3,
    }


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9000", "", 9000),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:9000", "::1", 9000),
        ("[::]:9000", "::", 9000),
        ("localhost:65535", "localhost", 65535),
    ],
)
def test_listen(text: str, host: str, port: int) -> None:
    assert parse_listen(text) == Endpoint(host, port)


@pytest.mark.parametrize(
    "text", ["", "9000", "a:", "a:x", "a:65536", "a:-1", "a:٣", "a b:1", "::1:9000", "[x]:1"]
)
def test_listen_refuses(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_listen(text)


@pytest.mark.parametrize("text", ["comity://r.example:443", "r.example:443", "R.EXAMPLE:443"])
def test_advertise(text: str) -> None:
    assert parse_advertise(text) == Endpoint("r.example", 443)


@pytest.mark.parametrize(
    "text", ["", "r.example", "r:0", "https://r:1", "comity://r:1/2", "r:1#x", "u@r:1", ":9000"]
)
def test_advertise_refuses(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_advertise(text)


def test_where_the_state_lies() -> None:
    home = Path("/home/somebody")
    listen_flag = ["--listen", ":1"]
    assert parse_options(listen_flag, {}, home).state == home / ".comity-rendezvous"
    environment = {"COMITY_RENDEZVOUS_HOME": "/var/lib/r"}
    assert parse_options(listen_flag, environment, home).state == Path("/var/lib/r")
    assert parse_options([*listen_flag, "--state", "/x"], environment, home).state == Path("/x")


def test_a_name_with_two_addresses_is_listened_on_with_one_port() -> None:
    listeners = listen(Endpoint("localhost", 0))
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    for listener in listeners:
        listener.close()


def test_a_port_in_use() -> None:
    (first,) = listen(Endpoint("127.0.0.1", 0))
    with pytest.raises(InvalidInput, match="in use"):
        listen(Endpoint("127.0.0.1", first.getsockname()[1]))
    first.close()


def test_ipv4_shows_as_such_on_a_socket_of_both_families() -> None:
    (listener,) = listen(Endpoint("", 0))
    near = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
    listener.setblocking(True)
    far, _ = listener.accept()
    assert observed(far) == f"127.0.0.1:{near.getsockname()[1]}"
    for sock in (near, far, listener):
        sock.close()


def test_limits_agree() -> None:
    assert limits.MAIL_PER_NETWORK_STRANGERS < limits.MAIL_PER_NETWORK
    assert limits.MAIL_STRANGERS < limits.MAIL_PER_RECIPIENT
    assert limits.MAIL_PER_STRANGER <= limits.MAIL_PER_SENDER
    assert limits.NODE_FIRST + limits.NODES_PER_NETWORK * limits.NODE_STEP < 2**32
    assert limits.MAIL_BYTES * 4 // 3 + 1024 < limits.RENDEZVOUS_REQUEST_BYTES
    assert limits.RESERVED_SENDERS * 67 + 1024 < limits.RENDEZVOUS_REQUEST_BYTES
