"""docs/how-to/ask-your-it-department.md, held against firewalls that allow exactly what it asks for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from comity import limits
from tests.natlab.capture import Capture
from tests.natlab.lab import Lab
from tests.natlab.nodes import World, wait_for, world

pytestmark = pytest.mark.timeout(180)
#: A lab that hears its rendezvous only.
_DEAF = """
table ip deaf {
  chain input {
    type filter hook input priority 0; policy accept;
    iifname eth ip saddr != 198.51.100.0/24 drop
  }
}
"""
OFF = {"COMITY_PUNCH": "no"}


def path_after_sending(here: World) -> set[str]:
    path = here.file(8)
    sent = here.a.send(here.b, path)
    assert here.b.received(path).read_bytes() == path.read_bytes()
    return set(sent.result.paths)


def test_one_server_and_one_port_outbound_is_all_that_has_to_be_allowed_and_nothing_listens() -> None:
    with Lab("one-server", "one-server") as lab, world(lab) as here:
        assert path_after_sending(here) == {"relay"}
        lines = Path(f"/proc/{here.b.pid}/net/tcp").read_text().splitlines()[1:]
        assert not [line for line in lines if line.split()[3] == "0A"]  # TCP_LISTEN


def test_without_punching_a_node_contacts_its_rendezvous_and_nobody_else() -> None:
    lab = Lab("nat", "nat")
    with lab, world(lab, a=OFF, b=OFF) as here, Capture(lab, "a", here.folder) as capture:
        assert path_after_sending(here) == {"relay"}
        time.sleep(limits.UPGRADE_FIRST + 1)
        assert {address for address, _ in capture.syns} == {lab.plan.rendezvous[0]}


def test_a_failed_attempt_is_not_repeated_for_a_minute() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        lab.run("b", "nft", "-f", "-", given=_DEAF)  # from now on no punch can succeed
        here.a.down()
        box = lab.plan.outside(2).hosts[0]
        with Capture(lab, "a", here.folder) as capture:
            here.a.up()
            wait_for(lambda: here.a.session(), "a session stands")
            time.sleep(2 * limits.PUNCH_SECONDS)
            for _ in range(3):
                assert path_after_sending(here) == {"relay"}
            tried = [count for (address, _), count in capture.syns.items() if address == box]
            # Each of the two sides asks once, and once more where the relay merely was quicker.
            assert 1 <= len(tried) <= 4
            assert max(tried) <= limits.PUNCH_SYNS


def test_one_inbound_port_from_the_partner_is_enough_for_direct() -> None:
    with Lab("nat", "firewall") as lab:
        lab.admit("b", 9100, source=lab.plan.outside(1).hosts[0])
        with world(lab, a=OFF, b=OFF, b_flags=("--listen", "0.0.0.0:9100")) as here:
            wait_for(lambda: here.a.path() == "direct", "the session is direct")
            # Once is enough: the relay may be quicker than a busy machine's own connection.
            wait_for(lambda: path_after_sending(here) == {"direct"}, "files take the direct path")
