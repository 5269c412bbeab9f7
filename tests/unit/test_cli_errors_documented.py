"""The errors' reference page is what ``make docs`` would write, and no two failures are confused."""

from __future__ import annotations

import runpy
from pathlib import Path

from comity.cli.app import INTERRUPTED, NOBODY_READS
from comity.errors import ComityError, all_errors

ROOT = Path(__file__).resolve().parent.parent.parent


def page() -> str:
    return str(runpy.run_path(str(ROOT / "docs/generate_errors.py"))["render"]())


def ours() -> list[type[ComityError]]:
    page()  # imports every module that defines an error
    return [error for error in all_errors() if error.__module__.startswith("comity.")]


def test_the_page_is_up_to_date() -> None:
    expected = page()
    assert (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8") == expected, "run make docs"


def test_every_code_and_status_is_on_the_page() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    for error in ours():
        if error.code != "simulation_stuck":  # only a simulation raises it, for its programmer
            assert f"| {error.exit_status} | `{error.code}` |" in text
    for status in (0, INTERRUPTED, NOBODY_READS):
        assert f"| {status} |" in text


def test_a_status_belongs_to_one_error_and_its_kinds() -> None:
    own = [error.exit_status for error in ours() if "exit_status" in error.__dict__]
    shared = sorted({status for status in own if own.count(status) > 1})
    assert shared == []


def test_every_code_is_one_error() -> None:
    codes = [error.code for error in ours()]
    assert sorted(codes) == sorted(set(codes))


def test_each_has_a_status_of_a_program_and_something_to_try() -> None:
    for error in ours():
        assert 0 < error.exit_status < 126  # those from 126 on are the shell's
        if error.__module__.startswith("comity.errors") and error is not ComityError:
            assert error.default_hint, error.__name__
