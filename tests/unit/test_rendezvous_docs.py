"""The rendezvous's reference says what is true: flags, limits, and the events of its log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from comity import limits
from comity.rendezvous.options import parser

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs/reference/rendezvous.md").read_text(encoding="utf-8")
SOURCES = sorted((ROOT / "src/comity/rendezvous").glob("*.py"))

UNITS = {"": 1, "s": 1, "d": limits.DAY, "KiB": limits.KIB, "MiB": limits.MIB}
LIMIT = re.compile(r"^\| `([A-Z_]+)` \| (\d+) ?(\w*) \|", re.MULTILINE)
EVENT = re.compile(r"ournal\.(?:info|warning|failure)\(\s*f?\"([a-z][^\"{]*)")
REFUSAL = re.compile(r"refused\(\"(\w+)\"")


def test_every_flag_is_documented() -> None:
    flags = [flag for action in parser()._actions for flag in action.option_strings]
    assert {flag for flag in flags if f"`{flag}" not in REFERENCE} == {"-h", "--help"}


def test_limits_are_what_the_reference_says() -> None:
    said = {name: int(number) * UNITS[unit] for name, number, unit in LIMIT.findall(REFERENCE)}
    assert len(said) > 20
    assert said == {name: getattr(limits, name) for name in said}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_events_and_refusals_are_documented(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    said = [event for event in EVENT.findall(source) if not event.startswith("the ")]  # not a sentence
    for word in (*said, *REFUSAL.findall(source)):
        assert f"`{word.strip()}" in REFERENCE, word
