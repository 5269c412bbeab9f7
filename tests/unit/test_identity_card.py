"""Cards, join URLs and PEER arguments: one spelling out, a useful refusal for everything else."""

from __future__ import annotations

import pytest

from comity.errors import InvalidCard, InvalidInput, InvalidJoinUrl
from comity.identity.address import Address
from comity.identity.authority import format_authority, normalise_host, parse_authority
from comity.identity.card import Card, JoinUrl, PeerName, parse_peer
from comity.identity.fingerprint import Fingerprint

PIN = Fingerprint(bytes(range(32)))

# ── HOST:PORT ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "host", "port", "again"),
    [
        ("rendezvous.example:8443", "rendezvous.example", 8443, None),
        ("localhost:1", "localhost", 1, None),
        ("127.0.0.1:65535", "127.0.0.1", 65535, None),
        ("[::1]:8443", "::1", 8443, None),
        ("[2001:DB8:0:0::1]:443", "2001:db8::1", 443, "[2001:db8::1]:443"),
        ("Rendezvous.EXAMPLE:443", "rendezvous.example", 443, "rendezvous.example:443"),
        ("charité.example:443", "xn--charit-gva.example", 443, "xn--charit-gva.example:443"),
        ("xn--charit-gva.example:443", "xn--charit-gva.example", 443, None),
    ],
)
def test_authority(text: str, host: str, port: int, again: str | None) -> None:
    assert parse_authority(text) == (host, port)
    assert format_authority(host, port) == (again or text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":443",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:0443",
        "host:+443",
        "host:443 ",
        "host:４４３",
        "::1:443",
        "[::1]",
        "[::1:443",
        "[fe80::1%eth0]:443",
        "[127.0.0.1]:443",
        "[]:443",
        "256.1.1.1:443",
        "1.2.3:443",
        "0x7f.1:443",
        "host.:443",
        ".host:443",
        "a..b:443",
        "-a:443",
        "a-:443",
        "a_b:443",
        "a b:443",
        "user@host:443",
        "host/path:443",
        "host?x:443",
        "host#x:443",
        "ho\nst:443",
        "a\u202eb:443",
        "\ud800:443",
        "x" * 64 + ":443",
        "x." * 127 + "x:443",
    ],
)
def test_bad_authority(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_authority(text)


def test_host_alone() -> None:
    assert normalise_host("2001:DB8::1") == "2001:db8::1"
    with pytest.raises(InvalidInput):
        normalise_host("[::1]")


# ── cards ─────────────────────────────────────────────────────────────────────────────────────────────


def test_card_round_trips() -> None:
    for card in (
        Card("hospital-a", "rendezvous.example:8443", PIN),
        Card("charité-trainer", "[2001:db8::1]:443", PIN),
    ):
        assert Card.parse(str(card)) == card
        assert Card.parse(f"  {card}\n") == card
    assert str(Card("a", "127.0.0.1:1", PIN)) == f"comity:a@127.0.0.1:1#{PIN}"


def test_card_has_one_spelling() -> None:
    typed = f"comity:Hospital-A@RENDEZVOUS.example:8443#{str(PIN).upper()}"
    assert str(Card.parse(typed)) == f"comity:hospital-a@rendezvous.example:8443#{PIN}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "comity:",
        "hospital-a@host:1#" + str(PIN),
        "Comity:hospital-a@host:1#" + str(PIN),
        "comity://host:1#" + str(PIN),
        "comity:hospital-a@host:1",
        "comity:hospital-a#" + str(PIN),
        "comity:hospital-a@host#" + str(PIN),
        "comity:@host:1#" + str(PIN),
        "comity:a:b@host:1#" + str(PIN),
        "comity:hospital-a@host:1#" + str(PIN)[:-1],
        "comity:hospital-a@host:1#" + str(PIN) + "#",
        "comity:hospital-a@host:1/2#" + str(PIN),
        "comity:hospital-a@host:1?x=1#" + str(PIN),
        "comity:hospital-a@evil@host:1#" + str(PIN),
        "comity:hospital\u202ea@host:1#" + str(PIN),
        "comity:" + "x" * 5000 + "@host:1#" + str(PIN),
    ],
)
def test_broken_card(text: str) -> None:
    with pytest.raises(InvalidCard) as caught:
        Card.parse(text)
    assert "comity card" in caught.value.hint
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("hostname", "rendezvous"), [("A", "host:1"), ("a", "HOST:1"), ("a", "host"), ("", "host:1")]
)
def test_card_is_made_in_its_one_spelling(hostname: str, rendezvous: str) -> None:
    with pytest.raises(InvalidCard):
        Card(hostname, rendezvous, PIN)


# ── join URLs ─────────────────────────────────────────────────────────────────────────────────────────


