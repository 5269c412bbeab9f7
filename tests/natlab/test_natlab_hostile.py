"""A packet capture of a node whose partner tells it to dial what it must not (SECURITY.md rule 9)."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from comity import limits
from tests.natlab.capture import Capture
from tests.natlab.lab import Lab
from tests.natlab.nodes import World, wait_for, world

pytestmark = pytest.mark.timeout(180)

#: Metadata services, loopback, an intranet that is not on-link, link-local, multicast, broadcast, itself.
FORBIDDEN = (
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "127.0.0.1",
    "10.0.0.5",
    "10.9.8.7",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.7.7",
    "169.254.3.4",
    "0.0.0.0",  # noqa: S104  nothing is bound there
    "224.0.0.1",
    "255.255.255.255",
    "10.1.0.255",
    "10.1.0.2",
    "[::1]",
    "[fd00:ec2::254]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[fe80::1]",
)
#: Addresses that a partner could have; nobody answers there.
ALLOWED = tuple(f"198.51.100.{number}" for number in range(100, 200))
_PORT = 4444


def reachability(addresses: Sequence[str]) -> dict[str, Any]:
    return {"say": "reachability", "candidates": [f"{address}:{_PORT}" for address in addresses]}


def punch(local: Sequence[str], observed: Sequence[str] = ()) -> dict[str, Any]:
    texts = [[f"{address}:{_PORT}" for address in places] for places in (local, observed)]
    return {"say": "punch", "local": texts[0], "observed": texts[1]}


@contextmanager
def hostile(here: World, orders: Sequence[dict[str, Any]]) -> Iterator[None]:
    """In b's place, with b's keys; entered once everything is told."""
    here.b.down()
    file = here.folder / "orders"
    file.write_text(json.dumps(list(orders)))
    process = subprocess.Popen(
        here.lab.inside("b", [sys.executable, "-m", "tests.natlab.hostile", here.a.key, str(file)]),
        cwd=Path(__file__).parents[2],
        env=here.b.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"told\n"
        yield
    finally:
        process.communicate(timeout=20)


def batches(addresses: Sequence[str]) -> list[Sequence[str]]:
    return [addresses[i : i + limits.CANDIDATES] for i in range(0, len(addresses), limits.CANDIDATES)]


def elsewhere(here: World, capture: Capture) -> dict[str, int]:
    """SYNs by address, but those to the rendezvous."""
    found: dict[str, int] = {}
    for (address, _), count in capture.syns.items():
        if address not in here.lab.plan.rendezvous:
            found[address] = found.get(address, 0) + count
    return found


def bare(addresses: Sequence[str]) -> set[str]:
    return {str(ipaddress.ip_address(address.strip("[]"))) for address in addresses}


def test_no_forbidden_syn_leaves_and_of_a_hundred_addresses_eight_are_tried() -> None:
    told = [
        *(reachability(batch) for batch in batches(FORBIDDEN)),
        *(punch(batch) for batch in batches(FORBIDDEN)),
        *(punch(["198.51.100.99"], batch) for batch in (FORBIDDEN[:2], FORBIDDEN[3:5], FORBIDDEN[15:17])),
        reachability(ALLOWED),  # a hundred: not a statement at all
        punch(ALLOWED),
        punch(ALLOWED[:8], ALLOWED[8:10]),  # as many as a statement holds: eight of the ten are tried
        reachability([*ALLOWED[20:26], *FORBIDDEN[:2]]),
    ]
    lawful = bare([*ALLOWED[8:10], *ALLOWED[:6], *ALLOWED[20:26], "198.51.100.99"])
    with Lab("nat", "nat") as lab, world(lab) as here, Capture(lab, "a", here.folder) as capture:
        with hostile(here, told):
            wait_for(lambda: lawful <= set(elsewhere(here, capture)), "what may be dialled is")
            time.sleep(limits.PUNCH_SECONDS + 1)  # for what must not come
        tried = elsewhere(here, capture)
    assert not bare(FORBIDDEN) & set(tried)
    # The capture does see what is sent, and every address that was tried is one of those.
    assert set(tried) - set(here.lab.plan.outside(2).hosts) == lawful
    assert tried.pop("198.51.100.99") <= 3 * limits.PUNCH_SYNS  # three punches named it
    assert max(tried[address] for address in tried) <= limits.PUNCH_SYNS


def test_a_partner_that_asks_for_punches_without_end_gets_so_many_and_no_more() -> None:
    addresses = [f"192.0.2.{number}" for number in range(1, 241)]
    calls = [punch(batch) for batch in batches(addresses)]
    with Lab("nat", "nat") as lab, world(lab) as here, Capture(lab, "a", here.folder) as capture:
        began = time.monotonic()
        with hostile(here, calls):
            wait_for(lambda: set(addresses) & set(elsewhere(here, capture)), "the first are tried")
            time.sleep(limits.PUNCH_SECONDS + 1)
        seconds = time.monotonic() - began
        tried = {address: n for address, n in elsewhere(here, capture).items() if address in addresses}
    answered = limits.PUNCHES_BURST + seconds * limits.PUNCHES_PER_SECOND + 1
    assert limits.CANDIDATES <= len(tried) <= answered * limits.CANDIDATES < len(calls) * limits.CANDIDATES
    assert max(tried.values()) <= limits.PUNCH_SYNS
