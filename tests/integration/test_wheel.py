"""The wheel that ``make dist`` builds is whole: it runs without the repository, and holds nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (built,) = folder.glob("comity-*-py3-none-any.whl")
    return built


def test_it_holds_the_package_and_its_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (points,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "comity = comity.cli.app:main" in archive.read(points).decode()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"comity"}
    assert "comity/py.typed" in names
    sources = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/comity").rglob("*.py")}
    assert sources <= set(names)


def test_it_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [sys.executable, "-c", "import comity, sys; print(comity.__file__); from comity.cli.app import main; "
         "sys.exit(main(['--json', 'version']))"],
        cwd=tmp_path,
        env={**environ, "PYTHONPATH": str(wheel), "COMITY_HOME": str(tmp_path / "home")},
        capture_output=True,
        check=True,
        timeout=30,
    )  # fmt: skip
    where, line = ran.stdout.splitlines()
    assert where.decode().startswith(str(wheel))
    assert json.loads(line)["version"] in wheel.name
