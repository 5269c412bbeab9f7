"""A real rendezvous and two real daemons, driven over their control sockets as the command line drives
them.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from comity.storage.home import Home
from comity.storage.lease import find_runtime
from tests.node_processes import Lab, Site, agree, site, until


@pytest.fixture
def place() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def labs(place: Site) -> tuple[Lab, Lab]:
    return place.lab("lab-a"), place.lab("lab-b")


def test_the_transcript_over_the_relay(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    ready = a.up(COMITY_PUNCH="no")["ready"]
    assert (ready["running"], ready["rendezvous_state"], ready["hostname"]) == (True, "registered", "lab-a")
    assert ready["address"] == "1:0001.0000.0010"
    b.up()
    assert a.ask("ping", peer="lab-b") == "untrusted_peer"
    assert a.ask("handshake", peer="lab-b", justification="IRB #2026-0142")["status"] == "sent"
    until(lambda: b.ask("pending")["pending"])
    [request] = b.ask("pending")["pending"]
    assert (request["justification"], request["verified"]) == ("IRB #2026-0142", "signature")
    approved = b.ask("approve", peer=request["address"])
    assert (approved["session"], approved["group"]) == (True, "X25519MLKEM768")
    until(lambda: a.session() == ("lab-b", "relay"))
    pong = a.ask("ping", peer="lab-b")
    assert (pong["path"], pong["received"], pong["cipher"]) == ("relay", 3, "TLS_AES_256_GCM_SHA384")
    assert a.ask("status")["sessions"] == 1
    revoked = a.ask("revoke", peer="lab-b", reason="study closed")
    assert (revoked["status"], revoked["notified"]) == ("revoked", True)
    assert revoked["links_closed"] >= 1
    until(lambda: b.ask("trust")["ended"])
    assert b.ask("trust")["ended"][0]["revoked_by"] == "them"
    until(lambda: (a.session(), b.session()) == (None, None))
    assert b.ask("ping", peer="lab-a") == "untrusted_peer"
    assert a.ask("audit-verify")["valid"]
    assert b.ask("audit-verify")["valid"]
    assert (a.down(), b.down()) == (0, 0)


def test_a_listening_peer_is_dialled_directly_and_a_killed_one_comes_back(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    a.up()
    b.up("--listen", "127.0.0.1:0")
    agree(a, b)
    until(lambda: a.session() == ("lab-b", "direct") and b.session() == ("lab-a", "direct"))
    assert a.ask("ping", peer=b.card)["path"] == "direct"
    b.kill()
    until(lambda: a.session() is None)
    assert b.up("--listen", "127.0.0.1:0")["ready"]["running"]
    until(lambda: a.session() == ("lab-b", "direct"))
    assert a.ask("ping", peer="lab-b")["received"] == 3
    assert b.down() == 0
    until(lambda: a.session() is None)
    until(lambda: "the peer said goodbye: shutdown" in a.log_text())


def test_a_rendezvous_that_was_killed_is_found_again_by_itself(place: Site, labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    a.up()
    b.up("--listen", "127.0.0.1:0")
    agree(a, b)
    until(lambda: a.session() == ("lab-b", "direct"))
    place.rendezvous.kill()
    until(lambda: a.ask("status")["rendezvous_state"] == "connecting")
    assert a.ask("ping", peer="lab-b")["path"] == "direct"  # who has a session needs no rendezvous
    place.rendezvous = place.serve()
    until(lambda: a.ask("status")["rendezvous_state"] == "registered")
    assert a.ask("status")["address"] == "1:0001.0000.0010"


def test_a_start_without_a_rendezvous_warns_and_goes_on_trying(place: Site, labs: tuple[Lab, Lab]) -> None:
    a, _ = labs
    place.rendezvous.kill()
    said = a.up()
    assert (said["ready"]["running"], said["ready"]["rendezvous_state"]) == (True, "connecting")
    assert said["warning"]["code"] == "rendezvous_unreachable"
    assert said["warning"]["hint"]
    assert a.ask("find", name="lab-b") == "rendezvous_unreachable"
    place.rendezvous = place.serve()
    until(lambda: a.ask("status")["rendezvous_state"] == "registered")


def test_starts_that_cannot_succeed_say_why(place: Site, labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    a.up()
    first, a.process = a.process, None
    assert failure(a.up()) == ("already_running", 13)
    a.process = first
    assert a.ask("status")["running"]  # and the first is as it was
    assert failure(b.up(COMITY_HOSTNAME="lab-a")) == ("name_taken", 22)
    other_key = place.join.split("#")[0] + "#" + "ab" * 32
    assert failure(b.up(COMITY_JOIN=other_key)) == ("rendezvous_identity_mismatch", 25)
    assert failure(b.up("--listen", "192.0.2.1:1")) == ("invalid_input", 2)
    b.home.chmod(0o755)
    assert failure(b.up()) == ("home_unsafe", 14)
    b.home.chmod(0o700)
    (b.home / "identity.key").rename(b.home / "elsewhere")
    assert failure(b.up()) == ("not_initialised", 10)


def failure(said: dict[str, Any]) -> tuple[str, int]:
    """The error's code and the exit status."""
    return said["error"]["code"], said["status"]


def test_everything_is_private_and_given_back(place: Site, labs: tuple[Lab, Lab]) -> None:
    a, _ = labs
    a.up()
    runtime = find_runtime(Home(a.home), a.environ)
    assert stat.S_IMODE(runtime.path.stat().st_mode) == 0o700
    for file in (runtime.control_socket, runtime.handoff_socket, runtime.pid, a.home / "logs" / "comity.log"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert a.process is not None
    assert int(runtime.pid.read_text()) == a.process.child.pid
    assert a.process.end(signal.SIGINT) == 0
    assert not any(path.exists() for path in (runtime.control_socket, runtime.handoff_socket, runtime.pid))
    assert not Home(a.home).lease.exists()
    assert a.up("--log-format", "json")["ready"]["running"]
    last = a.log_text().splitlines()[-1]
    assert json.loads(last)["event"] == "ready"


def test_a_client_that_hangs_up_interrupts_its_transfer(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    a.up()
    b.up()
    agree(a, b)
    assert b.process is not None
    b.process.child.send_signal(signal.SIGSTOP)  # a peer that does not answer
    try:
        program = (
            "import sys; from comity.sdk.client import Client; from comity.sdk.exchange import send_file;"
            "from pathlib import Path; print('sending', flush=True);"
            "send_file(Client(Path(sys.argv[1])), 'lab-b', sys.argv[2], lambda progress: None)"
        )
        (a.folder / "model.bin").write_bytes(os.urandom(100_000))
        command = ["-c", program, str(a.home), str(a.folder / "model.bin")]
        with subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, env={**os.environ, **a.environ}
        ) as client:
            until(lambda: a.ask("transfers")["transfers"])
            client.kill()
        until(lambda: a.ask("transfers")["transfers"][0]["state"] == "failed")
        assert a.ask("transfers")["transfers"][0]["problem"] == "it was interrupted here"
    finally:
        b.process.child.send_signal(signal.SIGCONT)
