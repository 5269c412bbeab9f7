"""The control API's client against daemons that answer well, badly, late and not at all."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comity import control, errors
from comity.sdk import exchange, node, trust
from comity.sdk.answers import reported
from comity.sdk.client import Client
from comity.storage.home import Home
from tests.cli.fake_daemon import PAUSE, SILENCE, FakeDaemon, new_home, running, short_folder

PROGRESS = {
    "transfer": "t1",
    "state": "sending",
    "name": "w",
    "bytes": 7,
    "bytes_done": 0,
    "bytes_sent": 0,
    "seconds": 0.0,
    "mb_per_s": 0.0,
    "path": None,
}
RESULT = {
    "transfer": "t1",
    "name": "w",
    "bytes": 7,
    "digest": "sha256:aa",
    "bytes_sent": 7,
    "seconds": 0.1,
    "mb_per_s": 0.0,
    "first_path": "direct",
    "path": "direct",
    "paths": {"direct": 7},
    "receipt": "sha256:bb",
    "manifest": "sha256:cc",
    "agreement": "sha256:dd",
    "to": "lab-b",
}


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


def client_of(home: Home, patience: float = 10.0) -> Client:
    runtime = os.fspath(home.path.parent / "run")
    return Client(home.path, environ={"XDG_RUNTIME_DIR": runtime}, patience=patience)


def send(client: Client, path: Path) -> control.SendResult:
    return exchange.send_file(client, "lab-b", path, lambda progress: None)


def test_home_is_the_one_that_the_environment_names(folder: Path, home: Home) -> None:
    assert Client(environ={"COMITY_HOME": str(home.path)}).home == home


def test_a_home_without_a_node(folder: Path) -> None:
    with pytest.raises(errors.NotInitialised):
        node.status(Client(folder / "absent"))


def test_nobody_listens(home: Home) -> None:
    with pytest.raises(errors.NotRunning, match="is not running"):
        node.status(client_of(home))


def test_a_node_that_runs_on_another_machine(home: Home) -> None:
    home.lease.write_text('{"host": "elsewhere.example", "pid": 1, "boot": "b", "runtime": "/r"}')
    home.lease.chmod(0o600)
    with pytest.raises(errors.NotRunning, match=r"elsewhere\.example"):
        node.status(client_of(home))


@pytest.mark.parametrize(
    "answer", [b"", b"not json", b"[1]", b'"text"', b"null", b"{}", b'{"trusted": 1}', b"\xff"]
)
def test_answers_that_make_no_sense(home: Home, daemon: FakeDaemon, answer: bytes) -> None:
    daemon.answer("trust", answer)
    with pytest.raises(errors.RemoteProtocolError):
        trust.agreements(client_of(home))


@pytest.mark.parametrize("failure", [{}, {"code": 3}, None, "text", []])
def test_errors_that_make_no_sense(home: Home, daemon: FakeDaemon, failure: object) -> None:
    daemon.answer("trust", {"error": failure})
    with pytest.raises(errors.RemoteProtocolError, match="without a code"):
        trust.agreements(client_of(home))


def test_fields_of_a_later_version_are_ignored(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("trust", {"trusted": [], "ended": [], "outgoing": [], "later": 1})
    assert trust.agreements(client_of(home)) == control.TrustResult((), (), ())


def test_a_daemon_that_ends_before_it_answers(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("trust")
    with pytest.raises(errors.NotRunning, match="ended before it answered"):
        trust.agreements(client_of(home))


def test_a_daemon_that_stays_silent(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("trust", SILENCE)
    with pytest.raises(errors.TimedOut, match="did not answer"):
        trust.agreements(client_of(home, patience=0.2))


def test_waiting_operations_get_the_time_that_they_ask_for(home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("handshake", SILENCE)
    timer = threading.Timer(0.4, daemon.ending.set)
    timer.start()
    request = control.HandshakeRequest(peer="lab-b", justification="x", wait_seconds=20)
    with pytest.raises(errors.NotRunning):  # it hung up, long after the client's patience with others
        trust.handshake(client_of(home, patience=0.1), request)
    timer.join()


def test_a_line_is_waited_for_as_long_as_its_reader_likes(home: Home, daemon: FakeDaemon) -> None:
    """Neither as long as the daemon's answers to other operations, nor no longer than these."""
    begun: dict[str, Any] = {"subscription": {"id": "i", "topic": "a", "consumer": "c"}}
    event: dict[str, Any] = {"events": []}
    request = control.SubscribeRequest("a", "c")
    daemon.answer("subscribe", begun, SILENCE)
    with client_of(home, patience=60).listen("subscribe", request) as lines:
        assert lines.next(60) == begun
        with pytest.raises(errors.TimedOut):
            lines.next(0.2)
    daemon.answer("subscribe", begun, PAUSE, event)
    with client_of(home, patience=0.6).listen("subscribe", request) as lines:
        assert [lines.next(None), lines.next(None)] == [begun, event]


