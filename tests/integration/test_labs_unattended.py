"""A node that nobody looks at: one visit, numbers for monitoring, a unit for systemd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.labs import COMITY, Lab, eventually
from tests.region import Region, gone, region


@pytest.fixture
def place() -> Iterator[Region]:
    with region() as made:
        yield made
        made.check_logs()


def test_one_visit_reads_the_mail_and_leaves_nothing_running(place: Region) -> None:
    one, two = place.pair()
    two.down()
    gone(one, two)
    file = place.folder / "model.bin"
    file.write_bytes(b"weights" * 100_000)
    stranger = place.lab("lab-c-trainer")
    stranger.ask("handshake", "lab-b-trainer", "IRB #7")
    one.ask("send-file", "lab-b-trainer", str(file), "--queue")
    visiting = two.begin("once", "--timeout", "100", "--quiet", "8")
    visit = visiting.answer()
    assert (visit["received"], visit["pending"], visit["complete"]) == (1, 1, True)
    assert two.ask("status")["running"] is False
    assert [each.read_bytes() for each in two.received()] == [file.read_bytes()]
    again = two.ask("once", "--quiet", "2")
    assert (again["received"], again["sent"]) == (0, 0)


def test_a_visit_that_reaches_nobody_says_so(place: Region) -> None:
    one = place.lab("lab-a-trainer")
    assert one.refused("once").code == "already_running"
    one.down()
    place.rendezvous.end()
    assert one.refused("once", "--timeout", "4", "--quiet", "2").code == "rendezvous_unreachable"
    assert one.ask("status")["running"] is False
    assert one.refused("once", "--timeout", "1", "--quiet", "2").code == "invalid_input"


def samples(lab: Lab) -> dict[tuple[str, ...], float]:
    found = lab.ask("metrics")["samples"]
    return {(each["name"], *each["labels"].values()): each["value"] for each in found}


def test_monitoring_sees_a_node_up_registered_and_down(place: Region) -> None:
    one, _ = place.pair()
    eventually(lambda: ("comity_peer_rtt_seconds", "lab-b-trainer", "direct") in samples(one), "a session")
    seen = samples(one)
    assert seen["comity_up",] == seen["comity_registered",] == 1
    assert seen["comity_trusted_peers",] == seen["comity_peer_up", "lab-b-trainer"] == 1
    text = one.read("metrics")
    assert "# TYPE comity_audit_entries_total counter" in text
    assert one.ask("status", "--check")["running"]
    one.down()
    assert samples(one)["comity_up",] == 0
    assert one.refused("status", "--check").code == "not_running"
    assert one.ask("status")["running"] is False


def test_without_listen_nobody_elsewhere_can_connect(place: Region) -> None:
    one, two = place.pair()
    for lab in (one, two):
        pid = lab.ask("status")["pid"]
        own = set(_descriptors(pid))
        tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6", "udp", "udp6")]
        listening = [line.split() for table in tables for line in table.splitlines()[1:]]
        sockets = [each for each in listening if f"socket:[{each[9]}]" in own]
        assert sockets, "its connections are seen"
        assert not [each for each in sockets if each[3] in ("0A", "07")], "none listens"


def _descriptors(pid: int) -> Iterator[str]:
    """What it has open, but for what it closes meanwhile."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{name}")


def test_a_unit_is_written_updated_and_removed(place: Region) -> None:
    one = place.lab("lab-a-trainer")
    one.environment["XDG_CONFIG_HOME"] = str(place.folder / "config")
    made = one.ask("service", "install", "--no-start", "--listen", "127.0.0.1:9123")
    text = (place.folder / "config" / "systemd" / "user" / made["unit"]).read_text()
    assert text == made["text"]
    assert f'"COMITY_HOME={one.home}"' in text
    assert '"up" "--foreground" "--listen" "127.0.0.1:9123"' in text
    assert one.ask("service", "show", "--listen", "127.0.0.1:9123")["text"] == text
    assert "User=" in one.ask("service", "show", "--system")["text"]
    assert one.refused("service", "install", "--no-start", "--listen", "nowhere").code == "invalid_input"
    assert one.ask("service", "uninstall")["unit"] == made["unit"]
    assert one.refused("service", "uninstall").code == "invalid_input"


def test_a_shell_completes_commands_and_options(place: Region) -> None:
    one = place.site("lab-a-trainer")
    script = one.read("completion", "bash")
    assert any("_COMITY_COMPLETE=bash_complete" in line for line in script)
    asked = {
        **one.environment,
        "_COMITY_COMPLETE": "bash_complete",
        "COMP_WORDS": "comity ser",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(COMITY, env=asked, capture_output=True, text=True, timeout=60, check=False)
    assert "plain,service" in done.stdout
