"""The drop-in with real daemons: first use and its pin, two partners with one name, what is Comity's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.demo.processes import daemon_of, end_daemon
from comity.errors import RendezvousUnreachable
from comity.sdk.first_use import first_use
from tests.labs import eventually
from tests.region import Region, Rendezvous, region

ROOT = Path(__file__).resolve().parents[2]


class Pilot:
    """A user with ``pilotctl``, in a home of its own."""

    def __init__(self, here: Region, hostname: str) -> None:
        self.hostname = hostname
        self.user = here.folder / hostname
        self.user.mkdir(mode=0o700)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
        self._environment = kept | {
            "HOME": str(self.user),
            "XDG_RUNTIME_DIR": str(here.run),
            "PYTHONUTF8": "1",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'pilot/src'}",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "comity_pilot.pilotctl", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )

    def said(self, *arguments: str) -> list[str]:
        done = self.run(*arguments)
        assert done.returncode == 0, done
        return done.stdout.splitlines()

    def received(self) -> dict[str, str]:
        folder = self.user / "pilot-received"
        return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else {}

    def end(self) -> None:
        pid = daemon_of(self.user / ".comity")
        if pid is not None:
            end_daemon(pid)


@pytest.fixture(scope="module")
def place() -> Iterator[Region]:
    with region() as here:
        yield here


@pytest.fixture
def pilots(place: Region) -> Iterator[list[Pilot]]:
    made = [Pilot(place, name) for name in ("lab-a-trainer", "lab-b-trainer", "charité-trainer")]
    yield made
    for pilot in made:
        pilot.end()


@pytest.mark.timeout(240)
def test_two_partners_send_one_name_and_the_first_registry_is_pinned(
    place: Region, pilots: list[Pilot]
) -> None:
    registry = f"127.0.0.1:{place.rendezvous.port}"
    for pilot in pilots:
        assert pilot.said("init", "--hostname", pilot.hostname) == []
        started = pilot.run("daemon", "start", "--registry", registry, "--beacon", "127.0.0.1:1")
        assert started.stdout.startswith(f"Agent online: {pilot.hostname} (1:0001."), started
        assert "on first use" in started.stderr
        assert place.rendezvous.url.fingerprint.grouped in started.stderr
    aggregator, *sites = pilots
    for site in sites:
        asked = site.run("handshake", aggregator.hostname, "IRB #2026-0142")
        assert asked.stdout == "Handshake request sent. Waiting for approval...\n", asked
        assert "not confirmed" in asked.stderr
    eventually(lambda: len(aggregator.said("pending")) >= 2, "both have asked")
    for site in sites:
        assert aggregator.said("approve", site.hostname)[0] == f"Trust established with {site.hostname}"
    for site in sites:
        weights = site.user / "round-1.pt"
        weights.write_text(site.hostname)
        assert site.said("send-file", aggregator.hostname, str(weights))[-1] == (
            "File delivered (encrypted, verified)"
        )
    eventually(lambda: len(aggregator.received()) == 2, "both are listed")
    assert aggregator.received() == {"round-1.pt": sites[0].hostname, "round-1.pt.2": sites[1].hostname}

    sites[0].said("publish", "training/weights-ready", "--data", "1")
    heard = aggregator.run("subscribe", "training/weights-ready", "--timeout", "60")
    assert heard.stdout == f"[training/weights-ready] {sites[0].hostname}: 1\n", heard
    assert f"what {sites[1].hostname} sent is ~/pilot-received/round-1.pt.2" in heard.stderr
    again = aggregator.run("subscribe", "training/weights-ready", "--timeout", "1")
    assert again.returncode == 60  # it was shown, and does not come again

    assert aggregator.said("card")[0].startswith("comity:lab-a-trainer@")  # a command of Comity's own
    assert aggregator.said("daemon", "stop") == ["Agent offline: lab-a-trainer"]
    assert "pilotctl daemon start" in aggregator.run("pending").stderr
    quiet = aggregator.run("daemon", "start", "--registry", registry)
    assert quiet.stderr == ""  # the key is pinned: nothing is trusted anew
    aggregator.said("daemon", "stop")

    place.rendezvous.end()
    impostor = Rendezvous(place.folder / "impostor", port=place.rendezvous.port)
    try:
        fooled = aggregator.run("daemon", "start", "--registry", registry)
        assert fooled.returncode == 25, fooled  # rendezvous_identity_mismatch
        assert first_use("127.0.0.1", impostor.port).fingerprint != place.rendezvous.url.fingerprint
        moved = aggregator.run("daemon", "start", "--registry", impostor.join)
        assert moved.returncode == 0, moved
        assert "first use" not in moved.stderr  # a join URL says which key it has to be
    finally:
        impostor.end()


def test_nobody_at_the_registry_and_no_init_are_said_in_its_own_words(place: Region) -> None:
    pilot = Pilot(place, "nobody")
    bare = pilot.run("daemon", "start", "--registry", "127.0.0.1:1")
    assert (bare.returncode, "run pilotctl init --hostname NAME" in bare.stderr) == (10, True), bare
    assert pilot.run("send-file", "lab-b", "/etc/hosts").stderr.endswith(
        "run pilotctl init --hostname NAME\n"
    )
    pilot.said("init", "--hostname", "nobody")
    unsaid = pilot.run("daemon", "start")
    assert (unsaid.returncode, "--registry" in unsaid.stderr) == (2, True), unsaid
    silent = pilot.run("daemon", "start", "--registry", "127.0.0.1:1")
    assert silent.returncode == 20, silent
    with pytest.raises(RendezvousUnreachable):
        first_use("127.0.0.1", 1)
