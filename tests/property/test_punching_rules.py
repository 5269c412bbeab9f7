"""What a punch aims at, and what an observer's answer is worth, for any peer and any observer."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import RemoteProtocolError
from comity.protocol.candidates import Surroundings, parse_candidate, refusal
from comity.protocol.observing import OBSERVE_REQUEST, answer, choose_observers, mapping, parse_answer
from comity.protocol.punching import PAUSES, places

AROUND = Surroundings(
    own=frozenset({ipaddress.ip_address("10.1.0.2")}), on_link=(ipaddress.ip_network("10.1.0.0/24"),)
)
texts = st.one_of(
    st.text(max_size=64),
    st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(0, 70000)),
    st.builds("[{}]:{}".format, st.ip_addresses(v=6), st.integers(0, 70000)),
    st.sampled_from(("10.1.0.3:4000", "10.1.0.2:4000", "169.254.169.254:80", "127.0.0.1:22", "10.9.0.1:1")),
)
lists = st.lists(texts, max_size=100)


@given(lists, lists)
def test_only_places_that_rule_nine_lets_pass_are_aimed_at(local: list[str], observed: list[str]) -> None:
    where, filtered = places(local, observed, AROUND)
    assert len(where) <= limits.CANDIDATES
    assert set(where) == set(filtered.accepted)
    for place in where:
        endpoint = parse_candidate(place)
        assert endpoint is not None
        assert refusal(endpoint, AROUND) is None


def test_a_peer_on_this_link_is_direct_and_one_behind_its_nat_is_punched() -> None:
    where, _ = places(["10.1.0.3:5"], ["203.0.113.9:5"], AROUND)
    assert where == {"203.0.113.9:5": "punched", "10.1.0.3:5": "direct"}


def test_a_firewall_without_nat_is_punched_through_and_a_neighbour_without_one_is_direct() -> None:
    assert places(["192.0.2.3:5"], ["192.0.2.3:5"], AROUND)[0] == {"192.0.2.3:5": "punched"}
    assert places(["10.1.0.3:5"], ["10.1.0.3:5"], AROUND)[0] == {"10.1.0.3:5": "direct"}


def test_a_place_gets_no_more_syns_than_rule_nine_allows() -> None:
    assert len(PAUSES) == limits.PUNCH_SYNS == 10
    assert max(PAUSES) < 1  # the kernel would repeat a SYN after a second


@given(st.binary(max_size=80))
def test_an_observers_answer_is_an_address_or_an_error(line: bytes) -> None:
    try:
        seen = parse_answer(line)
    except RemoteProtocolError:
        return
    assert parse_candidate(seen) is not None


@given(
    st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map("[{}]".format)), st.integers(1, 65535)
)
def test_an_observer_says_no_more_than_it_was_told(host: str, port: int) -> None:
    line = answer(f"{host}:{port}")
    assert len(line) <= len(OBSERVE_REQUEST)
    endpoint = parse_candidate(f"{host}:{port}")
    assert endpoint is not None
    assert parse_answer(line) == str(endpoint)


@pytest.mark.parametrize(
    ("observed", "looks"),
    [
        (["203.0.113.9:7"] * 2, "203.0.113.9:7"),
        (["203.0.113.9:7", "203.0.113.9:8"], None),
        (["203.0.113.9:7", "203.0.113.10:7"], None),
        (["203.0.113.9:5000"], "203.0.113.9:5000"),  # one observer, and the port was preserved
        (["203.0.113.9:7"], None),
        ([], None),
    ],
)
def test_a_mapping_is_known_where_it_does_not_depend_on_the_destination(
    observed: list[str], looks: str | None
) -> None:
    assert mapping(5000, observed) == looks


def test_observers_are_the_rendezvous_or_addresses_that_a_peer_could_have() -> None:
    around = Surroundings()
    told = ("10.7.0.1:443", "169.254.169.254:80", "198.51.100.2:443")
    assert choose_observers(told[:2], "10.7.0.1:443", around) == ("10.7.0.1:443",)
    assert choose_observers(told[1:], "198.51.100.1:443", around) == ("198.51.100.2:443",)
    assert choose_observers((), "198.51.100.1:443", around) == ("198.51.100.1:443",)
    assert choose_observers(told, "", around) == ()
