"""The tutorial, typed as it is written: every command works, and prints what the page says that it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from comity.demo.processes import daemon_of, end_daemon

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "two-hospitals.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(\$|rendezvous\$|st-mary\$|cote-bleue\$|auditor\$) (.*)$")
DONE = "the-command-has-ended"
#: Digits, hexadecimal groups and what the page leaves out differ from one time to the next.
VARIES = re.compile(r"…|[0-9a-f]{4,}|\d+(?:\.\d+)?")
PRELUDE = """
comity() { "$PYTHON" -m comity "$@"; }
python() { "$PYTHON" "$@"; }
"""


@dataclass(frozen=True)
class Typed:
    """A command at somebody's prompt, and the lines that the page shows below it."""

    prompt: str
    command: str
    shown: list[str] = field(default_factory=list)


def typed(page: str) -> list[Typed]:
    found: list[Typed] = []
    for block in BLOCK.findall(page):
        for line in block.splitlines():
            if prompt := PROMPT.match(line):
                found.append(Typed(prompt[1], prompt[2]))
            else:
                found[-1].shown.append(line)
    return found


def says(shown: str, printed: str) -> bool:
    """Whether a line of the page is what was printed, but for what varies."""
    parts: list[str] = []
    end = 0
    for varying in VARIES.finditer(shown):
        parts += [re.escape(shown[end : varying.start()]), ".*" if varying[0] == "…" else r"[0-9a-f.]+"]
        end = varying.end()
    return re.fullmatch("".join([*parts, re.escape(shown[end:])]), printed) is not None


class Terminal:
    """A shell that somebody types into."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.type(PRELUDE)

    def type(self, command: str) -> list[str]:
        """The lines that a command prints."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command}\necho {DONE}\n")
        self._shell.stdin.flush()
        lines = []
        for line in self._shell.stdout:
            if line.strip() == DONE:
                break
            lines.append(line.rstrip("\n"))
        return lines

    def close(self) -> None:
        with self._shell:
            self._shell.kill()


class Desk:
    """All terminals; those of the hospitals open in the folder that the first one made."""

    def __init__(self, folder: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
        self._environment = environment | {"PYTHON": sys.executable, "PYTHONUTF8": "1", "NO_COLOR": "1"}
        self._folder = folder
        self._open: dict[str, Terminal] = {}
        self._server = 0

    def terminal(self, prompt: str) -> Terminal:
        if prompt not in self._open:
            folder = self._folder if prompt == "$" else self._folder / "two-hospitals"
            self._open[prompt] = Terminal(folder, self._environment)
        return self._open[prompt]

    def type(self, step: Typed) -> list[str]:
        terminal = self.terminal(step.prompt)
        if not step.command.startswith("comity rendezvous serve"):
            return terminal.type(step.command)
        log = self._folder / "rendezvous.log"
        server = f'(exec "$PYTHON" -m {step.command} >{log} 2>&1) & echo $!'  # its id, not a shell's
        self._server = int(terminal.type(server)[0])
        deadline = time.monotonic() + 60
        while not (self._folder / "two-hospitals/rendezvous/join.url").exists():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        return log.read_text().splitlines()

    def leave(self) -> None:
        for home in self._folder.glob("two-hospitals/*/home"):
            if (pid := daemon_of(home)) is not None:
                end_daemon(pid)
        if self._server:
            end_daemon(self._server)
        for terminal in self._open.values():
            terminal.close()


@contextmanager
def seated(folder: Path) -> Iterator[Desk]:
    desk = Desk(folder)
    try:
        yield desk
    finally:
        desk.leave()


@pytest.mark.timeout(300)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    steps = typed(PAGE.read_text(encoding="utf-8"))
    assert len(steps) > 30
    with seated(tmp_path) as desk:
        for step in steps:
            printed = desk.type(step)
            if step.prompt == "rendezvous$":  # a log: the machine may have more to say
                printed = [line for line in printed if any(says(shown, line) for shown in step.shown)]
            differ = [pair for pair in zip(step.shown, printed, strict=False) if not says(*pair)]
            assert not differ, step
            assert len(printed) == len(step.shown), (step, printed)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("Audit log valid: 12 entries", "Audit log valid: 7 entries", True),
        ("  Root: 5a2f…c8d1", "  Root: 90c4aaaaaaaaaaaa1e2d", True),
        ("Trust established with st-mary", "Trust revoked for st-mary", False),
        ("valid", "valid, or not", False),
    ],
)
def test_lines_are_compared_but_for_what_varies(shown: str, printed: str, same: bool) -> None:
    assert says(shown, printed) == same
