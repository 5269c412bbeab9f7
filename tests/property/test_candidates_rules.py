"""SECURITY.md rule 9 as properties: what a peer claims never aims this node at what the rule protects."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.protocol.candidates import (
    METADATA,
    PRIVATE,
    REFUSED,
    IPAddress,
    Surroundings,
    filter_candidates,
    parse_candidate,
)

LAN = ipaddress.ip_network("192.168.7.0/24")
OWN = ipaddress.ip_address("192.168.7.20")
OWN_PUBLIC = ipaddress.ip_address("2a00:1450::7")
HERE = Surroundings(
    own=frozenset({OWN, OWN_PUBLIC}),
    on_link=(LAN, ipaddress.ip_network("2a00:1450::/64")),
    listening=("192.168.7.20:7443",),
)
ON_LOOPBACK = Surroundings(listening=("127.0.0.1:7443",), loopback=True)

ports = st.integers(1, 65535)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def spell(address: IPAddress, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def reasons(texts: list[str], around: Surroundings = HERE) -> list[str]:
    filtered = filter_candidates(texts, around)
    assert filtered.accepted == ()
    return [refused.reason for refused in filtered.refused]


def accepted(texts: list[str], around: Surroundings = HERE) -> tuple[str, ...]:
    filtered = filter_candidates(texts, around)
    assert filtered.refused == ()
    return filtered.accepted


@given(st.lists(st.one_of(st.text(max_size=70), st.builds(spell, addresses, ports)), max_size=20))
def test_every_candidate_is_accepted_or_refused_and_never_both(texts: list[str]) -> None:
    filtered = filter_candidates(texts, HERE)
    assert len(filtered.accepted) <= limits.CANDIDATES
    assert len(filtered.accepted) + len(filtered.refused) <= len(texts)
    for text in filtered.accepted:
        endpoint = parse_candidate(text)
        assert endpoint is not None
        assert str(endpoint) == text  # canonical: a second look reads the same
        address = endpoint.address
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_multicast
        assert not address.is_unspecified
        assert address not in HERE.own
        assert address not in METADATA
        if any(address in network for network in PRIVATE):
            assert address in LAN
        if isinstance(address, ipaddress.IPv6Address):
            assert address.ipv4_mapped is None
            assert address.sixtofour is None
            assert address.teredo is None


@pytest.mark.parametrize("network", [network for network, _ in REFUSED], ids=str)
@given(data=st.data())
def test_refused_networks_are_refused_everywhere(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, data: st.DataObject
) -> None:
    first, last = int(network.network_address), int(network.broadcast_address)
    number = data.draw(st.integers(first, last))
    address = ipaddress.IPv4Address(number) if network.version == 4 else ipaddress.IPv6Address(number)
    allowed = Surroundings(allowed=(network,), on_link=(network,))  # not even when configured
    if address.is_loopback:
        return
    assert len(reasons([spell(address, 443)], allowed)) == 1


@pytest.mark.parametrize("address", sorted(map(str, METADATA)))
def test_metadata_services_are_never_peers(address: str) -> None:
    text = spell(ipaddress.ip_address(address), 80)
    wide = Surroundings(
        on_link=(ipaddress.ip_network("169.254.0.0/16"),),
        allowed=(ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")),
        loopback=True,
    )
    assert reasons([text], wide) == ["cloud metadata service"]


@given(port=ports, embedded=st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_is_refused(port: int, embedded: ipaddress.IPv4Address) -> None:
    number = int(embedded)
    spellings = [
        f"[::ffff:{embedded}]:{port}",
        f"[::ffff:{number >> 16:x}:{number & 0xFFFF:x}]:{port}",
        f"[64:ff9b::{embedded}]:{port}",
        f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]:{port}",
    ]
    assert reasons(spellings) == ["IPv4 inside IPv6"] * 4
    assert reasons(spellings, Surroundings(loopback=True)) == ["IPv4 inside IPv6"] * 4


@given(st.ip_addresses(v=4, network="127.0.0.0/8"), ports)
def test_loopback_only_where_the_rendezvous_is(address: ipaddress.IPv4Address, port: int) -> None:
    assert reasons([spell(address, port)]) == ["loopback"]
    assert reasons([f"[::1]:{port}"]) == ["loopback"]
    if not str(address).endswith((".0.0.0", ".255.255.255")) and port != 7443:
        assert accepted([spell(address, port), f"[::1]:{port}"], ON_LOOPBACK) == (
            spell(address, port),
            f"[::1]:{port}",
        )


@given(st.ip_addresses(v=4, network="10.0.0.0/8"), ports)
def test_private_only_on_link_or_by_configuration(address: ipaddress.IPv4Address, port: int) -> None:
    text = spell(address, port)
    assert reasons([text]) == ["private address that is not on-link"]
    configured = Surroundings(allowed=(ipaddress.ip_network("10.0.0.0/8"),))
    if address not in (ipaddress.ip_address("10.0.0.0"), ipaddress.ip_address("10.255.255.255")):
        assert accepted([text], configured) == (text,)


def test_own_addresses_and_broadcasts_of_the_own_network() -> None:
    assert reasons(
        ["192.168.7.20:22", "[2a00:1450::7]:443", "192.168.7.255:443", "192.168.7.0:443", "192.168.7.20:7443"]
    ) == ["own address", "own address", "broadcast", "broadcast", "own address"]
    assert reasons(["127.0.0.1:7443", "127.255.255.255:1"], ON_LOOPBACK) == ["own address", "broadcast"]


def test_neighbours_and_public_addresses_are_dialled_in_their_order_and_once() -> None:
    given_order = ["[2A00:1450:0:0:1:0:0:9]:443", "192.168.7.21:443", "8.8.4.4:7443", "192.168.7.21:443"]
    assert accepted(given_order) == ("[2a00:1450::1:0:0:9]:443", "192.168.7.21:443", "8.8.4.4:7443")


def test_the_ninth_is_refused_whatever_the_others_were() -> None:
    texts = [f"nonsense {n}" for n in range(limits.CANDIDATES)] + ["8.8.8.8:443"]
    assert reasons(texts)[-1] == f"more than {limits.CANDIDATES} candidates"


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.8:0",
        "8.8.8.8:65536",
        "8.8.8.8:+443",
        "8.8.8.8:0443",
        "8.8.8.8:443 ",
        "8.8.8.8",
        "8.8.8.8:",
        ":443",
        "lab-b.example.org:443",
        "localhost:443",
        "8.8.8:443",
        "134744072:443",
        "010.8.8.8:443",
        "0x8.8.8.8:443",
        "8.8.8.8:٤٤٣",
        "2a00:1450::9:443",
        "[2a00:1450::9]",
        "[2a00:1450::9%eth0]:443",
        "[fe80::1%1]:443",
        "[8.8.8.8]:443",
        "http://8.8.8.8:443",
        "8.8.8.8:443\n",
        "",
    ],
)
def test_what_is_not_an_address_and_a_port(text: str) -> None:
    assert reasons([text]) == ["not an IP address and a port"]
