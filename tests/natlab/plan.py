"""The addresses of a lab, of one IP version: those of documentation outside, private ones behind NATs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.natlab.firewalls import Kind, Version


@dataclass(frozen=True)
class Net:
    """``gateway`` is the address that leads outside, ``hosts`` are the others in use."""

    network: str
    bits: int
    gateway: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """RFC 5737 and RFC 3849 outside, RFC 1918 and RFC 6598 inside."""

    version: Version

    @property
    def rendezvous(self) -> tuple[str, str]:
        """The rendezvous's addresses, both on the machine "public"."""
        if self.version == 6:
            return "2001:db8:ffff::1", "2001:db8:ffff::2"
        return "198.51.100.1", "198.51.100.2"

    @property
    def host_bits(self) -> int:
        return 128 if self.version == 6 else 32

    def outside(self, site: int) -> Net:
        """Between the public network and a box."""
        if self.version == 6:
            return _net(f"2001:db8:{site:x}00::", 64, f"2001:db8:{site:x}00::", 1, 2)
        return _net(f"203.0.113.{site * 8}", 30, "203.0.113.", site * 8 + 1, site * 8 + 2)

    def inside(self, site: int, kind: Kind) -> Net:
        """Between a box and its labs; without a NAT they are public ones."""
        if self.version == 6:
            return _net(f"2001:db8:{site:x}::", 64, f"2001:db8:{site:x}::", 1, 2, 3)
        if kind == "firewall":
            first = site * 16
            return _net(f"192.0.2.{first}", 28, "192.0.2.", first + 1, first + 2, first + 3)
        return _net(f"10.{site}.0.0", 24, f"10.{site}.0.", 1, 2, 3)

    def between(self, site: int) -> Net:
        """Between a provider's NAT and the lab's own."""
        return _net(f"100.64.{site}.0", 24, f"100.64.{site}.", 1, 2)


def _net(network: str, bits: int, stem: str, gateway: int, *hosts: int) -> Net:
    return Net(network, bits, f"{stem}{gateway}", tuple(f"{stem}{host}" for host in hosts))
