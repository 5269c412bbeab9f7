"""The networks of a node, as its configuration writes them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import InvalidInput, InvalidJoinUrl, LocalProtocolError
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.place import Place, check_places, free_name, network_name
from comity.node.config import Flags, on_record, settle
from comity.protocol.realm import Realm
from comity.storage.config import Config, format_config, parse_config
from comity.storage.places import new_place, places_of, with_place, without_place

PIN = Fingerprint(bytes(range(32)))
OTHER = Fingerprint(bytes(32))
TOKEN = "ab" * 32
FIRST = f"comity://r.example:7171#{PIN}"


def url(network: int = 1, pin: Fingerprint = PIN, invitation: str | None = None) -> JoinUrl:
    return JoinUrl("r.example", 7171, network, fingerprint=pin, invitation=invitation)


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    st.sampled_from(["", "lab-c", "charité-trainer"]),
    st.integers(1, 65535),
    st.sampled_from([None, TOKEN]),
)
def test_an_entry_comes_back_as_it_was_written(
    name: str, hostname: str, network: int, invitation: str | None
) -> None:
    place = Place(name, url(network, invitation=invitation), hostname)
    assert Place.parse(str(place)) == place
    assert TOKEN not in place.shown
    assert TOKEN not in repr(place)


@given(st.text(max_size=200))
def test_nonsense_is_refused_in_words(text: str) -> None:
    with suppress(InvalidInput, InvalidJoinUrl):
        place = Place.parse(text)
        assert Place.parse(str(place)) == place


@pytest.mark.parametrize("name", ["", "Lab", "1st", "a b", "a@b", "-a", "a" * 33, "é", "a\n"])
def test_what_a_network_cannot_be_called(name: str) -> None:
    with pytest.raises(InvalidInput):
        network_name(name)


def test_names_that_nobody_chose() -> None:
    assert free_name(url(2), []) == "network-2"
    assert free_name(url(2), ["network-2"]) == "network-2-b"
    assert free_name(url(2), ["network-2", "network-2-b"]) == "network-2-c"


def test_two_entries_are_never_one_network_nor_have_one_name() -> None:
    moved = JoinUrl("elsewhere.example", 1, 1, fingerprint=OTHER, first=PIN)
    for wrong in (
        [Place("a", url()), Place("b", url(invitation=TOKEN))],
        [Place("a", url()), Place("b", moved)],  # the same rendezvous, under its new key
        [Place("a", url()), Place("a", url(2))],
        [Place(f"n{number}", url(number)) for number in range(1, limits.MEMBERSHIPS + 2)],
    ):
        with pytest.raises(InvalidInput):
            check_places(wrong)
    check_places([Place("a", url()), Place("b", url(2)), Place("c", url(1, OTHER))])


def test_a_configuration_of_before_has_one_network() -> None:
    before = f'hostname = "lab-c"\njoin = "{FIRST}"\n'.encode()
    config = parse_config(before)
    assert [str(place) for place in places_of(config)] == [f"main={FIRST}"]
    assert parse_config(format_config(config)) == config


def test_joining_and_leaving_give_back_what_was() -> None:
    config = Config(hostname="lab-c", join=FIRST)
    place = new_place(places_of(config), str(url(2)), "hearts", "")
    more = with_place(config, place)
    assert [each.name for each in places_of(more)] == ["main", "hearts"]
    assert parse_config(format_config(more)) == more
    assert without_place(more, "hearts") == config
    with pytest.raises(InvalidInput, match="main, hearts"):
        without_place(more, "nothing")
    with pytest.raises(InvalidInput, match="only network"):
        without_place(config, "main")


def test_leaving_the_first_makes_the_next_one_first_and_renames_nobody() -> None:
    config = Config(hostname="lab-c", join=FIRST)
    for name, network, hostname in (("x", 2, "lab-x"), ("y", 3, ""), ("z", 4, "lab-x")):
        config = with_place(config, new_place(places_of(config), str(url(network)), name, hostname))
    left = without_place(config, "main")
    assert (left.network, left.hostname, JoinUrl.parse(left.join).network) == ("x", "lab-x", 2)
    named = {each.name: each.hostname or left.hostname for each in places_of(left)}
    assert named == {"x": "lab-x", "y": "lab-c", "z": "lab-x"}


def test_the_daemon_takes_all_of_them_and_puts_no_invitation_on_record() -> None:
    entry = f"hearts=lab-h@{url(2, invitation=TOKEN)}"
    config = Config(hostname="lab-c", join=FIRST, network="lungs", networks=(entry,))
    settings = settle(Flags(), {}, config)
    assert [(place.name, place.hostname) for place in settings.places] == [("lungs", ""), ("hearts", "lab-h")]
    told = on_record(settings)
    assert TOKEN not in str(told)
    assert told["networks"].startswith("hearts=lab-h@comity://r.example:7171/2#")
    with pytest.raises(InvalidInput, match="called lungs here already"):
        settle(Flags(), {"COMITY_NETWORKS": f"again={FIRST}"}, config)
    with pytest.raises(InvalidInput, match="COMITY_NETWORKS"):
        settle(Flags(), {"COMITY_NETWORKS": "nonsense"}, config)


def test_a_realm_is_its_text() -> None:
    realm = Realm(PIN, 7)
    assert Realm.parse(str(realm)) == realm
    for wrong in ("", "realm", f"{PIN}", f"{PIN}/x", f"{PIN}/²"):
        with pytest.raises(LocalProtocolError):
            Realm.parse(wrong)
