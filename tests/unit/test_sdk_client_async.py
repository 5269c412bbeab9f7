"""The asynchronous client against daemons that answer well, badly, late and not at all."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import control, errors, limits
from comity.sdk import asks
from comity.sdk.client_async import AsyncClient
from comity.sdk.connection_async import AsyncNode
from comity.storage.home import Home
from tests.cli.fake_daemon import SILENCE, FakeDaemon, new_home, running, short_folder
from tests.unit.test_sdk_client import PROGRESS, RESULT


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def home(folder: Path) -> Home:
    return new_home(folder)


@pytest.fixture
def daemon(home: Home, folder: Path) -> Iterator[FakeDaemon]:
    with running(home, folder / "run") as started:
        yield started


def client_of(home: Home, patience: float = 10.0) -> AsyncClient:
    runtime = os.fspath(home.path.parent / "run")
    return AsyncClient(home.path, environ={"XDG_RUNTIME_DIR": runtime}, patience=patience)


async def test_nobody_listens(home: Home, daemon: FakeDaemon) -> None:
    daemon.stop()
    with pytest.raises(errors.NotRunning):
        await client_of(home).ask(asks.status())


@pytest.mark.parametrize(
    "answer", [b"not json", b"[1]", b'"text"', b"null", b"{}", b'{"trusted": 1}', b"\xff"]
)
async def test_answers_that_make_no_sense(home: Home, daemon: FakeDaemon, answer: bytes) -> None:
    daemon.answer("trust", answer)
    with pytest.raises(errors.RemoteProtocolError):
        await client_of(home).ask(asks.agreements())


async def test_a_daemon_that_ends_before_it_answers(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("trust")
    with pytest.raises(errors.NotRunning, match="ended before it answered"):
        await client_of(home).ask(asks.agreements())


async def test_errors_are_raised_as_their_class(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("trust", {"error": {"code": "unknown_peer", "message": "m", "hint": "h"}})
    with pytest.raises(errors.UnknownPeer, match="m"):
        await client_of(home).ask(asks.agreements())


async def test_a_daemon_that_stays_silent(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("trust", SILENCE)
    with pytest.raises(errors.TimedOut, match="did not answer"):
        await client_of(home, patience=0.2).ask(asks.agreements())


async def test_an_answer_without_end_is_refused(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("subscribe", b"x" * (2 * limits.CONTROL_LINE_BYTES))
    async with client_of(home).listen("subscribe", control.SubscribeRequest("a", "c")) as lines:
        with pytest.raises(errors.RemoteProtocolError, match="longer than"):
            await lines.line(5)


async def test_text_that_is_no_text(home: Home, daemon: FakeDaemon) -> None:
    with pytest.raises(errors.InvalidInput):
        await client_of(home).ask(asks.find(control.FindRequest("\udc80")))


async def test_a_file_travels_as_a_descriptor(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    file = folder / "weights.safetensors"
    file.write_bytes(b"weights")
    daemon.answer("send-file", {"progress": PROGRESS}, {"result": RESULT})
    seen: list[control.Progress] = []
    await AsyncNode(client_of(home)).send("lab-b", file, progress=seen.append)
    assert len(seen) == 1
    ((_, request),) = daemon.requests
    assert daemon.files == {request["file"]: b"weights"}
    daemon.answer("send-file", {"progress": PROGRESS})
    with pytest.raises(errors.NotRunning, match="ended before"):
        await AsyncNode(client_of(home)).send("lab-b", file)


async def test_lines_come_one_by_one_and_a_cancelled_wait_hangs_up(home: Home, daemon: FakeDaemon) -> None:
    view = {"id": "i", "topic": "a", "consumer": "c"}
    event = {
        "topic": "a",
        "data": "1",
        "from": "lab-b",
        "fingerprint": "f",
        "cursor": "1@b",
        "at": "2026-01-01T00:00:00Z",
    }
    daemon.answer("subscribe", {"subscription": view}, {"events": [event, event | {"data": "2"}]}, SILENCE)
    daemon.answer("acknowledge", {"durable": True})

    async def listen() -> None:
        async with AsyncNode(client_of(home)).subscribe("a", consumer="c") as events:
            async for each in events:
                data.append(each.data)

    data: list[str] = []
    task = asyncio.ensure_future(listen())
    deadline = time.monotonic() + 60
    while not any(operation == "acknowledge" for operation, _ in daemon.requests):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert data == ["1", "2"]
    assert daemon.requests[1][1]["cursors"] == ["1@b"]
