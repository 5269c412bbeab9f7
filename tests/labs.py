"""A lab as processes: its home, its daemon, and the real command line as a script or a person uses it.

Nothing here reaches into a running program: labs are driven by ``python -m comity``, and watched, where a
test waits for something, through the Python API. ``tests.region`` puts labs beside a rendezvous.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comity.control import InfoResult, Transfer, TrustResult
from comity.demo.processes import await_daemon, daemon_of, end_daemon, is_alive
from comity.sdk import exchange, node, trust
from comity.sdk.client import Client
from tests import forked

COMITY = (sys.executable, "-m", "comity")
PATIENCE = 60.0
_COMMAND_SECONDS = 100.0
_LOOK_EVERY = 0.05


def eventually(
    holds: Callable[[], bool], what: str, seconds: float = PATIENCE, every: float = _LOOK_EVERY
) -> None:
    """Return once ``holds()``, which is asked ``every`` so many seconds; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(every)


def kill(pid: int) -> None:
    """End a process without a word (kill -9), and return once it is gone."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), f"process {pid} is gone")


@dataclass(frozen=True)
class Refusal:
    """What a command says with ``--json`` when it fails."""

    code: str
    message: str
    hint: str
    status: int

    def __post_init__(self) -> None:
        """Every error says one thing to try next (house rule 8), in one form."""
        assert self.hint, self
        assert "\n" not in self.message, self
        assert not self.message.endswith(".") or self.message.endswith("..."), self

    @property
    def told(self) -> tuple[str, int]:
        return self.code, self.status


class Command:
    """A running command."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self._arguments = arguments
        self.interrupted = False
        self.process = subprocess.Popen(
            arguments,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, seconds: float = _COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """What it has said once it has ended."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        except BaseException:
            self.stop()
            raise
        return subprocess.CompletedProcess(self._arguments, self.process.returncode, out, err)

    def stop(self) -> None:
        """End it, if it still runs."""
        if self.process.returncode is None:
            self.interrupted = True
            self.process.kill()
            self.process.communicate()

    def answer(self, seconds: float = _COMMAND_SECONDS) -> dict[str, Any]:
        """The one object that it prints when all went well."""
        return _answer(self.end(seconds))

    def refusal(self) -> Refusal:
        """The error that it ends with."""
        return _refusal(self.end())


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (done.returncode, done.stderr) == (0, ""), done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _refusal(done: subprocess.CompletedProcess[str]) -> Refusal:
    assert done.returncode != 0, done
    assert done.stdout == "", done
    error = json.loads(done.stderr)["error"]
    assert set(error) == {"code", "message", "hint"}, done
    return Refusal(error["code"], error["message"], error["hint"], done.returncode)


class Lab:
    """One institution. ``prefix`` goes before every command, for a lab in a namespace of its own."""

    def __init__(self, folder: Path, hostname: str, run: Path, prefix: tuple[str, ...] = ()) -> None:
        self.hostname = hostname
        self.folder = folder
        self.home = folder / "home"
        self.pid = 0
        self.card = ""
        self.fingerprint = ""
        self.prefix = prefix
        self._begun: list[Command] = []
        self._interrupted = False
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
        self.environment = kept | {
            "COMITY_HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(run),
            "PYTHONUTF8": "1",
        }
        folder.mkdir(mode=0o700, exist_ok=True)

    # ── the command line ──────────────────────────────────────────────────────────────────────────────

    def begin(self, *arguments: str) -> Command:
        """Start a command, as a script would: with ``--json``."""
        command = Command([*self.prefix, *COMITY, "--json", *arguments], self.environment, self.folder)
        self._begun.append(command)
        return command

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Run a command that succeeds."""
        return _answer(self.done("--json", *arguments))

    def refused(self, *arguments: str) -> Refusal:
        """Run a command that fails."""
        return _refusal(self.done("--json", *arguments))

    def read(self, *arguments: str) -> list[str]:
        """Run a command that succeeds, as a person would; the lines on the screen."""
        done = self.done(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.splitlines()

    def init(self, join: str, *options: str) -> dict[str, Any]:
        made = self.ask("init", "--hostname", self.hostname, "--join", join, *options)
        self.card, self.fingerprint = made["card"], made["fingerprint"]
        return made

    def up(self, *options: str) -> dict[str, Any]:
        """Start the daemon, and return once it is registered: on a slow machine ``up`` ends before that."""
        status = self.ask("up", *options)
        self.pid = status["pid"]
        if status["rendezvous_state"] != "registered":
            eventually(
                lambda: self.ask("status")["rendezvous_state"] == "registered",
                f"{self.hostname} is registered",
            )
            status = self.ask("status")
        return status

    def down(self) -> None:
        assert self.ask("down")["running"] is False
        assert not is_alive(self.pid)
        self.pid = 0

    def kill(self) -> None:
        """kill -9 of the daemon."""
        kill(self.pid)
        self.pid = 0

    def end(self) -> None:
        """End every command, and the daemon, also one that a command started and did not tell of."""
        for command in self._begun:
            command.stop()
        interrupted = self._interrupted or any(command.interrupted for command in self._begun)
        started = await_daemon(self.home) if interrupted else daemon_of(self.home)
        for pid in {self.pid, started or 0} - {0}:
            if self._runs_here(pid):
                end_daemon(pid)
        self.pid = 0

    # ── what a test waits for, and looks at ───────────────────────────────────────────────────────────

    @property
    def client(self) -> Client:
        return Client(self.home, environ=self.environment)

    def info(self) -> InfoResult:
        return node.info(self.client)

    def sees(self, peer: Lab) -> bool:
        """Whether a session with that peer stands."""
        return any(session.fingerprint == peer.fingerprint for session in self.info().sessions)

    def agreements(self) -> TrustResult:
        return trust.agreements(self.client)

    def newest_transfer(self) -> Transfer:
        return exchange.transfers(self.client).transfers[0]

    def failed_transfer(self) -> Transfer:
        """The newest transfer, once it has failed."""
        eventually(lambda: self.newest_transfer().state == "failed", f"{self.hostname}'s transfer has failed")
        return self.newest_transfer()

    def received(self) -> list[Path]:
        """Every file that is visible as received, and every part that is not."""
        folders = (self.home / "received", self.home / "incoming")
        return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())

    def done(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        line = [*self.prefix, *COMITY, *arguments]
        if self.prefix:
            command = Command(line, self.environment, self.folder)
            self._begun.append(command)
            return command.end()
        try:
            return forked.run(line[len(COMITY) - 1 :], self.environment, self.folder, _COMMAND_SECONDS)
        except BaseException:
            self._interrupted = True
            raise

    def _runs_here(self, pid: int) -> bool:
        """Whether that process is this lab's daemon, and not a stranger that was given its number."""
        try:
            return f"COMITY_HOME={self.home}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return sys.platform != "linux" and is_alive(pid)

    def said(self) -> str:
        """Its daemon's whole log."""
        files = [path for path in (self.home / "logs").glob("*") if path.is_file()]
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
