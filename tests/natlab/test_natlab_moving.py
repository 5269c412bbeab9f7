"""Transfers whose path goes away, or finds a better one, while bytes move: all of them end whole."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from comity.control import Progress
from tests.natlab.lab import Lab
from tests.natlab.nodes import Sent, World, wait_for, world
from tests.natlab.scale import FULL, MEBIBYTES, within

log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(180)
_SECONDS = 5  # that a transfer takes at least, so that there is a middle


def send_and(here: World, midway: Callable[[], object], seconds: int = _SECONDS) -> Sent:
    """Send a file; ``midway`` runs, once, when the first bytes have left. It arrives as it was."""
    done: list[int] = []

    def watch(line: Progress) -> None:
        if line.bytes_sent and not done:
            done.append(line.bytes_sent)
            midway()

    path = here.file(MEBIBYTES)
    size = path.stat().st_size
    sent = here.a.send(here.b, path, watch, limit=size // seconds)
    assert done[0] < size
    log.info("%s %.1f s %s", done, sent.result.seconds, sent.result.paths)
    assert here.b.received(path).read_bytes() == path.read_bytes()
    return sent


def test_a_relayed_transfer_outlives_the_rendezvous() -> None:
    with Lab("symmetric", "symmetric") as lab, world(lab) as here:

        def restart() -> None:
            here.rendezvous.stop(kill=True)
            here.rendezvous.start()

        sent = send_and(here, restart)
        assert set(sent.result.paths) == {"relay"}
        assert sent.result.bytes_sent < 2 * sent.result.bytes  # what had arrived was not sent again


def test_a_transfer_moves_from_the_relay_to_a_better_path() -> None:
    with Lab("nat", "firewall") as lab:
        off = {"COMITY_PUNCH": "no"}
        with world(lab, a=off, b=off, b_flags=("--listen", "0.0.0.0:9100")) as here:
            wait_for(lambda: here.a.path() == "relay", "the session is relayed")
            sent = send_and(here, lambda: lab.admit("b", 9100), 12)  # it looks again after 0.5, 1, 2, … s
            assert sent.result.first_path == "relay"
            assert set(sent.result.paths) == {"relay", "direct"}
            assert sum(sent.result.paths.values()) == sent.result.bytes  # nothing twice


@pytest.mark.parametrize("site", ["a", "b"] if FULL else ["b"])  # alike from both sides
def test_a_nat_that_forgets_in_the_middle_delays_a_transfer_and_no_more(site: str) -> None:
    with Lab("strict", "strict") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        sent = send_and(here, lambda: lab.forget_connections(site))
        assert sent.result.first_path == "punched" or not FULL  # a race
        assert sent.result.seconds < within(60)


def test_a_cable_that_is_pulled_for_a_while_delays_a_transfer_and_no_more() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")

        def pull() -> None:
            lab.run("b", "ip", "link", "set", "eth", "down")
            wait_for(lambda: here.a.path() is None, "the dead peer is found", within(11))
            lab.run("b", "ip", "link", "set", "eth", "up")
            lab.run("b", "ip", "route", "replace", "default", "via", lab.plan.inside(2, "nat").gateway)

        assert send_and(here, pull).result.bytes_sent < 2 * MEBIBYTES * 2**20


def test_an_address_that_changes_in_the_middle_delays_a_transfer_and_no_more() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")

        def move() -> None:
            lab.run("b", "ip", "addr", "flush", "dev", "eth")
            lab.run("b", "ip", "addr", "add", "10.2.0.77/24", "dev", "eth")
            lab.run("b", "ip", "route", "replace", "default", "via", lab.plan.inside(2, "nat").gateway)

        assert send_and(here, move).result.seconds < within(60)
        wait_for(lambda: here.a.path() == "punched", "the session is punched again")
