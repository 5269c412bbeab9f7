"""The demo's stage: what it tells, what it inherits, and that it leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comity.control import StatusResult
from comity.demo.checks import Check, Checks
from comity.demo.console import Console, environment
from comity.demo.failure import DemoFailed
from comity.demo.narrator import Narrator, abridged, percent
from comity.demo.processes import end_daemon, is_alive
from comity.demo.stage import Stage
from comity.errors import InvalidInput

SILENT = Narrator(None)


def demo(*arguments: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    code = f"import runpy, sys; {before}; runpy.run_module('comity.demo', run_name='__main__')"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_commands_are_told_as_one_would_type_them_but_for_digits() -> None:
    digits = "5a2f" + "0" * 56 + "c8d1"
    command = ["comity", "handshake", f"comity:côte@127.0.0.1:9#{digits}", "study, IRB #1"]
    assert abridged(command) == "comity handshake comity:côte@127.0.0.1:9#5a2f…c8d1 'study, IRB #1'"
    assert abridged(["#", "$HOME", "a b"]) == "'#' '$HOME' 'a b'"
    assert percent(0.97664) == "97.7 %"


def test_narrator_numbers_its_steps_and_can_be_silent() -> None:
    out = io.StringIO()
    for narrator in (Narrator(out), SILENT):
        narrator.step("First")
        narrator.command("lab", "comity up")
        narrator.step("Second")
    assert [line.split() for line in out.getvalue().splitlines() if line] == [
        ["1.", "First"],
        ["lab", "$", "comity", "up"],
        ["2.", "Second"],
    ]


def test_the_first_check_that_does_not_hold_ends_it() -> None:
    checks = Checks(SILENT)
    checks.hold("sky", True, "blue")
    with pytest.raises(DemoFailed, match="grass: blue") as caught:
        checks.hold("grass", False, "blue", printed="what the command said")
    assert caught.value.printed == "what the command said"
    assert checks.held == (Check("sky", "blue"),)


def test_processes_inherit_nothing_of_the_users_own_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMITY_HOME", "/nowhere")
    monkeypatch.setenv("COMITY_ANYTHING", "x")
    monkeypatch.setenv("PYTHONPATH", f"src{os.pathsep}/elsewhere")
    inherited = environment(tmp_path)
    assert not [name for name in inherited if name.startswith("COMITY_")]
    assert inherited["XDG_RUNTIME_DIR"] == str(tmp_path)
    assert inherited["PYTHONPATH"] == f"{Path.cwd() / 'src'}{os.pathsep}/elsewhere"


def test_a_console_tells_what_a_failed_command_printed(tmp_path: Path) -> None:
    console = Console("lab", tmp_path / "lab", SILENT, environment(tmp_path))
    with pytest.raises(DemoFailed) as caught:
        console.program("train", "--data", "absent.npz", "--out", "model")
    assert "absent.npz" in caught.value.printed
    assert caught.value.check.startswith("python -m comity.demo.train")


def test_a_console_takes_a_refusal_for_what_it_is(tmp_path: Path) -> None:
    console = Console("lab", tmp_path / "lab", SILENT, environment(tmp_path))
    refusal = console.refused("no-such-command")
    assert (refusal.by, refusal.code, refusal.exit_status) == ("lab", "invalid_input", 2)
    with pytest.raises(DemoFailed, match="succeeded"):
        console.refused("version")
    with pytest.raises(DemoFailed, match="failed with status 2"):
        console.comity(StatusResult, "no-such-command")


def test_a_stubborn_process_is_ended_by_its_id() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
    started = time.monotonic()
    end_daemon(child.pid)
    assert not is_alive(child.pid)  # ended, though nobody has collected it yet
    assert time.monotonic() - started < 55
    assert child.wait(60) == -signal.SIGKILL
    end_daemon(child.pid)  # nothing to end any more


def test_the_stage_leaves_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    with Stage(SILENT, None) as stage:
        stage.console("lab", "lab")
    assert not stage.folder.exists()
    with Stage(SILENT, tmp_path / "deep" / "kept") as stage:
        stage.console("lab", "lab")
    assert stage.folder == tmp_path / "deep" / "kept"
    assert (stage.folder / "lab").is_dir()
    assert stage.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("error", "kept"), [(DemoFailed.of("a", "b"), True), (KeyboardInterrupt(), False)])
def test_a_failure_keeps_the_folder_and_an_interruption_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kept: bool
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(type(error)), Stage(SILENT, None) as stage:
        raise error
    assert stage.folder.exists() == kept
    assert list(tmp_path.iterdir()) == ([stage.folder] if kept else [])


def test_a_folder_with_something_in_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InvalidInput, match="not empty"):
        Stage(SILENT, tmp_path)
    with pytest.raises(InvalidInput, match="cannot be used"):
        Stage(SILENT, tmp_path / "thesis.tex")


def test_a_missing_package_is_named_with_what_to_do() -> None:
    done = demo("--json", before="sys.modules['sklearn'] = None")
    assert (done.returncode, done.stdout) == (81, "")
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["message"]) == ("missing_extra", "the demo needs scikit-learn")
    assert "pip install 'comity[demo]'" in error["hint"]


@pytest.mark.parametrize(
    "arguments", [("--rounds", "0"), ("--rounds", "16"), ("--rounds", "x"), ("--seed", "-1"), ("--what",)]
)
def test_wrong_arguments_are_refused(arguments: tuple[str, ...]) -> None:
    done = demo(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("comity demo: ")
    assert "try: " in done.stderr
