"""The drop-in stands on Comity's public floors only, and is of its version."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import comity
import comity_pilot

SOURCES = sorted((Path(__file__).resolve().parents[2] / "pilot/src").rglob("*.py"))
#: The SDK and what it takes and raises; the command line's own words and progress bar.
FLOORS = ("comity.sdk", "comity.control", "comity.errors", "comity.identity", "comity.cli", "comity_pilot")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_it_imports_nothing_beneath_the_sdk(path: Path) -> None:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    ours = {name for name in found if name.split(".")[0] in ("comity", "comity_pilot")}
    assert not {name for name in ours - {"comity"} if not name.startswith(FLOORS)}


def test_both_distributions_have_one_version() -> None:
    assert comity_pilot.__version__ == comity.__version__
