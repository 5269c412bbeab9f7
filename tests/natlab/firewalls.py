"""The boxes between a lab and the public network: their nftables rules, one text a kind.

``wan`` is the box's interface to the outside, ``lan`` the one to the lab. Each forwards what the lab began,
and answers to it; the kinds differ in what they do to source ports, and to what nobody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Version = Literal[4, 6]
Kind = Literal[
    "nat",
    "symmetric",
    "firewall",
    "no-udp",
    "only-443",
    "one-server",
    "proxy-only",
    "resets",
    "rejects",
    "swallows",
    "strict",
    "double",
]


@dataclass(frozen=True)
class _Rules:
    """What the box does with what comes from the lab, with source addresses, and with strangers' packets."""

    forward: str = "iifname lan oifname wan accept"
    nat: str = "oifname wan masquerade"
    strangers: str = "drop"
    own: str = ""
    first: str = ""  # before everything else that is forwarded


_PLAIN = _Rules()
_KINDS: dict[Kind, _Rules] = {
    "nat": _PLAIN,
    "symmetric": replace(_PLAIN, nat="oifname wan masquerade fully-random"),
    "firewall": replace(_PLAIN, nat=""),
    "no-udp": replace(_PLAIN, forward="meta l4proto udp drop; iifname lan oifname wan accept"),
    "only-443": replace(_PLAIN, forward="iifname lan oifname wan tcp dport 443 accept"),
    "one-server": replace(
        _PLAIN, forward="iifname lan oifname wan ip daddr 198.51.100.1 tcp dport 443 accept"
    ),
    "proxy-only": replace(_PLAIN, forward=""),  # the proxy is in the box
    # A stray SYN is answered with RST by a rule, with ICMP, or accepted and then never answered.
    "resets": replace(_PLAIN, strangers="meta l4proto tcp reject with tcp reset"),
    "rejects": replace(_PLAIN, strangers="reject"),
    "swallows": replace(_PLAIN, strangers="accept", own="oifname wan tcp flags & rst == rst drop"),
    # What it has forgotten is not let through again: no connection is picked up in its middle.
    "strict": replace(
        _PLAIN, first="ct state invalid drop; iifname lan tcp flags & syn == 0 ct state new drop"
    ),
    "double": _PLAIN,
}


def ruleset(kind: Kind, version: Version = 4) -> str:
    """What ``nft -f -`` is given inside the box."""
    rules, family = _KINDS[kind], "ip" if version == 4 else "ip6"
    neighbours = "" if version == 4 else "meta l4proto ipv6-icmp accept"
    forward = "\n".join(part.strip() for part in f"{rules.first};{rules.forward}".split(";") if part.strip())
    return f"""
table {family} box {{
  chain admitted {{
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    jump admitted
    {forward}
  }}
  chain input {{
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname lan accept
    {neighbours}
    {rules.strangers}
  }}
  chain output {{
    type filter hook output priority 0; policy accept;
    {rules.own}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    {rules.nat}
  }}
}}
"""
