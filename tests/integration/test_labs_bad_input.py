"""What people get wrong about nodes, names and URLs: each ends in an error that says what to try next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comity.demo.processes import daemon_of
from tests.labs import Command, Lab, eventually
from tests.region import Region, region


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        made.pair()
        yield made


@pytest.fixture(scope="module", autouse=True)
def lonely(here: Region) -> tuple[Lab, Command]:
    """A lab whose rendezvous is not there. Its start takes a while: it begins first and is looked at last."""
    lab = here.site("lab-l-trainer")
    lab.init("comity://127.0.0.1:1#" + "ab" * 32)
    return lab, lab.begin("up")


@pytest.fixture
def a(here: Region) -> Lab:
    return here.labs[0]


@pytest.fixture
def b(here: Region) -> Lab:
    return here.labs[1]


def test_an_unknown_peer(a: Lab) -> None:
    (a.folder / "x").write_bytes(b"x")
    for command in (
        ("handshake", "nobody", "IRB"),
        ("send-file", "nobody", "x"),
        ("ping", "nobody"),
        ("find", "nobody"),
    ):
        refusal = a.refused(*command)
        assert refusal.told == ("unknown_peer", 30)
        assert "nobody" in refusal.message


def test_an_untrusted_peer(here: Region, a: Lab) -> None:
    c = here.lab("lab-c-trainer")
    (a.folder / "x").write_bytes(b"x")
    for peer in ("lab-c-trainer", "1:0001.0000.0030", c.card):
        refusal = a.refused("send-file", peer, "x")
        assert refusal.told == ("untrusted_peer", 31)
        assert "comity handshake" in refusal.hint
    assert a.refused("revoke", "lab-c-trainer").told == ("unknown_peer", 30)
    a.ask("handshake", c.card, "IRB #1")
    asked = a.refused("send-file", "lab-c-trainer", "x")
    assert asked.told == ("untrusted_peer", 31)
    assert "has not answered" in asked.message
    eventually(lambda: c.ask("pending")["pending"] != [], "lab-c-trainer is asked")
    (c.folder / "x").write_bytes(b"x")
    asking = c.refused("send-file", "lab-a-trainer", "x")
    assert (asking.told, asking.hint) == (("untrusted_peer", 31), "run comity pending")
    c.down()


def test_a_name_that_is_taken(here: Region, a: Lab) -> None:
    other = here.site("lab-a-trainer", "impostor")
    other.init(here.rendezvous.join)
    refusal = other.refused("up")
    assert refusal.told == ("name_taken", 22)
    assert "--rename" in refusal.hint
    assert daemon_of(other.home) is None
    assert a.ask("status")["rendezvous_state"] == "registered"
    other.ask("init", "--hostname", "lab-d-trainer", "--rename")
    assert other.up()["hostname"] == "lab-d-trainer"
    other.down()


def test_a_daemon_that_does_not_run(here: Region) -> None:
    lab = here.site("lab-e-trainer")
    assert lab.refused("status").told == ("not_initialised", 10)
    assert lab.refused("up").told == ("not_initialised", 10)
    lab.init(here.rendezvous.join)
    assert lab.ask("status")["running"] is False
    (lab.folder / "x").write_bytes(b"x")
    for command in (
        ("pending",),
        ("send-file", "lab-b-trainer", "x"),
        ("info",),
        ("revoke", "lab-b-trainer"),
    ):
        refusal = lab.refused(*command)
        assert (refusal.told, refusal.hint) == (("not_running", 12), "run comity up")
    assert lab.ask("down")["running"] is False
    assert lab.refused("init", "--hostname", "x", "--join", here.rendezvous.join).told == (
        "already_initialised",
        11,
    )


def test_a_second_daemon_on_one_home(a: Lab) -> None:
    refusal = a.refused("up")
    assert refusal.told == ("already_running", 13)
    assert str(a.pid) in refusal.message
    assert a.ask("status")["pid"] == a.pid
    eventually(lambda: a.ask("status")["sessions"] == 1, "its session stands")


@pytest.mark.parametrize(
    "join",
    [
        "",
        "rendezvous.example:9000",
        "http://rendezvous.example:9000",
        "comity://rendezvous.example#" + "ab" * 32,
        "comity://rendezvous.example:99999#" + "ab" * 32,
        "comity://rendezvous.example:9000",
        "comity://rendezvous.example:9000#abcd",
        "comity://rendezvous.example:9000#" + "zz" * 32,
        "comity://rendezvous.example:9000/0#" + "ab" * 32,
        "comity://user@rendezvous.example:9000#" + "ab" * 32,
        "comity://rendezvous.example:9000?token=x#" + "ab" * 32,
    ],
)
def test_a_malformed_join_url(here: Region, join: str) -> None:
    lab = here.site("lab-f-trainer")
    assert lab.refused("init", "--hostname", "lab-f-trainer", "--join", join).told == ("invalid_join_url", 2)
    assert not lab.home.exists()


@pytest.mark.parametrize(
    "card",
    [
        "comity:",
        "comity:lab-b-trainer",
        "comity:lab-b-trainer@127.0.0.1:9000",
        "comity:lab-b-trainer@127.0.0.1:9000#abcd",
        "comity:lab-b-trainer@127.0.0.1#" + "ab" * 32,
        "comity:lab b@127.0.0.1:9000#" + "ab" * 32,
        "comity:@127.0.0.1:9000#" + "ab" * 32,
    ],
)
def test_a_malformed_card(a: Lab, card: str) -> None:
    assert a.refused("handshake", card, "IRB #1").told == ("invalid_card", 2)


def test_a_card_that_names_another_key(a: Lab, b: Lab) -> None:
    refusal = a.refused("handshake", b.card.replace(b.fingerprint, "ab" * 32), "IRB #1")
    assert refusal.told == ("identity_mismatch", 34)
    assert b.fingerprint in refusal.message


def test_a_rendezvous_with_another_key(here: Region) -> None:
    lab = here.site("lab-g-trainer")
    lab.init(f"comity://127.0.0.1:{here.rendezvous.port}#" + "ab" * 32)
    assert lab.refused("up").told == ("rendezvous_identity_mismatch", 25)
    assert daemon_of(lab.home) is None


def test_a_rendezvous_that_is_not_there(lonely: tuple[Lab, Command]) -> None:
    lab, starting = lonely
    status = starting.answer()  # it runs, and goes on trying
    lab.pid = status["pid"]
    assert (status["running"], status["rendezvous_state"], status["address"]) == (True, "connecting", None)
    assert "127.0.0.1:1" in status["problem"]
    assert lab.refused("handshake", "lab-b-trainer", "IRB #1").told == ("rendezvous_unreachable", 20)