def test_join_url_round_trips() -> None:
    for url in (
        JoinUrl("rendezvous.example", 8443, fingerprint=PIN),
        JoinUrl("2001:db8::1", 443, 7, fingerprint=PIN),
        JoinUrl("127.0.0.1", 1, 65535, fingerprint=PIN),
    ):
        assert JoinUrl.parse(str(url)) == url
        assert JoinUrl.parse(f"{url}\n") == url


def test_join_url_spelling() -> None:
    assert str(JoinUrl("host", 1, fingerprint=PIN)) == f"comity://host:1#{PIN}"
    assert str(JoinUrl("::1", 1, 2, fingerprint=PIN)) == f"comity://[::1]:1/2#{PIN}"
    assert JoinUrl.parse(f"comity://HOST:1/1#{str(PIN).upper()}") == JoinUrl("host", 1, fingerprint=PIN)
    assert JoinUrl("::1", 8443, fingerprint=PIN).authority == "[::1]:8443"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "comity://",
        "https://host:1#" + str(PIN),
        "comity:a@host:1#" + str(PIN),
        "comity://host:1",
        "comity://host:1#",
        "comity://host:1#" + str(PIN)[:32],
        "comity://host#" + str(PIN),
        "comity://user@host:1#" + str(PIN),
        "comity://host:1/#" + str(PIN),
        "comity://host:1/0#" + str(PIN),
        "comity://host:1/01#" + str(PIN),
        "comity://host:1/65536#" + str(PIN),
        "comity://host:1/1/2#" + str(PIN),
        "comity://host:1/lab#" + str(PIN),
        "comity://::1:1#" + str(PIN),
        "comity://" + "x" * 5000 + ":1#" + str(PIN),
    ],
)
def test_broken_join_url(text: str) -> None:
    with pytest.raises(InvalidJoinUrl) as caught:
        JoinUrl.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize("rest", ["?token=abc", "/2?token=abc", "?"])
def test_join_url_of_a_later_version(rest: str) -> None:
    with pytest.raises(InvalidJoinUrl, match="does not know") as caught:
        JoinUrl.parse(f"comity://host:1{rest}#{PIN}")
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize(
    ("host", "port", "network"),
    [
        ("HOST", 1, 1),
        ("", 1, 1),
        ("[::1]", 1, 1),
        ("host", 0, 1),
        ("host", 65536, 1),
        ("host", 1, 0),
        ("h", 1, 65536),
    ],
)
def test_join_url_is_made_in_its_one_spelling(host: str, port: int, network: int) -> None:
    with pytest.raises(InvalidJoinUrl):
        JoinUrl(host, port, network, fingerprint=PIN)


# ── PEER ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        (f"comity:a@host:1#{PIN}", Card("a", "host:1", PIN)),
        ("1:0001.0000.0010", Address(1, 0x10)),
        ("Charité-Trainer", PeerName("charité-trainer")),
        (str(PIN), PIN),
        (PIN.grouped, PIN),
        (":".join(PIN.grouped.split()), PIN),
        (" hospital-a\n", PeerName("hospital-a")),
        ("deadbeef", PeerName("deadbeef")),
        ("a" * 63, PeerName("a" * 63)),
        ("a" * 64, Fingerprint(b"\xaa" * 32)),
    ],
)
def test_peer(text: str, peer: Card | Address | PeerName | Fingerprint) -> None:
    assert parse_peer(text) == peer


def test_peer_name_shows_itself() -> None:
    assert str(PeerName("hospital-a")) == "hospital-a"


@pytest.mark.parametrize(
    "text", ["", "a/b", PIN.short, "00:01:02", "1:0002.0000.0010", "a@b", "\u202e", "x" * 9999]
)
def test_bad_peer(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_peer(text)
    assert "fingerprint" in caught.value.hint


def test_bad_peer_that_is_nearly_something_else() -> None:
    with pytest.raises(InvalidCard):
        parse_peer("comity:a@host:1")
    with pytest.raises(InvalidInput, match="join URL"):
        parse_peer(f"comity://host:1#{PIN}")


def test_a_join_url_with_an_invitation() -> None:
    pin, token = "ab" * 32, "5a" * 32
    for place in ("rendezvous.example:9000", "rendezvous.example:9000/7", "[::1]:9000/2"):
        text = f"comity://{place}?invite={token}#{pin}"
        url = JoinUrl.parse(text)
        assert (str(url), url.invitation) == (text, token)
        assert token not in repr(url)
        assert str(url.uninvited) == f"comity://{place}#{pin}"
    for query in (
        "",
        "invite",
        "invite=",
        "invite=5a",
        f"invite={token.upper()}",
        f"token={token}",
        "a=1&b=2",
    ):
        with pytest.raises(InvalidJoinUrl):
            JoinUrl.parse(f"comity://rendezvous.example:9000?{query}#{pin}")
