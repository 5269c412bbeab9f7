"""Two labs and a rendezvous on a network that a test makes and takes down: nothing leaves its namespaces.

    lab a ── box a ──┐                      box: a NAT or firewall of a kind (``firewalls``)
                     ├── public ── rendezvous at two addresses
    lab b ── box b ──┘

Every namespace has a name that begins with this process's, and is deleted by that name. ``plan`` has the
addresses; between the public network and box a there can be a long ``line``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.natlab.firewalls import Kind, Version, ruleset
from tests.natlab.plan import Plan

_LINE = Path(__file__).with_name("line.py")
_TUN = Path("/dev/net/tun")
IPV6 = Path("/proc/sys/net/ipv6")
_SECONDS = 10.0
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
        with Lab("strict", "firewall"):
            return None
    except LabFailed as failure:
        return f"no namespaces here: {failure}"


@dataclass(frozen=True)
class Line:
    """``delay``: seconds each way; ``loss``: of every packet, each way."""

    delay: float
    loss: float = 0.0

    @staticmethod
    def unavailable() -> str | None:
        """Why this machine can't have one, or None."""
        return None if _TUN.exists() else f"there is no {_TUN}"


class Lab:
    """``together``: both labs behind the box of the first; ``line``: before box a. A context manager."""

    def __init__(
        self, a: Kind, b: Kind, *, together: bool = False, version: Version = 4, line: Line | None = None
    ) -> None:
        self._prefix = f"comity{os.getpid()}x{next(_numbers)}-"
        self._kinds = {"a": a, "b": b}
        self._together = together
        self._line = line
        self._made: list[str] = []
        self._lines: list[subprocess.Popen[bytes]] = []
        self.plan = Plan(version)

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
        words = self.run(box, "ip", f"-{self.plan.version}", "route", "show", "default").split()
        # A masquerade's mappings go with the interface's address.
        self._ip(box, "link", "set", "wan", "down")
        self._ip(box, "link", "set", "wan", "up")
        self._ip(box, "route", "replace", "default", "via", words[words.index("via") + 1])

    def admit(self, site: str, port: int, source: str = "") -> None:
        """From now on the box of a lab lets connections to this port in, from everywhere or ``source``."""
        family = "ip" if self.plan.version == 4 else "ip6"
        rule = f"iifname wan {f'{family} saddr {source} ' if source else ''}tcp dport {port} accept"
        self.run(f"box-{site}", "nft", "add", "rule", family, "box", "admitted", *rule.split())

    # ── building ──────────────────────────────────────────────────────────────────────────────────────

    def _build(self) -> None:
        self._space("public")
        for address in self.plan.rendezvous:
            self._ip("public", "addr", "add", f"{address}/{self.plan.host_bits}", "dev", "lo")
        self._site(1, "a", ("a", "b") if self._together else ("a",))
        if not self._together:
            self._site(2, "b", ("b",))

    def _site(self, number: int, site: str, labs: tuple[str, ...]) -> None:
        """A box on the public network, and the labs behind it."""
        kind, box, net = self._kinds[site], f"box-{site}", self.plan.outside(number)
        outside = net.hosts[0]
        self._space(box)
        if self._line is not None and site == "a":
            self._stretch(f"to-{site}", box, "wan", self._line)
        else:
            self._wire("public", f"to-{site}", box, "wan")
        self._address("public", f"to-{site}", f"{net.gateway}/{net.bits}")
        self._address(box, "wan", f"{outside}/{net.bits}")
        self._ip(box, "route", "add", "default", "via", net.gateway)
        self._inner(number, site, box, labs)
        if kind == "firewall":
            inside = self.plan.inside(number, kind)
            self._ip("public", "route", "add", f"{inside.network}/{inside.bits}", "via", outside)
        self.run(box, "nft", "-f", "-", given=ruleset(kind, self.plan.version))

    def _inner(self, number: int, site: str, box: str, labs: tuple[str, ...]) -> None:
        kind = self._kinds[site]
        if kind == "double":  # a provider's NAT outside, the lab's own inside
            own, between = f"inner-{site}", self.plan.between(number)
            self._space(own)
            self._wire(box, "lan", own, "wan")
            self._address(box, "lan", f"{between.gateway}/{between.bits}")
            self._address(own, "wan", f"{between.hosts[0]}/{between.bits}")
            self._ip(own, "route", "add", "default", "via", between.gateway)
            self.run(own, "nft", "-f", "-", given=ruleset("nat"))
            box = own
        net = self.plan.inside(number, kind)
        self._ip(box, "link", "add", "lan", "type", "bridge", "mcast_snooping", "0")
        self._address(box, "lan", f"{net.gateway}/{net.bits}")
        # A switch carries frames past the box's rules.
        self.run(box, "sysctl", "-eqw", "net.bridge.bridge-nf-call-iptables=0")
        for address, lab in zip(net.hosts, labs, strict=False):
            self._space(lab)
            self._wire(box, f"port-{lab}", lab, "eth")
            self._ip(box, "link", "set", f"port-{lab}", "master", "lan", "up")
            self._address(lab, "eth", f"{address}/{net.bits}")
            self._ip(lab, "route", "add", "default", "via", net.gateway)

    def _space(self, place: str) -> None:
        name = self._prefix + place
        _run(["ip", "netns", "add", name])
        self._made.append(name)
        self._ip(place, "link", "set", "lo", "up")
        # Nobody else is on these links, so no address has to be defended before it is used (RFC 4862, 5.4).
        self._set(place, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        if place in ("a", "b"):
            return
        self._set(place, "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
        self._set(place, "net.ipv6.conf.all.forwarding=1")
        if self._kinds.get(place.removeprefix("box-")) == "strict":
            self.run(place, "nft", "-f", "-", given="table ip probe { chain c { ct state new accept; }; }")
            self._set(place, "net.netfilter.nf_conntrack_tcp_loose=0")

    def _set(self, place: str, *settings: str) -> None:
        """Settings of a namespace's kernel; those of IPv6 only where it has any."""
        if not settings[0].startswith("net.ipv6.") or IPV6.exists():
            self.run(place, "sysctl", "-qw", *settings)

    def _wire(self, here: str, near: str, there: str, far: str) -> None:
        ours, theirs = self._prefix + here, self._prefix + there
        _run(["ip", "link", "add", near, "netns", ours, "type", "veth", "peer", "name", far, "netns", theirs])

    def _stretch(self, near: str, there: str, far: str, line: Line) -> None:
        """The same by a long line."""
        numbers = (str(line.delay), str(line.loss), "1")
        process = subprocess.Popen(
            self.inside("public", [sys.executable, str(_LINE), near, f"x{near}", *numbers]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lines.append(process)
        if process.stdout is None or not process.stdout.readline():
            raise LabFailed("the long line did not start")
        self._ip("public", "link", "set", f"x{near}", "netns", self._prefix + there, "name", far)
        for place, end in (("public", near), (there, far)):
            self._ip(place, "link", "set", end, "txqueuelen", "10000")

    def _address(self, place: str, interface: str, address: str) -> None:
        self._ip(place, "addr", "add", address, "dev", interface)
        self._ip(place, "link", "set", interface, "up")

    def _ip(self, place: str, *command: str) -> None:
        _run(["ip", f"-{self.plan.version}", "-n", self._prefix + place, *command])

    def _take_down(self) -> None:
        while self._lines:
            line = self._lines.pop()
            line.kill()
            line.communicate(timeout=_SECONDS)
        while self._made:
            subprocess.run(["ip", "netns", "del", self._made.pop()], check=False, capture_output=True)


def _run(command: Sequence[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise LabFailed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
