"""The house rules that no linter holds: sizes, module docstrings, reasons for suppressions."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "pilot/src").rglob("*.py")])
TESTS = sorted((ROOT / "tests").rglob("*.py"))

LINES = 300
#: Numbers or names, one a line, which belong in one place.
TABLES = frozenset({"src/comity/limits.py", "src/comity/control/__init__.py"})
CODES = r"[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*"
SUPPRESSION = re.compile(rf"#\s*(?:ruff:\s*)?noqa\b(?::\s*{CODES})?|#\s*type:\s*ignore\b(?:\[[^\]]*\])?")
REASON = re.compile(r"[^\W\d_]{2,}\W+[^\W\d_]{2,}")  # at least two words


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def bare_suppressions(source: str) -> list[int]:
    """Lines that silence the linter or the type checker without saying why."""
    return [
        line
        for line, comment in comments(source)
        if SUPPRESSION.search(comment) and not REASON.search(SUPPRESSION.sub("", comment))
    ]


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=relative)
def test_suppression_carries_its_reason(path: Path) -> None:
    assert bare_suppressions(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [path for path in SOURCES if relative(path) not in TABLES], ids=relative)
def test_room_is_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_module_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # noqa: S311  back-off only, never a secret",
        "x = 1  # noqa: S311, S105  seeded on purpose",
        "x = 1  # type: ignore[attr-defined]  # the library ships no types",
        "x = 1  # type: ignore[misc]  # noqa: B009  the stub is wrong",
        "x = '# noqa'",
        "x = 1  # an ordinary remark",
    ],
)
def test_reason_is_seen(line: str) -> None:
    assert bare_suppressions(line) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # noqa",
        "x = 1  # noqa: S311",
        "x = 1  # noqa: S311, S105",
        "x = 1  # type: ignore",
        "x = 1  # type: ignore[attr-defined]",
        "x = 1  # type: ignore[misc]  # noqa: B009",
        "# ruff: noqa: E501",
    ],
)
def test_missing_reason_is_seen(line: str) -> None:
    assert bare_suppressions(line) == [1]
