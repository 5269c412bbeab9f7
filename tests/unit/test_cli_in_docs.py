"""What the documentation tells people to type can be typed: commands, options and arguments of every page."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from comity.cli.app import app
from comity.cli.output import Output

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROMPT = re.compile(r"(?:^|\s{2,})(?:[a-z-]+ ?)?[$#] comity\s+([^\n]*?)(?=\s{2,}|$)", re.MULTILINE)


def typed() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in PROMPT.findall(block.replace("\\\n", " ")):
                yield str(page.relative_to(ROOT)), line


LINES = sorted(set(typed()))


def words_of(line: str) -> list[str]:
    """The words of a command line, up to a pipe, a redirection or a comment."""
    plain = re.sub(r"\$\([^)]*\)", "SUBSTITUTED", line)
    lexer = shlex.shlex(plain, posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [at for at, word in enumerate(words) if set(word) <= set("|<>;&")]
    return words[: ends[0]] if ends else words


def test_there_are_lines_to_check() -> None:
    pages = {page for page, _ in LINES}
    assert {"README.md", "docs/how-to/connect-two-labs.md", "docs/how-to/verify-an-agreement.md"} <= pages


@pytest.mark.parametrize(("page", "line"), LINES)
def test_line_can_be_typed(page: str, line: str) -> None:
    output = Output(io.StringIO(), io.StringIO(), {})
    words = words_of(line)
    context = click.Context(app, info_name="comity", obj=output)
    command: click.Command = app
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, f"{page}: comity {line}"
        command = found
    command.make_context(command.name, words, parent=context)
