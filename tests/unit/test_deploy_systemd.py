"""The units that are shipped: systemd accepts them, and they start what this version has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from comity import limits
from comity.rendezvous.options import parser

FOLDER = Path(__file__).resolve().parents[2] / "deploy/systemd"
UNITS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".service", ".socket", ".timer"))
SERVE = (FOLDER / "comity-rendezvous.service").read_text(encoding="utf-8")


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("this machine has no systemd-analyze")
    program = tmp_path / "comity"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for path in UNITS:
        text = path.read_text(encoding="utf-8").replace("/opt/comity/bin/comity", str(program))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "comity" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_the_unit_starts_the_server_with_flags_that_it_has() -> None:
    command = re.search(r"rendezvous serve((?:[^\n]|\\\n)*)", SERVE)
    assert command is not None
    known = {flag for action in parser()._actions for flag in action.option_strings}
    assert set(re.findall(r"--[a-z-]+", command[1])) <= known


def test_the_unit_has_room_for_all_lanes_and_connections() -> None:
    said = dict(re.findall(r"^(\w+)=(\d+)$", SERVE, re.MULTILINE))
    assert int(said["FileDescriptorStoreMax"]) >= 2 * limits.RELAY_LANES
    most = limits.RENDEZVOUS_CONNECTIONS + 2 * limits.BRIDGES + 6 * limits.RELAY_LANES
    assert int(said["LimitNOFILE"]) > most
    assert int(said["TimeoutStopSec"]) > limits.RENDEZVOUS_GOODBYE + limits.RENDEZVOUS_SURRENDER
