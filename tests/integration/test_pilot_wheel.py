"""The drop-in's own wheel: the two programs, and nothing of Comity in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_it_holds_the_two_programs_and_runs_beside_comity(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT / "pilot", check=True, capture_output=True, timeout=50)
    (wheel,) = tmp_path.glob("comity_pilot-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = [name for name in names if name.endswith("entry_points.txt")]
        said = archive.read(points).decode()
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        assert "Requires-Dist: comity" in archive.read(metadata).decode()
    assert "pilotctl = comity_pilot.pilotctl:main" in said
    assert "pilot-rendezvous = comity_pilot.rendezvous:main" in said
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"comity_pilot"}
    for module, expected in (("pilotctl", "daemon"), ("rendezvous", "-registry-addr")):
        ran = subprocess.run(
            [sys.executable, "-m", f"comity_pilot.{module}", "--help"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{wheel}:{ROOT / 'src'}"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert expected in ran.stdout
