"""comity doctor as a person types it, beside nodes that run, are revoked, removed, or away."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from tests.labs import Lab, eventually
from tests.region import agree, gone, meet, region


def doctor(lab: Lab, *arguments: str, status: int = 0) -> dict[str, dict[str, Any]]:
    """Its hops by name."""
    done = lab.done("--json", "doctor", *arguments)
    assert (done.returncode, done.stderr) == (status, ""), done
    result = json.loads(done.stdout)
    assert (result["status"] == "failed") == (status == 3)
    return {hop["name"]: hop for hop in result["hops"]}


def on_path(lab: Lab, path: str) -> bool:
    return any(session.path == path for session in lab.info().sessions)


def direct_works(lab: Lab, peer: Lab) -> bool:
    """Whether its doctor finds the peer on a direct path."""
    hops = json.loads(lab.done("--json", "doctor", peer.hostname).stdout)["hops"]
    return any((hop["name"], hop["status"]) == ("peer direct", "ok") for hop in hops)


def test_what_the_doctor_says_of_nodes_and_their_peers() -> None:
    with region() as here:
        one, two = here.pair()
        eventually(lambda: on_path(one, "direct"), "the session moves to the better path")
        hops = doctor(one, two.hostname)
        assert hops["registration"]["detail"].startswith("registered as lab-a-trainer, 1:")
        assert hops["peer"]["detail"] == "lab-b-trainer is online, and a session stands (direct)"
        assert hops["peer direct"]["status"] == "skipped"
        assert "by simultaneous open" in hops["peer punched"]["detail"]
        assert hops["peer relay"]["status"] == "ok"

        text = one.read("doctor", two.card)
        assert text[-1] == "Everything that was checked works."
        assert "✓ relay         the relay answers: partners can be reached through it" in text

        two.down()
        two.up("--listen", "127.0.0.1:0")
        meet(one, two)
        eventually(lambda: direct_works(one, two), "the address has been told")
        assert "peers are told 127.0.0.1:" in doctor(two)["inbound"]["detail"]

        os.kill(two.pid, signal.SIGSTOP)  # it is there, and does not answer
        try:
            frozen = doctor(one, two.hostname, status=3)
            assert {frozen[f"peer {path}"]["status"] for path in ("direct", "relay")} == {"failed"}
        finally:
            os.kill(two.pid, signal.SIGCONT)
        meet(one, two)

        two.down()
        gone(one, two)
        away = doctor(one, two.hostname, status=3)["peer"]
        assert away["detail"].startswith("lab-b-trainer is offline since ")
        two.up()
        meet(one, two)
        two.ask("revoke", one.hostname, "--reason", "over")
        eventually(lambda: bool(one.agreements().ended), "the revocation arrives")
        ended = doctor(one, two.hostname, status=3)["peer"]
        assert ended["detail"] == "the agreement with lab-b-trainer is over: they revoked it: over"
        assert "comity handshake" in ended["advice"]
        assert doctor(one, "nobody", status=3)["peer"]["status"] == "failed"


def test_a_node_that_was_removed_and_one_whose_rendezvous_is_gone() -> None:
    with region() as here:
        lab = here.lab("lab-a-trainer")
        lab.ask("rendezvous", "remove", lab.fingerprint, "--state", str(here.rendezvous.state))
        eventually(lambda: lab.ask("status")["rendezvous_state"] == "refused", "it is told")
        hops = doctor(lab, status=3)
        assert hops["fingerprint"]["status"] == "ok"
        assert hops["registration"]["status"] == "failed"
        assert "does not try again" in hops["registration"]["detail"]
        assert hops["relay"]["detail"] == "not checked, as registration failed"

        here.rendezvous.kill()
        assert doctor(lab, status=3)["tcp"]["status"] == "failed"
        lines = lab.done("doctor").stdout.splitlines()
        assert lines[-2:] == [
            "It ends at: tcp.",
            "Not checked because of that: proxy, clock, inspection, fingerprint, registration, mapping,"
            " inbound, relay.",
        ]
        here.rendezvous.start()

        lab.down()
        hops = doctor(lab, "lab-b", status=3)
        assert (hops["node"]["status"], hops["relay"]["status"]) == ("warning", "ok")
        assert hops["peer"]["advice"] == "run comity up"
        stranger = here.site("lab-c")
        assert stranger.refused("doctor").told == ("not_initialised", 10)
        assert doctor(stranger, "--join", here.rendezvous.join)["fingerprint"]["status"] == "ok"
        (stranger.folder / "join.url").write_text(here.rendezvous.join)
        assert doctor(stranger, "--join", "@join.url")["fingerprint"]["status"] == "ok"


def test_the_doctor_of_a_node_uses_the_nodes_own_settings() -> None:
    """The daemon's environment counts, not the one that the command is typed in."""
    with region() as here:
        one = here.site("lab-a-trainer")
        one.init(here.rendezvous.join)
        one.environment["COMITY_PROXY"] = "none"
        one.up()
        one.environment["COMITY_PROXY"] = "http://127.0.0.1:1"
        assert doctor(one)["proxy"]["detail"] == "none is used: COMITY_PROXY"
        one.down()
        assert "127.0.0.1:1" in doctor(one, status=3)["tcp"]["detail"]
        agreed = here.lab("lab-b-trainer")
        del one.environment["COMITY_PROXY"]
        one.up()
        agree(one, agreed)
        assert doctor(agreed, one.hostname)["peer"]["status"] == "ok"
