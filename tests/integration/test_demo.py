"""The whole demo, as a user runs it: real processes, real sockets on loopback, real patients."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from comity.demo.processes import daemon_of, is_alive

SECONDS = 280


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "comity", "demo", *arguments]


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo with its temporary folders in ``folder``."""
    environment = os.environ | {"TMPDIR": str(folder), "PYTHONUTF8": "1"}
    with subprocess.Popen(
        command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)  # it ends what it started


def until(child: subprocess.Popen[str], words: str) -> str:
    """All that it says up to the line with these words."""
    said = ""
    assert child.stdout is not None
    for line in child.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"never said {words!r}, but: {said}{child.stderr.read() if child.stderr else ''}")


@pytest.mark.timeout(300)
def test_two_hospitals_from_handshake_to_revocation(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # a locale without an ô
    done = subprocess.run(
        command("--json", "--keep", str(kept)),
        env=os.environ | poor,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["ok"]
    check_learning(result)
    check_evidence(result)
    check_files(result, kept)


def check_learning(result: dict[str, Any]) -> None:
    names = [hospital["hostname"] for hospital in result["hospitals"]]
    assert [hospital["patients"] for hospital in result["hospitals"]] == [238, 160]
    assert set(result["accuracy"]) == {*names, "together"}
    assert result["accuracy"]["together"] >= max(result["accuracy"][name] for name in names)
    assert all(score["patients"] == result["test_patients"] == 171 for score in result["scores"].values())
    assert [(t["round"], t["sender"]) for t in result["transfers"]] == [
        (number, name) for number in range(4) for name in names
    ]
    assert len({transfer["receipt"] for transfer in result["transfers"]}) == 8


def check_evidence(result: dict[str, Any]) -> None:
    assert (result["group"], result["cipher"]) == ("X25519MLKEM768", "TLS_AES_256_GCM_SHA384")
    assert [channel["by"] for channel in result["channels"]] == [h["hostname"] for h in result["hospitals"]]
    agreement = result["agreement"]
    assert (agreement["valid"], agreement["identities"]) == (True, "verified")
    assert agreement["digest"].startswith("sha256:")
    assert all(log["valid"] and log["size"] > 0 and log["root"] for log in result["audit"])
    assert [refusal["code"] for refusal in result["revocation"]["refusals"]] == ["untrusted_peer"] * 2
    assert [refusal["exit_status"] for refusal in result["revocation"]["refusals"]] == [31, 31]
    assert len(result["checks"]) > 20


def check_files(result: dict[str, Any], kept: Path) -> None:
    """What was kept is what was told; and no hospital's folder holds another's patients."""
    assert result["folder"] == str(kept)
    homes = [kept / "st-mary", kept / "cote-bleue"]
    for home in homes:
        model = (home / "shared-3.safetensors").read_bytes()
        assert "sha256:" + hashlib.sha256(model).hexdigest() == result["model"]
        assert daemon_of(home / "home") is None
    own = [(home / "patients.npz").read_bytes() for home in homes]
    for home, theirs in zip(homes, reversed(own), strict=True):
        assert not [path for path in home.rglob("*") if path.is_file() and path.read_bytes() == theirs]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path) as child:
        until(child, "online as côte-bleue-trainer")
        homes = list(tmp_path.glob("comity-demo-*/*/home"))
        daemons = [daemon_of(home) for home in homes]
        assert len(daemons) == 2
        child.send_signal(number)
        _, complaint = child.communicate(timeout=60)
        assert child.returncode == 130
        assert "interrupted" in complaint
    assert not [pid for pid in daemons if pid is None or is_alive(pid)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(300)
def test_a_failure_says_what_did_not_hold_and_keeps_the_folder(tmp_path: Path) -> None:
    with started(tmp_path) as child:
        until(child, "online as st-mary-trainer")
        (home,) = tmp_path.glob("comity-demo-*/st-mary/home")
        victim = daemon_of(home)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        _, complaint = child.communicate(timeout=120)
    assert child.returncode == 80
    folder = home.parents[1]
    assert "this did not hold" in complaint
    assert "not_running" in complaint
    assert f"kept: {folder}" in complaint
    assert (folder / "cote-bleue" / "home").is_dir()
    assert daemon_of(folder / "cote-bleue" / "home") is None
    assert list(tmp_path.iterdir()) == [folder]
