"""Addresses: 48 bits, written ``N:NNNN.HHHH.LLLL`` (DESIGN.md, words).

The network comes twice, in decimal and in hexadecimal, and both must agree, so that a mistyped digit is
noticed. There is one spelling for each address. This module gives none out: the rendezvous's registry does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from comity.errors import InvalidInput

_FORM = re.compile(r"(0|[1-9][0-9]{0,4}):([0-9a-f]{4})\.([0-9a-f]{4})\.([0-9a-f]{4})\Z")
NETWORK_MAX = 2**16 - 1
NODE_MAX = 2**32 - 1


@dataclass(frozen=True, order=True)
class Address:
    """``network``: 16 bits; ``node``: 32 bits. InvalidInput outside of that."""

    network: int
    node: int

    def __post_init__(self) -> None:
        if not 0 <= self.network <= NETWORK_MAX:
            raise InvalidInput(f"network {self.network} does not fit 16 bits")
        if not 0 <= self.node <= NODE_MAX:
            raise InvalidInput(f"node {self.node} does not fit 32 bits")

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in its one spelling, as in 1:0001.0000.0010; InvalidInput for any other."""
        match = _FORM.match(text)
        if match is None:
            raise InvalidInput("not an address: one is written like 1:0001.0000.0010, in lower case")
        network, again, high, low = match.groups()
        if int(network) != int(again, 16):
            raise InvalidInput(f"the address names network {network} in decimal and {again} in hexadecimal")
        return cls(int(network), int(high + low, 16))

    @classmethod
    def from_int(cls, value: int) -> Address:
        """The address in 48 bits, network first; InvalidInput where it needs more."""
        return cls(value >> 32, value & NODE_MAX)

    def to_int(self) -> int:
        """48 bits, network first."""
        return self.network << 32 | self.node

    def __str__(self) -> str:
        return f"{self.network}:{self.network:04x}.{self.node >> 16:04x}.{self.node & 0xFFFF:04x}"
