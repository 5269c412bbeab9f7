"""Where this machine stands now: its interfaces' addresses and the networks that they are in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import ifaddr

from comity.identity.card import JoinUrl
from comity.protocol.candidates import IPAddress, IPNetwork, Surroundings


def look_around(
    joins: Iterable[JoinUrl], *, listening: tuple[str, ...], allowed: tuple[IPNetwork, ...]
) -> Surroundings:
    """What rule 9's filter needs; reads the interfaces anew, as machines move."""
    own: set[IPAddress] = set()
    on_link: list[IPNetwork] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            interface = ipaddress.ip_interface(f"{text}/{ip.network_prefix}")
            if not interface.ip.is_loopback:
                own.add(interface.ip)
                on_link.append(interface.network)
    return Surroundings(
        own=frozenset(own),
        on_link=tuple(on_link),
        listening=listening,
        allowed=allowed,
        loopback=all(_on_loopback(join.host) for join in joins),
    )


def _on_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
