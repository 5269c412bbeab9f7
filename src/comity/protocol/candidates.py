"""Which of a peer's claimed addresses this node may dial (SECURITY.md rule 9).

A candidate is ``HOST:PORT`` with a literal IP address, from a fresh statement of an approved peer. The filter
keeps such a peer from aiming this node at a metadata service, at machines inside this node's intranet, or at
itself. It reads no interface and opens no socket: what this machine is attached to is an argument,
``Surroundings``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from comity import limits

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_FORM = re.compile(
    r"(?:(?P<v4>[0-9.]{7,15})|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]):(?P<port>[1-9][0-9]{0,4})", re.ASCII
)


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


#: Dialled only on-link or by configuration: RFC 1918, RFC 6598, RFC 4193.
PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

#: Cloud metadata and host services that answer whoever is on the machine: AWS and most others, AWS over IPv6,
#: Alibaba, Azure, Oracle. Never a peer, even inside a network that the configuration allows.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)

#: Never dialled, with the reason that is logged (the IANA special-purpose registries, RFC 6890). IPv6 forms
#: that embed an IPv4 address are refused whole: they would be second spellings of what the other rows refuse.
REFUSED: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ipaddress.ip_network(network), reason)
    for network, reason in (
        ("255.255.255.255/32", "broadcast"),
        ("0.0.0.0/8", "unspecified"),
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("192.0.0.0/24", "reserved"),
        ("198.18.0.0/15", "reserved"),
        ("::/128", "unspecified"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "link-local"),
        ("ff00::/8", "multicast"),
        ("::ffff:0:0/96", "IPv4 inside IPv6"),
        ("64:ff9b::/96", "IPv4 inside IPv6"),
        ("64:ff9b:1::/48", "IPv4 inside IPv6"),
        ("2001::/32", "IPv4 inside IPv6"),
        ("2002::/16", "IPv4 inside IPv6"),
        ("100::/64", "reserved"),
    )
)
_LOOPBACK_V6 = ipaddress.IPv6Address("::1")
_COMPATIBLE_V6 = ipaddress.ip_network("::/96")
_LOOPBACK_V4 = ipaddress.ip_network("127.0.0.0/8")


@dataclass(frozen=True)
class Surroundings:
    """Where this node stands. ``own`` are its interfaces' addresses, ``on_link`` the networks that they are
    in.

    ``listening`` are its own candidates (``HOST:PORT``), ``allowed`` the private networks that the
    configuration opens, ``loopback`` whether the rendezvous itself is reached over loopback.
    """

    own: frozenset[IPAddress] = frozenset()
    on_link: tuple[IPNetwork, ...] = ()
    listening: tuple[str, ...] = ()
    allowed: tuple[IPNetwork, ...] = ()
    loopback: bool = False


@dataclass(frozen=True)
class RefusedCandidate:
    """``text`` is the peer's own: escape it before it is shown."""

    text: str
    reason: str


@dataclass(frozen=True)
class Filtered:
    """``accepted``: to dial, in the peer's order, each once, in canonical spelling."""

    accepted: tuple[str, ...]
    refused: tuple[RefusedCandidate, ...]


@dataclass(frozen=True)
class Endpoint:
    address: IPAddress
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


def parse_candidate(text: str) -> Endpoint | None:
    """The endpoint that ``text`` spells, or None: a name, a scope, port 0 and anything else are no
    candidates.
    """
    match = _FORM.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        return None
    try:
        address: IPAddress = (
            ipaddress.IPv4Address(match["v4"])
            if match["v4"] is not None
            else ipaddress.IPv6Address(match["v6"])
        )
    except ipaddress.AddressValueError:
        return None
    return Endpoint(address, int(match["port"]))


def filter_candidates(candidates: Sequence[str], around: Surroundings) -> Filtered:
    """Rule 9 over what one peer claims: the first ``limits.CANDIDATES`` are looked at, the others refused."""
    accepted: dict[str, None] = {}
    refused: list[RefusedCandidate] = []
    for index, text in enumerate(candidates):
        if index >= limits.CANDIDATES:
            refused.append(RefusedCandidate(text, f"more than {limits.CANDIDATES} candidates"))
            continue
        endpoint = parse_candidate(text)
        reason = "not an IP address and a port" if endpoint is None else refusal(endpoint, around)
        if reason is not None:
            refused.append(RefusedCandidate(text, reason))
        else:
            accepted[str(endpoint)] = None
    return Filtered(tuple(accepted), tuple(refused))


def refusal(endpoint: Endpoint, around: Surroundings) -> str | None:
    """Why this node must not dial ``endpoint``, or None."""
    address = endpoint.address
    if str(endpoint) in around.listening:
        return "own address"
    if address in METADATA:
        return "cloud metadata service"
    if address == _LOOPBACK_V6 or address in _LOOPBACK_V4:
        return _loopback_refusal(address, around)
    if address in around.own:
        return "own address"
    if address.version == 6 and address in _COMPATIBLE_V6 and int(address) != 0:
        return "IPv4 inside IPv6"
    for network, reason in REFUSED:
        if address in network:
            return reason
    if _is_edge(address, (*around.on_link, *around.allowed)):
        return "broadcast"
    if _within(address, PRIVATE) and not _within(address, (*around.on_link, *around.allowed)):
        return "private address that is not on-link"
    return None


def _loopback_refusal(address: IPAddress, around: Surroundings) -> str | None:
    if not around.loopback:
        return "loopback"
    return "broadcast" if _is_edge(address, (_LOOPBACK_V4,)) else None


def _within(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address in network for network in networks)


def _is_edge(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    """Whether an IPv4 address names a whole network: its first address, or the directed broadcast (RFC
    919).
    """
    return any(
        network.version == 4
        and network.prefixlen < 31
        and address in (network.network_address, network.broadcast_address)
        for network in networks
    )
