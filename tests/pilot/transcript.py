"""The seed's transcripts, as it prints them: who types which command, and what appears.

A comment names who goes on (``# Lab A``); a command begins with ``$`` and may go on after a backslash; what
follows is its output. Blank lines and other comments are for readers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = Path(__file__).parent / "seed"

#: What may differ from the seed's print, and what then stands in its place on both sides.
_SHAPES = (
    (re.compile(r"X25519(MLKEM768)? \+ AES-256-GCM"), "GROUP + AES-256-GCM"),
    (re.compile(r"\b[0-9a-f]{4}\.\.\.[0-9a-f]{4}\b"), "FINGERPRINT"),
    (re.compile(r"\((?:\d+(?:\.\d+)?)[kMG]?B\)"), "(SIZE)"),
    (re.compile(r"\(\d+\.\ds, \d+\.\d MB/s\)"), "(PACE)"),
)


@dataclass
class Step:
    """One command, who types it, and the lines that it is shown to print."""

    actor: str
    command: str
    output: list[str]


def steps(name: str) -> list[Step]:
    """The commands of one transcript, in order."""
    found: list[Step] = []
    actor = ""
    for line in _joined((SEED / f"{name}.txt").read_text(encoding="utf-8")):
        if line.startswith("#"):
            actor = next((who for who in ("Lab A", "Lab B") if line.startswith(f"# {who}")), actor)
        elif line.startswith("$ "):
            found.append(Step(actor, line.removeprefix("$ "), []))
        elif line.strip():
            found[-1].output.append(line)
    return found


def shape(line: str) -> str:
    """A line without what may differ."""
    for pattern, replacement in _SHAPES:
        line = pattern.sub(replacement, line)
    return line


def _joined(text: str) -> Iterator[str]:
    """Lines, those that end in a backslash with the next one."""
    before = ""
    for line in text.splitlines():
        if line.endswith("\\"):
            before += line.removesuffix("\\")
            continue
        yield before + line
        before = ""