def test_every_error_comes_back_as_its_class() -> None:
    for module in ("comity.identity", "comity.protocol.trust.machine", "comity.transport.tls"):
        importlib.import_module(module)
    for cls in errors.all_errors():
        if not cls.__module__.startswith("comity."):
            continue
        if cls.__module__.startswith(("comity.services", "comity.node", "comity.rendezvous", "comity.demo")):
            continue
        error = reported({"code": cls.code, "message": "m", "hint": "h"})
        assert (error.code, error.exit_status, error.message, error.hint) == (
            cls.code,
            cls.exit_status,
            "m",
            "h",
        )


def test_file_travels_as_a_descriptor_and_never_as_a_path(
    home: Home, daemon: FakeDaemon, folder: Path
) -> None:
    file = folder / "weights.safetensors"
    file.write_bytes(b"weights")
    daemon.answer("send-file", {"progress": PROGRESS}, {"progress": PROGRESS}, {"result": RESULT})
    seen: list[control.Progress] = []
    result = exchange.send_file(client_of(home), "lab-b", file, seen.append)
    assert result == control.SendResult(**RESULT)  # type: ignore[arg-type]  # its types are JSON's
    assert seen == [control.Progress(**PROGRESS)] * 2  # type: ignore[arg-type]  # its types are JSON's
    ((_, request),) = daemon.requests
    assert request["name"] == "weights.safetensors"
    assert str(folder) not in str(request)
    assert daemon.files == {request["file"]: b"weights"}


def test_empty_file(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    file = folder / "empty"
    file.touch()
    daemon.answer("send-file", {"result": RESULT})
    send(client_of(home), file)
    assert list(daemon.files.values()) == [b""]


def test_transfer_that_ends_without_a_result(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    file = folder / "w"
    file.touch()
    daemon.answer("send-file", {"progress": PROGRESS})
    with pytest.raises(errors.NotRunning, match="ended before"):
        send(client_of(home), file)
    daemon.answer("send-file", {"progress": {"state": 3}})
    with pytest.raises(errors.RemoteProtocolError):
        send(client_of(home), file)


def test_what_watches_a_transfer_may_fail_as_itself(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    def broken(progress: control.Progress) -> None:
        raise BrokenPipeError

    file = folder / "w"
    file.touch()
    daemon.answer("send-file", {"progress": PROGRESS}, {"result": RESULT})
    with pytest.raises(BrokenPipeError):
        exchange.send_file(client_of(home), "lab-b", file, broken)


def test_daemon_that_takes_no_file(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    file = folder / "w"
    file.touch()
    daemon.takes_files = False
    with pytest.raises(errors.TransferFailed):
        send(client_of(home), file)


def test_files_that_cannot_be_sent(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    fifo, loop, loose = folder / "fifo", folder / "loop", folder / "loose"
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    loose.symlink_to(folder / "absent")
    cases = {
        folder / "absent": "there is no such file",
        folder / "home" / "config.toml" / "x": "not a folder",
        fifo: "neither a file nor a folder",
        loop: "circle",
        loose: "there is no such file",
        Path("/dev/null"): "neither a file nor a folder",
        Path("a\0b"): "zero byte",
    }
    for path, reason in cases.items():
        with pytest.raises(errors.FileUnusable, match=reason):
            send(client_of(home), path)
    assert daemon.requests == []


def test_file_that_may_not_be_read(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    file = folder / "secret"
    file.touch(0o000)
    with pytest.raises(errors.FileUnusable, match="may not read"):
        send(client_of(home), file)


@pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "-rf", ".hidden", "a\\b"])
def test_names_that_no_receiver_would_take(home: Home, daemon: FakeDaemon, folder: Path, name: str) -> None:
    (folder / name).touch()
    with pytest.raises(errors.NameRefused):
        send(client_of(home), folder / name)
    assert daemon.requests == []


def test_name_that_is_not_text(home: Home, daemon: FakeDaemon, folder: Path) -> None:
    path = os.fsencode(folder) + b"/w\xff"
    open(path, "wb").close()
    with pytest.raises(errors.NameRefused):
        send(client_of(home), Path(os.fsdecode(path)))
