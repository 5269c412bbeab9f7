"""What holds for every command: --json anywhere, usage errors, help, locales, closed pipes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from comity.cli.app import app
from comity.cli.output import Output
from comity.storage.home import Home
from tests.cli.conftest import Typed
from tests.cli.fake_daemon import FakeDaemon

COMITY = [sys.executable, "-m", "comity"]


def commands() -> list[tuple[str, click.Command]]:
    """Every command with its full name."""
    context = click.Context(app, info_name="comity")
    found: list[tuple[str, click.Command]] = []
    for name in app.list_commands(context):
        command = app.get_command(context, name)
        assert command is not None
        found += inside(name, command)
    return found


def inside(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    inner = sorted(command.commands.items())
    return [each for sub, member in inner for each in inside(f"{name} {sub}", member)]


COMMANDS = commands()


def spawn(args: Sequence[str], **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMITY, *args],
        capture_output=True,
        env={**os.environ, **environ},
        timeout=90,
        check=False,
    )


# ── --json ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "args",
    [
        ["--json", "agreement", "verify", "FILE"],
        ["agreement", "--json", "verify", "FILE"],
        ["agreement", "verify", "--json", "FILE"],
        ["agreement", "verify", "FILE", "--json"],
    ],
)
def test_json_anywhere(comity: Typed, folder: Path, args: list[str]) -> None:
    file = folder / "FILE"
    file.write_text("not an agreement")
    ran = comity([arg if arg != "FILE" else str(file) for arg in args])
    assert ran.status == 51
    found = json.loads(ran.out)
    assert found["valid"] is False
    assert found["problem"] == json.loads(ran.err)["error"]["message"]


def test_json_is_not_read_out_of_an_argument(comity: Typed, home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("handshake", {"error": {"code": "unknown_peer", "message": "no", "hint": ""}})
    ran = comity(["handshake", "--", "lab-b", "--json"])
    assert daemon.requests[0][1]["justification"] == "--json"
    assert ran.err == "error: no\n"


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["ping"], "missing argument 'PEER'", "see comity ping --help"),
        (["ping", "a", "b"], "got unexpected extra argument (b)", "see comity ping --help"),
        (["ping", "a", "--frobnicate"], "no such option", "see comity ping --help"),
        (["ping", "a", "--timeout", "soon"], "invalid value for '--timeout'", "see comity ping --help"),
        (["ping", "a", "--timeout", "nan"], "invalid value for '--timeout'", "see comity ping --help"),
        (["handshake", "a", "b", "--wait=inf"], "invalid value for '--wait'", "see comity handshake --help"),
        (["received", "--timeout", "-1"], "invalid value for '--timeout'", "see comity received --help"),
        (["frobnicate"], "no such command 'frobnicate'", "see comity --help"),
        (["audit", "frobnicate"], "no such command 'frobnicate'", "see comity audit --help"),
    ],
)
def test_usage_errors_have_the_form_of_all_errors(
    comity: Typed, args: list[str], message: str, hint: str
) -> None:
    ran = comity(args)
    assert ran.status == 2
    assert ran.err.splitlines()[-1] == f"hint: {hint}"
    assert ran.err.startswith(f"error: {message}")
    as_json = comity([*args, "--json"])
    error = json.loads(as_json.err)["error"]
    assert (error["code"], error["hint"], as_json.status) == ("invalid_input", hint, 2)
    assert error["message"].startswith(message)


# ── help ──────────────────────────────────────────────────────────────────────────────────────────────


def test_overview_lists_every_command_and_says_what_each_does(comity: Typed) -> None:
    for args in ([], ["--help"]):
        ran = comity(args)
        assert ran.status == 0
        for name in app.list_commands(click.Context(app)):
            assert f"  {name} " in ran.out


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_help_of_each_command_has_an_example_that_parses(
    comity: Typed, name: str, command: click.Command
) -> None:
    ran = comity([*name.split(), "--help"])
    assert ran.status == 0
    _, _, example = ran.out.partition("Example:\n")
    lines = example.strip().splitlines()
    assert lines
    for line in lines:
        assert line.strip().startswith(f"comity {name}")


def test_version(comity: Typed) -> None:
    assert comity(["--version"]).out == comity(["version"]).out
    assert set(json.loads(comity(["version", "--json"]).out)) == {"version", "python"}


# ── the surroundings ──────────────────────────────────────────────────────────────────────────────────


def test_help_and_version_import_neither_cryptography_nor_a_web_framework() -> None:
    heavy = (
        "cryptography",
        "OpenSSL",
        "fastapi",
        "pydantic",
        "uvicorn",
        "asyncio",
        "msgspec",
        "sqlite3",
        "http",
    )
    program = (
        "import sys; from comity.cli.app import main; main(sys.argv[1:]);"
        f"print('loaded:', *sorted(set({heavy!r}) & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, timeout=90, check=True
    )
    assert ran.stdout.splitlines()[-1].strip() == "loaded:"


def test_status_imports_no_server(home: Home) -> None:
    heavy = ("OpenSSL", "fastapi", "pydantic", "uvicorn", "asyncio")
    program = (
        "import sys; from comity.cli.app import main; main(sys.argv[1:]);"
        f"print('loaded:', *sorted(set({heavy!r}) & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "status"], capture_output=True, text=True, timeout=90, check=True
    )
    assert ran.stdout.splitlines()[-1].strip() == "loaded:"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_survives_any_locale(folder: Path, encoding: str) -> None:
    join = "comity://127.0.0.1:9000#" + "ab" * 32
    environ = {"PYTHONIOENCODING": encoding, "LANG": "C", "LC_ALL": "C"}
    ran = spawn(["init", "--hostname", "東京大学", "--join", join], **environ)
    assert ran.returncode == 0, ran.stderr
    first = ran.stdout.decode(encoding).splitlines()[0]
    assert first in ("Identity created: 東京大学", "Identity created: \\u6771\\u4eac\\u5927\\u5b66")


def test_bar_is_made_of_letters_that_the_terminal_has(folder: Path) -> None:
    with (
        open(folder / "out", "w", encoding="ascii") as plain,
        open(folder / "o", "w", encoding="utf-8") as rich,
    ):
        assert Output(plain, plain, {}).bar(0.5) == "#" * 10 + "-" * 10
        assert Output(rich, rich, {}).bar(1.0) == "█" * 20


def test_argument_that_is_not_text(home: Home, daemon: FakeDaemon) -> None:
    ran = subprocess.run(
        [*map(os.fsencode, COMITY), b"handshake", b"lab-b", b"IRB \xff"],
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"error: ")
    assert b"Traceback" not in ran.stderr


def test_closed_pipe_is_quiet(home: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            [*COMITY, "status"], stdout=writing, stderr=subprocess.PIPE, timeout=90, check=False
        )
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


def _hears_interrupts() -> None:
    """Where the tests run in the background of a script, the shell has made them deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupt_is_quiet(home: Home) -> None:
    process = subprocess.Popen(
        [*COMITY, "logs", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hears_interrupts,
    )
    home.log_file.write_text("started\n")
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


def test_logs_show_the_end_of_the_file(comity: Typed, home: Home) -> None:
    home.log_file.with_name("comity.log.1").write_text("one\ntwo\n")
    home.log_file.write_text("three\nfour \x1b[2J\n")
    assert comity(["logs", "-n", "3"]).out == "two\nthree\nfour \\u{1b}[2J\n"
    assert json.loads(comity(["logs", "-n", "1", "--json"]).out) == {"lines": ["four \x1b[2J"]}


def test_logs_before_the_first_start(comity: Typed, home: Home) -> None:
    ran = comity(["logs"])
    assert (ran.status, ran.out) == (0, "")
