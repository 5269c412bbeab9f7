"""Fixtures for the command line: a home that was set up, a daemon made of answers, a way to type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from comity.cli.app import main
from comity.storage.home import Home
from tests.cli.fake_daemon import FakeDaemon, new_home, running, short_folder


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Typed = Callable[[Sequence[str]], Ran]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where COMITY_HOME and XDG_RUNTIME_DIR point into, for the test's length."""
    with short_folder() as path:
        monkeypatch.setenv("COMITY_HOME", str(path / "home"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(path / "run"))
        yield path


@pytest.fixture
def home(folder: Path) -> Home:
    return new_home(folder)


@pytest.fixture
def daemon(home: Home, folder: Path) -> Iterator[FakeDaemon]:
    with running(home, folder / "run") as started:
        yield started


@pytest.fixture
def comity(folder: Path, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Run one command in this process, as a person would type it."""

    def run(args: Sequence[str]) -> Ran:
        status = main(args)
        captured = capfd.readouterr()
        return Ran(status, captured.out, captured.err)

    return run
