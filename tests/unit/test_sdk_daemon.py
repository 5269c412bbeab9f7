"""Starting and stopping the daemon, against programs that get ready, fail, fall silent or die."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import errors
from comity.sdk import daemon
from comity.storage.home import Home
from comity.storage.runtime import runtime_of
from tests.cli.fake_daemon import new_home, running, short_folder

UP = {"running": True, "hostname": "lab-a", "fingerprint": "00", "address": "1:0001.0000.0010", "pid": 4711}
STATUS = json.dumps(UP)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        yield new_home(folder)


def program(body: str) -> tuple[str, ...]:
    """A daemon whose whole life is ``body``; ``say(text)`` writes to the pipe that its starter reads."""
    head = (
        "import os, sys, time\n"
        "fd = int(sys.argv[sys.argv.index('--ready-fd') + 1])\n"
        "say = lambda text: os.write(fd, text.encode() + b'\\n')\n"
    )
    return (sys.executable, "-c", head + body)


def test_ready(home: Home) -> None:
    ready = daemon.start(home.path, program=program(f"say('{{\"ready\": {STATUS}}}')"))
    assert ready.status.address == "1:0001.0000.0010"
    assert ready.warning is None


def test_ready_with_a_warning(home: Home) -> None:
    warning = {"code": "rendezvous_unreachable", "message": "nobody answers", "hint": "h"}
    said = json.dumps({"ready": UP, "warning": warning})
    ready = daemon.start(home.path, program=program(f"say({said!r})"))
    assert isinstance(ready.warning, errors.RendezvousUnreachable)


def test_what_it_is_told(home: Home, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    tell = "open(os.environ['COMITY_HOME'] + '/told', 'w').write(' '.join(sys.argv[1:]))\n"
    body = tell + f"say('{{\"ready\": {STATUS}}}')"
    relative = Path(os.path.relpath(secret))
    daemon.start(home.path, listen="127.0.0.1:0", passphrase_file=relative, program=program(body))
    told = (home.path / "told").read_text().split()
    assert told[:4] == ["--listen", "127.0.0.1:0", "--passphrase-file", str(secret)]


def test_refusal_keeps_its_class(home: Home) -> None:
    said = '{"error": {"code": "already_running", "message": "process 7 runs it", "hint": "h"}}'
    with pytest.raises(errors.AlreadyRunning, match="process 7"):
        daemon.start(home.path, program=program(f"say({said!r})"))


def test_death_without_a_word_shows_its_last_words(home: Home) -> None:
    with pytest.raises(errors.NotRunning, match="did not start: ZeroDivisionError"):
        daemon.start(home.path, program=program("1 / 0"))


def test_garbage(home: Home) -> None:
    with pytest.raises(errors.NotRunning, match="did not start"):
        daemon.start(home.path, program=program("say('ready!')"))
    with pytest.raises(errors.RemoteProtocolError):
        daemon.start(home.path, program=program("say('{\"ready\": 3}')"))


def test_daemon_that_never_gets_ready_is_ended(home: Home) -> None:
    body = "open(os.environ['COMITY_HOME'] + '/pid', 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(errors.TimedOut, match="was not ready"):
        daemon.start(home.path, program=program(body), timeout=1.5)
    file = home.path / "pid"
    if file.exists():  # it was quick enough to say who it is
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


def test_start_needs_a_home(tmp_path: Path) -> None:
    with pytest.raises(errors.NotInitialised):
        daemon.start(tmp_path / "absent")


def test_stop_waits_for_the_home_to_be_given_back(home: Home) -> None:
    with (
        running(home, home.path.parent / "run") as answers,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"]) as process,
    ):
        runtime = runtime_of(home, os.environ)
        entry = {"host": socket.gethostname(), "pid": process.pid, "boot": "", "runtime": str(runtime.path)}
        home.lease.write_text(json.dumps(entry))
        home.lease.chmod(0o600)
        answers.answer("status", UP | {"pid": process.pid})
        answers.answer("stop", {"stopping": True})
        with pytest.raises(errors.TimedOut, match="still stopping"):
            daemon.stop(home.path, timeout=0.1)
        answers.answer("status", UP | {"pid": process.pid})
        answers.answer("stop", {"stopping": True})
        answers.answer("status", UP | {"running": False})
        process.kill()
        timer = threading.Timer(0.2, process.wait)
        timer.start()
        assert daemon.stop(home.path).running is False
        timer.join()


def test_stop_of_a_daemon_that_gave_its_home_back(home: Home) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    with running(home, home.path.parent / "run") as answers:
        answers.answer("status", UP | {"pid": process.pid})
        answers.answer("stop", {"stopping": True})
        answers.answer("status", UP | {"running": False})
        assert daemon.stop(home.path).running is False
    assert [operation for operation, _ in answers.requests] == ["status", "stop", "status"]


def test_stop_where_nothing_runs(home: Home) -> None:
    assert daemon.stop(home.path).running is False


def test_status_says_where_else_it_runs(home: Home) -> None:
    home.lease.write_text('{"host": "elsewhere.example", "pid": 1, "boot": "b", "runtime": "/r"}')
    home.lease.chmod(0o600)
    status = daemon.status(home.path)
    assert status.running is False
    assert "elsewhere.example" in status.problem
