"""The seed's transcript with the real programs: a rendezvous and two nodes, as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.fake_daemon import short_folder
from tests.labs import eventually

WHY = "Federated lung cancer detection study, IRB #2026-0142"


@dataclass(frozen=True)
class Lab:
    """One institution's terminal."""

    folder: Path
    name: str

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "COMITY_HOME": str(self.folder / self.name),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "PYTHONIOENCODING": "utf-8",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "comity", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=50,
            check=False,
        )

    def types(self, *words: str) -> str:
        ran = self.run(*words)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def asks(self, *words: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.types(*words, "--json"))
        return found

    def fails(self, *words: str) -> tuple[int, str]:
        ran = self.run(*words, "--json")
        return ran.returncode, json.loads(ran.stderr)["error"]["code"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        (path / "run").mkdir(mode=0o700)
        yield path


@pytest.fixture
def rendezvous(folder: Path) -> Iterator[str]:
    """``comity rendezvous serve``, up to its end; the join URL's file."""
    process = subprocess.Popen(
        [sys.executable, "-m", "comity", "rendezvous", "serve", "--listen", "127.0.0.1:0", "--state", "rv"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    join = folder / "rv" / "join.url"
    try:
        deadline = time.monotonic() + 60
        while not join.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"@{join}"
    finally:
        process.terminate()
        process.wait(45)


@pytest.fixture
def labs(folder: Path, rendezvous: str) -> Iterator[tuple[Lab, Lab]]:
    found = Lab(folder, "lab-a-trainer"), Lab(folder, "lab-b-trainer")
    for lab in found:
        lab.types("init", "--hostname", lab.name, "--join", rendezvous)
    try:
        yield found
    finally:
        for lab in found:
            lab.run("down")


def test_the_trust_transcript(labs: tuple[Lab, Lab], folder: Path) -> None:
    lab_a, lab_b = labs
    assert lab_a.types("up") == "Agent online: lab-a-trainer (1:0001.0000.0010)\n"
    assert lab_b.types("up") == "Agent online: lab-b-trainer (1:0001.0000.0020)\n"

    asked = lab_a.types("handshake", "lab-b-trainer", WHY)
    assert asked.startswith("Handshake request sent. Waiting for approval...\nIdentity: unconfirmed.")
    eventually(lambda: bool(lab_b.asks("status")["pending"]), "the request has arrived")
    shown = lab_b.types("pending").splitlines()
    assert shown[:2] == ["1:0001.0000.0010 (lab-a-trainer)", f'  Justification: "{WHY}"']
    assert re.fullmatch(r"  Signed by: [0-9a-f]{4}\.\.\.[0-9a-f]{4} \(verified\)", shown[2])
    approved = lab_b.types("approve", "1:0001.0000.0010").splitlines()
    assert approved[:2] == [
        "Trust established with lab-a-trainer",
        "Encrypted tunnel active (X25519MLKEM768 + AES-256-GCM)",
    ]
    assert lab_a.asks("ping", "lab-b-trainer")["received"] == 3

    weights = folder / "round-3-weights.pt"
    weights.write_bytes(os.urandom(1_420_000))
    sent = lab_a.types("send-file", "lab-b-trainer", "round-3-weights.pt").splitlines()
    assert sent[0] == "Sending: round-3-weights.pt (1.4MB)"
    assert re.fullmatch(r"Transfer: █{20} 100% \([0-9.]+s, [0-9.]+ MB/s\)", sent[-2])
    assert sent[-1] == "File delivered (encrypted, verified)"
    files = lab_b.asks("received", "--wait", "round-3-weights.pt", "--timeout", "60")["files"]
    assert isinstance(files, list)
    assert Path(files[0]["path"]).read_bytes() == weights.read_bytes()
    assert files[0]["from"] == "lab-a-trainer"

    lab_a.types("agreement", "export", "lab-b-trainer", "--out", "agreement.json")
    parties = [f"--party={lab.name}={lab.asks('card')['fingerprint']}" for lab in labs]
    assert lab_a.asks("agreement", "verify", "agreement.json", *parties)["identities"] == "verified"

    assert lab_a.types("untrust", "1:0001.0000.0020").splitlines() == [
        "Trust revoked for lab-b-trainer (1:0001.0000.0020)",
        "Active tunnel torn down",
        "Peer notified",
    ]
    assert lab_a.fails("send-file", "lab-b-trainer", "round-3-weights.pt") == (31, "untrusted_peer")
    eventually(lambda: not lab_b.asks("trust")["trusted"], "lab B has heard of it")
    assert lab_b.fails("send-file", "lab-a-trainer", "round-3-weights.pt") == (31, "untrusted_peer")
    for lab in labs:
        assert lab.asks("audit", "verify")["valid"] is True
        pid = lab.asks("status")["pid"]
        assert lab.types("down") == f"Agent is not running: {lab.name}\n"
        assert isinstance(pid, int)
        assert not Path(f"/proc/{pid}").exists() or b") Z " in Path(f"/proc/{pid}/stat").read_bytes()


def test_what_goes_wrong_at_the_start(labs: tuple[Lab, Lab], folder: Path, rendezvous: str) -> None:
    lab_a, _ = labs
    lab_a.types("up")
    assert lab_a.fails("up") == (13, "already_running")
    assert lab_a.fails("handshake", "nobody", WHY) == (30, "unknown_peer")
    assert lab_a.fails("ping", "lab-b-trainer")[1] in ("unknown_peer", "untrusted_peer")

    thief = Lab(folder, "thief")
    thief.types("init", "--hostname", "lab-a-trainer", "--join", rendezvous)
    assert thief.fails("up") == (22, "name_taken")
    assert thief.asks("status")["running"] is False
    thief.types("init", "--rename", "--hostname", "thief")
    assert thief.types("up").startswith("Agent online: thief")
    thief.types("down")

    pid = lab_a.asks("status")["pid"]
    assert isinstance(pid, int)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while lab_a.asks("status")["running"]:
        assert time.monotonic() < deadline
    assert lab_a.fails("pending") == (12, "not_running")
    assert lab_a.types("up") == "Agent online: lab-a-trainer (1:0001.0000.0010)\n"


def test_rendezvous_that_cannot_be_reached(folder: Path) -> None:
    lab = Lab(folder, "lab-a")
    lab.types("init", "--hostname", "lab-a", "--join", "comity://127.0.0.1:9#" + "ab" * 32)
    try:
        ran = lab.run("up")
        assert ran.returncode == 0
        assert ran.stdout == "Agent running, not registered: lab-a\n"
        assert ran.stderr.startswith("warning: ")
        assert lab.fails("handshake", "lab-b", WHY) == (20, "rendezvous_unreachable")
    finally:
        lab.types("down")
