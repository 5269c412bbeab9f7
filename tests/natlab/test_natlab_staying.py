"""What happens when something in between goes away: it is found within ten seconds, and mended by
itself.
"""

from __future__ import annotations

import time

import pytest

from comity.control import Progress
from comity.sdk.node import status
from tests.natlab.lab import Lab
from tests.natlab.nodes import wait_for, world
from tests.natlab.scale import FULL, MEBIBYTES, within

pytestmark = pytest.mark.timeout(180)
_SECONDS = 5  # that a transfer takes at least, so that there is a middle


def test_a_punched_transfer_outlives_the_rendezvous() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        restarted: list[int] = []

        def watch(line: Progress) -> None:
            if line.bytes_sent and not restarted:
                restarted.append(line.bytes_sent)
                here.rendezvous.stop(kill=True)
                here.rendezvous.start()

        path = here.file(MEBIBYTES)
        sent = here.a.send(here.b, path, watch, limit=path.stat().st_size // _SECONDS)
        assert restarted[0] < sent.result.bytes
        assert sent.result.paths == {"punched": path.stat().st_size} or not FULL  # a race
        assert here.b.received(path).read_bytes() == path.read_bytes()
        wait_for(lambda: status(here.a.client).rendezvous_state == "registered", "it is registered again")


def test_a_dead_peer_is_found_and_comes_back_by_itself() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        lab.run("b", "ip", "link", "set", "eth", "down")
        began = time.monotonic()
        wait_for(lambda: here.a.path() is None, "the dead peer is found")
        assert time.monotonic() - began < within(10.5)
        lab.run("b", "ip", "link", "set", "eth", "up")
        lab.run("b", "ip", "route", "replace", "default", "via", "10.2.0.1")
        wait_for(lambda: here.a.path() == "punched", "the session is back, on its path")


def test_a_nat_that_forgets_is_noticed_and_punched_again() -> None:
    with Lab("strict", "strict") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        before = here.a.session()
        lab.forget_connections("b")
        assert before is not None
        wait_for(lambda: (here.a.session() or before).since != before.since, "it is replaced")
        wait_for(lambda: here.a.path() == "punched", "the session is punched again")
        path = here.file(8)
        assert here.a.send(here.b, path).result.bytes == path.stat().st_size
