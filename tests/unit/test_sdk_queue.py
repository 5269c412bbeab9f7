"""Queueing, bounding and cancelling from Python: both faces ask the daemon for the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import errors
from comity.sdk.client import Client
from comity.sdk.client_async import AsyncClient
from comity.sdk.connection import Node
from comity.sdk.connection_async import AsyncNode
from comity.storage.home import Home
from tests.cli.fake_daemon import FakeDaemon, new_home, running, short_folder
from tests.unit.test_sdk_client import RESULT

QUEUED = {"transfer": "5e" * 16, "name": "model", "bytes": 7, "to": "lab-b", "state": "queued", "position": 1}
CANCELLED = {
    "transfer": "5e" * 16,
    "direction": "out",
    "peer": "lab-b",
    "name": "model",
    "state": "cancelled",
    "told": True,
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        (path / "model").write_bytes(b"weights")
        (path / "link").symlink_to(path / "model")
        yield path


@pytest.fixture
def home(folder: Path) -> Home:
    return new_home(folder)


@pytest.fixture
def daemon(home: Home, folder: Path) -> Iterator[FakeDaemon]:
    with running(home, folder / "run") as started:
        yield started


@pytest.fixture
def environ(home: Home) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": os.fspath(home.path.parent / "run")}


def answered(daemon: FakeDaemon) -> None:
    daemon.answer("queue-file", QUEUED)
    daemon.answer("send-file", {"result": RESULT})
    daemon.answer("cancel", CANCELLED)
    daemon.answer("cancel", {"error": {"code": "unknown_transfer", "message": "m", "hint": "h"}})


def asked(daemon: FakeDaemon, folder: Path) -> None:
    """A descriptor went with each file, and the path that was queued is the file's own."""
    queued, sent, cancelled, _ = daemon.requests
    assert queued[0] == "queue-file"
    assert (queued[1]["path"], queued[1]["limit"]) == (os.path.realpath(folder / "model"), 50_000)
    assert daemon.files[queued[1]["file"]] == b"weights"
    assert (sent[0], sent[1]["limit"]) == ("send-file", 20_000)
    assert cancelled == ("cancel", {"transfer": "5e5e5e5e"})


def test_from_a_program_that_waits(
    home: Home, daemon: FakeDaemon, folder: Path, environ: dict[str, str]
) -> None:
    answered(daemon)
    node = Node(Client(home.path, environ=environ))
    assert node.queue("lab-b", folder / "link", limit=50_000).position == 1
    node.send("lab-b", folder / "model", limit=20_000)
    assert node.cancel("5e5e5e5e").told
    with pytest.raises(errors.UnknownTransfer):
        node.cancel("00000000")
    asked(daemon, folder)


async def test_from_a_program_that_goes_on(
    home: Home, daemon: FakeDaemon, folder: Path, environ: dict[str, str]
) -> None:
    answered(daemon)
    node = AsyncNode(AsyncClient(home.path, environ=environ))
    assert (await node.queue("lab-b", folder / "link", limit=50_000)).position == 1
    await node.send("lab-b", folder / "model", limit=20_000)
    assert (await node.cancel("5e5e5e5e")).told
    with pytest.raises(errors.UnknownTransfer):
        await node.cancel("00000000")
    asked(daemon, folder)
