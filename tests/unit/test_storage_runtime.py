"""The runtime folder: in /tmp, where anybody may have been first, it is used only if it is really ours."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from comity.errors import HomeUnsafe, NotRunning
from comity.storage.home import Home
from comity.storage.runtime import Runtime, runtime_of


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, since sockets lie in it."""
    with TemporaryDirectory(prefix="c", dir="/tmp") as folder:
        yield Path(os.path.realpath(folder))


@pytest.fixture
def shared(short: Path) -> Path:
    """A stand-in for /tmp."""
    folder = short / "t"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def private(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def in_shared(home: Home, shared: Path) -> Runtime:
    return runtime_of(home, {}, shared)


def test_named_after_the_home(home: Home, shared: Path) -> None:
    name = hashlib.sha256(os.fsencode(os.path.realpath(home.path))).hexdigest()[:16]
    assert in_shared(home, shared).path == shared / f"comity-{os.geteuid()}" / name
    assert runtime_of(home, {}).path.is_relative_to("/tmp")


def test_session_folder_is_preferred(home: Home, shared: Path, short: Path) -> None:
    run = private(short / "run")
    runtime = runtime_of(home, {"XDG_RUNTIME_DIR": str(run)}, shared)
    assert runtime.path.parent == run / "comity"
    assert not (run / "comity").exists(), "only create() makes folders"
    runtime.create()
    runtime.check()
    assert {path.name for path in shared.iterdir()} == set()


@pytest.mark.parametrize("named", ["", "relative", "/nonexistent/run"])
def test_unusable_session_folder_is_passed_over(home: Home, shared: Path, named: str) -> None:
    assert runtime_of(home, {"XDG_RUNTIME_DIR": named}, shared) == in_shared(home, shared)


def test_session_folder_of_others_is_passed_over(home: Home, shared: Path, short: Path) -> None:
    run = private(short / "run")
    run.chmod(0o755)
    assert runtime_of(home, {"XDG_RUNTIME_DIR": str(run)}, shared) == in_shared(home, shared)


def test_too_long_session_folder_is_passed_over(home: Home, tmp_path: Path) -> None:
    long = private(tmp_path / ("x" * 90))
    assert runtime_of(home, {"XDG_RUNTIME_DIR": str(long)}).path.parent == Path(f"/tmp/comity-{os.geteuid()}")
    with pytest.raises(HomeUnsafe, match="too long"):
        runtime_of(home, {}, long)


def test_created_private_and_passes(home: Home, shared: Path) -> None:
    runtime = in_shared(home, shared)
    for _ in range(2):
        runtime.create()
        runtime.check()
    for folder in (runtime.path, runtime.path.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in (runtime.control_socket, runtime.handoff_socket, runtime.pid):
        assert file.parent == runtime.path
    assert list(runtime.path.iterdir()) == []


def test_absent_means_not_running(home: Home, shared: Path) -> None:
    with pytest.raises(NotRunning):
        in_shared(home, shared).check()


@pytest.mark.parametrize("level", ["parent", "folder"])
def test_link_that_was_there_first_is_refused(home: Home, shared: Path, tmp_path: Path, level: str) -> None:
    runtime = in_shared(home, shared)
    elsewhere = private(tmp_path / "elsewhere")
    if level == "parent":
        private(elsewhere / runtime.path.name)
        runtime.path.parent.symlink_to(elsewhere)
    else:
        private(runtime.path.parent)
        runtime.path.symlink_to(elsewhere)
    for attempt in (runtime.create, runtime.check):
        with pytest.raises(HomeUnsafe, match="symbolic link"):
            attempt()


def test_dangling_link_is_refused(home: Home, shared: Path, tmp_path: Path) -> None:
    runtime = in_shared(home, shared)
    runtime.path.parent.symlink_to(tmp_path / "planted")
    with pytest.raises(HomeUnsafe, match="symbolic link"):
        runtime.create()
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o750, 0o701])
def test_folder_that_others_can_enter_is_refused(home: Home, shared: Path, mode: int) -> None:
    runtime = in_shared(home, shared)
    runtime.create()
    runtime.path.parent.chmod(mode)
    for attempt in (runtime.create, runtime.check):
        with pytest.raises(HomeUnsafe):
            attempt()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("level", ["parent", "folder"])
def test_folder_of_another_user_is_refused(home: Home, shared: Path, level: str) -> None:
    runtime = in_shared(home, shared)
    runtime.create()
    os.chown(runtime.path.parent if level == "parent" else runtime.path, 12345, -1)
    for attempt in (runtime.create, runtime.check):
        with pytest.raises(HomeUnsafe, match="12345"):
            attempt()


def test_file_in_its_place_is_refused(home: Home, shared: Path) -> None:
    runtime = in_shared(home, shared)
    runtime.path.parent.touch(mode=0o600)
    with pytest.raises(HomeUnsafe, match="not a folder"):
        runtime.create()


def test_shared_folder_without_sticky_bit_is_refused(home: Home, shared: Path) -> None:
    shared.chmod(0o777)
    with pytest.raises(HomeUnsafe, match="0777"):
        in_shared(home, shared).create()
