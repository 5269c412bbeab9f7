"""What happens when something in between goes away: it is found within ten seconds, and mended by
itself.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from comity.control import Progress
from tests.natlab.lab import Lab
from tests.natlab.nodes import wait_for, world

pytestmark = pytest.mark.timeout(180)


def test_a_punched_transfer_outlives_the_rendezvous() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        restarted: list[int] = []

        def watch(line: Progress) -> None:
            if line.bytes_sent and not restarted:
                restarted.append(line.bytes_sent)
                here.rendezvous.stop(kill=True)
                here.rendezvous.start()

        path = here.file(256)
        sent = here.a.send(here.b, path, watch)
        assert restarted[0] < sent.result.bytes
        assert sent.result.paths == {"punched": path.stat().st_size}
        arrived = here.b.type("received", "--wait", path.name, "--timeout", "30")["files"][0]
        assert Path(arrived["path"]).read_bytes() == path.read_bytes()
        wait_for(
            lambda: here.a.type("status")["rendezvous_state"] == "registered", "it is registered again", 40
        )


def test_a_dead_peer_is_found_and_comes_back_by_itself() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        lab.run("b", "ip", "link", "set", "eth", "down")
        began = time.monotonic()
        wait_for(lambda: here.a.path() is None, "the dead peer is found", 11)
        assert time.monotonic() - began < 10.5
        lab.run("b", "ip", "link", "set", "eth", "up")
        lab.run("b", "ip", "route", "replace", "default", "via", "10.2.0.1")
        wait_for(lambda: here.a.path() == "punched", "the session is back, on its path", 60)


def test_a_nat_that_forgets_is_noticed_and_punched_again() -> None:
    with Lab("strict", "strict") as lab, world(lab) as here:
        wait_for(lambda: here.a.path() == "punched", "the session is punched")
        before = here.a.session()
        lab.forget_connections("b")
        assert before is not None
        wait_for(lambda: (here.a.session() or before).since != before.since, "it is replaced", 40)
        wait_for(lambda: here.a.path() == "punched", "the session is punched again", 60)
        path = here.file(8)
        assert here.a.send(here.b, path).result.bytes == path.stat().st_size
