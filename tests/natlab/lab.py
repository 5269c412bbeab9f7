"""Two labs and a rendezvous on a network that a test makes and takes down: nothing leaves its namespaces.

    lab a ── box a ──┐                      box: a NAT or firewall of a kind (``firewalls``)
                     ├── public ── rendezvous at two addresses
    lab b ── box b ──┘

Every namespace has a name that begins with this process's, and is deleted by that name. Addresses are those
of documentation (RFC 5737) outside, and of RFC 1918 behind NATs.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType

from tests.natlab.firewalls import Kind, ruleset

#: The rendezvous's addresses, both on the machine "public".
RENDEZVOUS = ("198.51.100.1", "198.51.100.2")
_TOOLS = ("ip", "nft", "sysctl")
_numbers = itertools.count()


class LabFailed(Exception):
    """A command that builds the lab failed."""


def unavailable() -> str | None:
    """Why this machine can't build a lab, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt install iproute2 nftables procps)"
    try:
        with Lab("nat", "nat"):
            return None
    except LabFailed as failure:
        return f"no namespaces here: {failure}"


class Lab:
    """``together``: both labs behind the box of the first. A context manager."""

    def __init__(self, a: Kind, b: Kind, *, together: bool = False) -> None:
        self._prefix = f"comity{os.getpid()}x{next(_numbers)}-"
        self._kinds = {"a": a, "b": b}
        self._together = together
        self._made: list[str] = []

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take_down()

    def inside(self, place: str, command: Sequence[str]) -> list[str]:
        """The command line that runs a command in ``public``, ``a``, ``b``, ``box-a`` or ``box-b``."""
        return ["ip", "netns", "exec", self._prefix + place, *command]

    def run(self, place: str, *command: str, given: str = "") -> str:
        """Run a command in a place and return what it prints; LabFailed."""
        return _run(self.inside(place, command), given)

    def forget_connections(self, site: str) -> None:
        """The box of a lab loses all its mappings, as one that restarts does."""
        box = f"box-{site}"
        address = self._ip_of(box)
        # A masquerade's mappings go with the interface's address.
        self._ip(box, "link", "set", "wan", "down")
        self._ip(box, "link", "set", "wan", "up")
        self._ip(box, "route", "replace", "default", "via", address)

    # ── building ──────────────────────────────────────────────────────────────────────────────────────

    def _build(self) -> None:
        self._space("public")
        for address in RENDEZVOUS:
            self._ip("public", "addr", "add", f"{address}/32", "dev", "lo")
        self._site(1, "a", ("a", "b") if self._together else ("a",))
        if not self._together:
            self._site(2, "b", ("b",))

    def _site(self, number: int, site: str, labs: tuple[str, ...]) -> None:
        """A box on the public network, and the labs behind it."""
        kind, box = self._kinds[site], f"box-{site}"
        outside, gateway = f"203.0.113.{number * 8 + 2}", f"203.0.113.{number * 8 + 1}"
        self._space(box)
        self._wire("public", f"to-{site}", box, "wan")
        self._address("public", f"to-{site}", f"{gateway}/30")
        self._address(box, "wan", f"{outside}/30")
        self._ip(box, "route", "add", "default", "via", gateway)
        self._inner(number, site, box, kind, labs)
        if kind == "firewall":
            self._ip("public", "route", "add", f"192.0.2.{number * 16}/28", "via", outside)
        self.run(box, "nft", "-f", "-", given=ruleset(kind))

    def _inner(self, number: int, site: str, box: str, kind: Kind, labs: tuple[str, ...]) -> None:
        if kind == "double":  # a provider's NAT outside, the lab's own inside
            inside = f"inner-{site}"
            self._space(inside)
            self._wire(box, "lan", inside, "wan")
            self._address(box, "lan", f"100.64.{number}.1/24")
            self._address(inside, "wan", f"100.64.{number}.2/24")
            self._ip(inside, "route", "add", "default", "via", f"100.64.{number}.1")
            self.run(inside, "nft", "-f", "-", given=ruleset("nat"))
            box = inside
        net, bits = (f"192.0.2.{number * 16}", 28) if kind == "firewall" else (f"10.{number}.0.0", 24)
        stem, _, base = net.rpartition(".")
        self._ip(box, "link", "add", "lan", "type", "bridge")
        self._address(box, "lan", f"{stem}.{int(base) + 1}/{bits}")
        # A switch carries frames past the box's rules.
        self.run(box, "sysctl", "-eqw", "net.bridge.bridge-nf-call-iptables=0")
        for index, lab in enumerate(labs):
            self._space(lab)
            self._wire(box, f"port-{lab}", lab, "eth")
            self._ip(box, "link", "set", f"port-{lab}", "master", "lan", "up")
            self._address(lab, "eth", f"{stem}.{int(base) + 2 + index}/{bits}")
            self._ip(lab, "route", "add", "default", "via", f"{stem}.{int(base) + 1}")

    def _space(self, place: str) -> None:
        name = self._prefix + place
        _run(["ip", "netns", "add", name])
        self._made.append(name)
        self._ip(place, "link", "set", "lo", "up")
        loose = "0" if self._kinds.get(place.removeprefix("box-")) == "strict" else "1"
        if place not in ("a", "b"):
            self.run(place, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        if loose == "0" and place.startswith("box-"):
            self.run(place, "nft", "-f", "-", given="table ip probe { chain c { ct state new accept; }; }")
            self.run(place, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")

    def _wire(self, here: str, near: str, there: str, far: str) -> None:
        ours, theirs = self._prefix + here, self._prefix + there
        _run(["ip", "link", "add", near, "netns", ours, "type", "veth", "peer", "name", far, "netns", theirs])

    def _address(self, place: str, interface: str, address: str) -> None:
        self._ip(place, "addr", "add", address, "dev", interface)
        self._ip(place, "link", "set", interface, "up")

    def _ip_of(self, box: str) -> str:
        """The gateway of a box."""
        words = self.run(box, "ip", "route", "show", "default").split()
        return words[words.index("via") + 1]

    def _ip(self, place: str, *command: str) -> None:
        _run(["ip", "-n", self._prefix + place, *command])

    def _take_down(self) -> None:
        while self._made:
            subprocess.run(["ip", "netns", "del", self._made.pop()], check=False, capture_output=True)


def _run(command: Sequence[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise LabFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
