"""Replays ``transcripts/*.txt``: what is typed, asked of the daemon, answered by it, and printed.

    $ comity ping lab-b          what is typed
    > ping {"peer": "lab-b"}     what the daemon is asked: the operation and, at least, these fields
    < {"hostname": "lab-b"}      what it answers, one line of JSON each
    lab-b (1:0001.0000.0020)…    standard output
    ! error: …                   standard error
    ? 32                         the exit status, where it is not 0

Lines that begin with # explain. FOLDER stands for the test's folder.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Typed
from tests.cli.fake_daemon import FakeDaemon

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@dataclass
class Step:
    typed: str
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[list[dict[str, Any]]] = field(default_factory=list)
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    status: int = 0


def read_steps(text: str) -> list[Step]:
    steps: list[Step] = []
    for line in text.splitlines():
        sign, _, rest = line.partition(" ")
        if sign == "$":
            steps.append(Step(rest))
        elif sign.startswith("#") or not (line or steps):
            continue
        elif sign == ">":
            operation, _, request = rest.partition(" ")
            steps[-1].asked.append((operation, json.loads(request or "{}")))
            steps[-1].answers.append([])
        elif sign == "<":
            steps[-1].answers[-1].append(json.loads(rest))
        elif sign == "!":
            steps[-1].err.append(rest)
        elif sign == "?":
            steps[-1].status = int(rest)
        else:
            steps[-1].out.append(line)
    for step in steps:
        while step.out and not step.out[-1]:  # the blank line before the next command
            step.out.pop()
    return steps


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, daemon: FakeDaemon, comity: Typed, folder: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("FOLDER", str(folder))
    (folder / "round-3-weights.safetensors").write_bytes(b"weights")
    steps = read_steps(text)
    assert steps
    for step in steps:
        daemon.requests.clear()
        for (operation, _), answer in zip(step.asked, step.answers, strict=True):
            daemon.answer(operation, *answer)
        ran = comity(shlex.split(step.typed)[1:])
        assert (step.typed, ran.out.splitlines()) == (step.typed, step.out)
        assert (step.typed, ran.err.splitlines()) == (step.typed, step.err)
        assert (step.typed, ran.status) == (step.typed, step.status)
        assert [operation for operation, _ in daemon.requests] == [operation for operation, _ in step.asked]
        for (_, sent), (_, expected) in zip(daemon.requests, step.asked, strict=True):
            assert sent | expected == sent
    assert not any(daemon.answers.values())
