"""The wheel that ``make dist`` builds is whole: it runs without the repository, and holds nothing else; and
the Apptainer recipe installs it. Apptainer itself is not needed: what the recipe says is shell, and is run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
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
        assert "comity = comity.cli.program:run" in archive.read(points).decode()
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


# ── the Apptainer recipe ──────────────────────────────────────────────────────────────────────────────

RECIPE = (ROOT / "deploy/apptainer/comity.def").read_text(encoding="utf-8")
#: https://apptainer.org/docs/user/main/definition_files.html, of which these are used.
SECTIONS = ("labels", "files", "post", "environment", "runscript", "startscript", "test", "help")


def sections() -> dict[str, str]:
    """The recipe's sections by name; its header under ""."""
    head, *rest = re.split(r"^%(\w+)$\n", RECIPE, flags=re.MULTILINE)
    return {"": head} | dict(zip(rest[::2], rest[1::2], strict=True))


def shell(script: str, folder: Path, *arguments: str, **environ: str) -> str:
    """What a section prints, run as Apptainer runs it: sh, that stops at the first failure."""
    command = ["sh", "-ec", script, "sh", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMITY_", "PYTHON"))}
    done = subprocess.run(
        command, cwd=folder, env=kept | environ, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recipe_has_its_sections() -> None:
    found = sections()
    assert set(found) == {"", *SECTIONS}
    header = dict(line.split(": ") for line in found[""].splitlines() if line and not line.startswith("#"))
    assert header["Bootstrap"] == "docker"
    assert header["From"].startswith("python:3.11")
    for name in ("post", "environment", "runscript", "startscript", "test"):
        subprocess.run(["sh", "-n", "-c", found[name]], check=True, timeout=10)


def test_the_recipe_installs_the_wheel_and_runs_it(wheel: Path, tmp_path: Path) -> None:
    """In the test's folders, not in /opt and the image's Python; dependencies are those of the tests."""
    found, opt, site = sections(), tmp_path / "opt", tmp_path / "site"
    for line in found["files"].split("\n"):
        if line:
            source, target = line.split()
            place = Path(target.replace("/opt", str(opt)))
            place.mkdir(parents=True, exist_ok=True)
            (file,) = [wheel] if source.startswith("dist/") else [ROOT / source]
            assert file.match(Path(source).name)
            shutil.copy(file, place)
    path = f"{site / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell(
        found["post"].replace("/opt/", f"{opt}/"),
        tmp_path,
        PATH=path,
        PIP_TARGET=str(site),
        PIP_NO_DEPS="1",
        PIP_NO_INDEX="1",
        PIP_IGNORE_INSTALLED="1",
    )
    assert list(opt.iterdir()) == [], "nothing is left behind in the image"
    packages = {
        "PYTHONPATH": f"{site}:{sysconfig.get_path('purelib')}",
        "COMITY_HOME": str(tmp_path / "home"),
    }
    said = shell(found["environment"] + found["test"], tmp_path, PATH=path, **packages)
    assert json.loads(said)["version"] in wheel.name
    assert shell(found["runscript"], tmp_path, "version", PATH=path, **packages).startswith("comity ")
    where = shell("python3 -c 'import comity; print(comity.__file__)'", tmp_path, PATH=path, **packages)
    assert where.startswith(str(site))
    assert found["startscript"].split() == ["exec", "comity", "up", "--foreground", '"$@"']
