"""One person's terminal: commands run in a folder of their own, with a home of their own, and are told as
they run.

Every command is a process that is waited for, with a deadline. It knows no command's meaning.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from comity.control.codec import from_plain
from comity.demo.failure import DemoFailed
from comity.demo.narrator import Narrator, abridged
from comity.errors import RemoteProtocolError

T = TypeVar("T")

SECONDS = 40.0  # for one command, the node's own waiting included
PRINTED_CHARS = 4000


@dataclass(frozen=True)
class Refusal:
    """How a command failed that was to fail: its error, and the status that it ended with."""

    by: str
    command: str
    code: str
    message: str
    hint: str
    exit_status: int


@dataclass(frozen=True)
class _Ended:
    shown: str
    status: int
    out: str
    err: str

    @property
    def printed(self) -> str:
        """All that it printed, cut to what a person reads."""
        return (self.out + self.err).strip()[-PRINTED_CHARS:]


class Console:
    """The terminal of ``who`` in ``folder``; its node's home is ``folder/home``."""

    def __init__(self, who: str, folder: Path, narrator: Narrator, environment: Mapping[str, str]) -> None:
        self.who = who
        self.folder = folder
        self.home = folder / "home"
        self.printed = ""
        self._narrator = narrator
        self._environment = dict(environment) | {"COMITY_HOME": str(self.home)}
        folder.mkdir(mode=0o700)

    def comity(self, kind: type[T], *command: str) -> T:
        """Run a command of Comity's that must succeed, and give its answer as ``kind``."""
        answer = self.answer(*command)
        try:
            return from_plain(answer, kind)
        except RemoteProtocolError as error:
            raise DemoFailed.of(f"comity {command[0]}", error.message, self.printed) from error

    def answer(self, *command: str) -> dict[str, Any]:
        """The same, with the answer as it came."""
        return self._succeed(["-m", "comity", *command, "--json"], abridged(["comity", *command]))

    def quietly(self, kind: type[T], *command: str) -> T:
        """The same as ``comity``, told to nobody: for looking again until something has happened."""
        ended = self._run(["-m", "comity", *command, "--json"], abridged(["comity", *command]))
        return from_plain(_succeeded(ended), kind)

    def refused(self, *command: str) -> Refusal:
        """Run a command of Comity's that must fail with an error of its own; DemoFailed if it succeeds."""
        shown = abridged(["comity", *command])
        self._narrator.command(self.who, shown)
        ended = self._run(["-m", "comity", *command, "--json"], shown)
        if ended.status == 0:
            raise DemoFailed.of(shown, "succeeded, and should have been refused", ended.printed)
        error = _parsed(ended, ended.err).get("error")
        if not isinstance(error, dict) or not {"code", "message", "hint"} <= error.keys():
            raise DemoFailed.of(shown, "failed without saying why", ended.printed)
        refusal = Refusal(self.who, shown, error["code"], error["message"], error["hint"], ended.status)
        self._narrator.result(f"refused: {refusal.message} ({refusal.code})")
        return refusal

    def program(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run one of the demo's own programs, in a process of its own that sees this folder."""
        module = f"comity.demo.{name}"
        return self._succeed(["-m", module, *arguments], abridged(["python", "-m", module, *arguments]))

    def result(self, text: str) -> None:
        """Tell what the last command's answer means."""
        self._narrator.result(text)

    def _succeed(self, arguments: Sequence[str], shown: str) -> dict[str, Any]:
        self._narrator.command(self.who, shown)
        ended = self._run(arguments, shown)
        return _succeeded(ended)

    def _run(self, arguments: Sequence[str], shown: str) -> _Ended:
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    *(word.encode() for word in arguments),
                ],  # UTF-8, as PYTHONUTF8 promises them
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            said = (error.stdout or b"") + (error.stderr or b"")
            raise DemoFailed.of(shown, f"took longer than {SECONDS:.0f} s", _text(said)) from error
        ended = _Ended(shown, done.returncode, _text(done.stdout), _text(done.stderr))
        self.printed = f"{self.who} $ {shown}\n{ended.printed}"
        return ended


def environment(runtime: Path) -> dict[str, str]:
    """What the demo's processes inherit: ours, without settings for a node of the user's, and with
    ``runtime``.

    Relative entries of PYTHONPATH are made absolute, as every process has its own folder; and no process
    takes modules from that folder, where files from elsewhere may lie.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
    inherited |= {"XDG_RUNTIME_DIR": str(runtime), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}
    if path := os.environ.get("PYTHONPATH"):
        inherited["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in path.split(os.pathsep))
    return inherited


def _succeeded(ended: _Ended) -> dict[str, Any]:
    if ended.status != 0:
        raise DemoFailed.of(ended.shown, f"failed with status {ended.status}", ended.printed)
    return _parsed(ended, ended.out)


def _parsed(ended: _Ended, text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise DemoFailed.of(ended.shown, "did not print one JSON object", ended.printed) from error
    if not isinstance(answer, dict):
        raise DemoFailed.of(ended.shown, "did not print a JSON object", ended.printed)
    return answer


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
