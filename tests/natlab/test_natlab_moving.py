"""Transfers whose path goes away, or finds a better one, while bytes move: all of them end whole."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from comity.control import Progress
from tests.natlab.lab import Lab
from tests.natlab.nodes import Sent, World, wait_for, world

log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(180)
_MEBIBYTES = 256  # so many that there is a middle
#: What is alike from both sides is tried from one, unless everything is asked for.
FULL = int(os.environ.get("NATLAB_MIB", "16")) >= 256


def send_and(here: World, midway: Callable[[], object], mebibytes: int = _MEBIBYTES) -> Sent:
    """Send a file; ``midway`` runs, once, when the first bytes have left. It arrives as it was."""
    done: list[int] = []

    def watch(line: Progress) -> None:
        if line.bytes_sent and not done:
            done.append(line.bytes_sent)
            midway()

    path = here.file(mebibytes)
    sent = here.a.send(here.b, path, watch)
    assert done[0] < path.stat().st_size
    log.info("%s %.1f s %s", done, sent.result.seconds, sent.result.paths)
    arrived = here.b.type("received", "--wait", path.name, "--timeout", "30")["files"][0]
    assert Path(arrived["path"]).read_bytes() == path.read_bytes()
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
            sent = send_and(here, lambda: lab.admit("b", 9100))
            assert sent.result.first_path == "relay"
            assert set(sent.result.paths) == {"relay", "direct"}
            assert sum(sent.result.paths.values()) == sent.result.bytes  # nothing twice


@pytest.mark.parametrize("site", ["a", "b"] if FULL else ["b"])
def test_a_nat_that_forgets_in_the_middle_delays_a_transfer_and_no_more(site: str) -> None:
    with Lab("strict", "strict") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        sent = send_and(here, lambda: lab.forget_connections(site))
        assert sent.result.first_path == "punched"
        assert sent.result.seconds < 60


def test_a_cable_that_is_pulled_for_a_while_delays_a_transfer_and_no_more() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")

        def pull() -> None:
            lab.run("b", "ip", "link", "set", "eth", "down")
            wait_for(lambda: here.a.path() is None, "the dead peer is found", 11)
            lab.run("b", "ip", "link", "set", "eth", "up")
            lab.run("b", "ip", "route", "replace", "default", "via", lab.plan.inside(2, "nat").gateway)

        assert send_and(here, pull).result.bytes_sent < 2 * _MEBIBYTES * 2**20


def test_an_address_that_changes_in_the_middle_delays_a_transfer_and_no_more() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")

        def move() -> None:
            lab.run("b", "ip", "addr", "flush", "dev", "eth")
            lab.run("b", "ip", "addr", "add", "10.2.0.77/24", "dev", "eth")
            lab.run("b", "ip", "route", "replace", "default", "via", lab.plan.inside(2, "nat").gateway)

        assert send_and(here, move).result.seconds < 60
        wait_for(lambda: here.a.path() == "punched", "the session is punched again", 60)
