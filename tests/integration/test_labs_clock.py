"""A node whose machine's clock was once far ahead, and the order that turns its time back; and what people
see of a rendezvous's quota.
"""

from __future__ import annotations

import sqlite3

from comity import limits
from comity.clock import SystemClock
from comity.control import rendezvous as control
from comity.sdk import audit
from comity.sdk import rendezvous as server
from tests.labs import eventually
from tests.region import agree, region

WORD = "--what-had-expired-may-count-again"


def test_a_node_whose_clock_was_far_ahead() -> None:
    ahead = SystemClock().now() + 400 * limits.DAY
    with region(proxied=True) as here:  # so that all goes through the relay
        a, b = here.lab("lab-a-trainer"), here.lab("lab-b-trainer")
        assert a.refused("force-clock-back", WORD).told == ("already_running", 13)
        a.down()
        assert a.refused("force-clock-back", WORD).told == ("invalid_input", 2)  # it is not ahead
        with sqlite3.connect(a.home / "node.db") as database:
            # As if it had run with such a clock, and made a sealing key then.
            database.execute("UPDATE clock SET now = ?", (ahead,))
            database.execute("UPDATE own_sealing_key SET expires = ?", (ahead + limits.SEALING_KEY_LIFETIME,))
        database.close()
        assert a.refused("force-clock-back").told == ("invalid_input", 2)
        turned = a.ask("force-clock-back", WORD)
        assert turned["now"] < turned["was"]
        a.up()
        agree(b, a)  # what it signs is believed again, and what is sealed to it is sealed to a key of today
        acts = {entry["kind"] for entry in a.ask("audit", "log", "--limit", "1000")["entries"]}
        assert "clock.forced_back" in acts
        assert audit.verify(a.client).valid
        # A quota is named where it was met, with what to do.
        quotas = {"node_relay_day": 1}
        server.change_network(control.NetworkChangeRequest("1", quotas=quotas), here.rendezvous.state)
        eventually(lambda: not a.sees(b) and not b.sees(a), "the relay ends lanes that are over the quota")
        (a.folder / "model.bin").write_bytes(b"x")
        refusal = a.refused("send-file", b.hostname, "model.bin")
        assert refusal.code == "peer_unreachable"
        assert "quota node-relay-day is used up" in refusal.message
        assert refusal.hint == "wait, or ask the rendezvous's operator for a larger quota"
