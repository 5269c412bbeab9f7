"""Reading the log: its end, over rotated files, and on as it grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity import errors
from comity.sdk.logs import follow, open_log, tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "comity.log"


def test_no_home(tmp_path: Path) -> None:
    with pytest.raises(errors.NotInitialised):
        open_log(tmp_path)


def test_end_of_the_log(log: Path) -> None:
    assert tail(log, 10) == []
    log.write_text("one\ntwo\nthree\n")
    assert tail(log, 2) == ["two", "three"]
    assert tail(log, 0) == []
    assert tail(log, 10) == ["one", "two", "three"]


def test_as_many_files_as_it_takes(log: Path) -> None:
    log.write_text("five\n")
    log.with_name("comity.log.1").write_text("three\nfour\n")
    log.with_name("comity.log.2").write_text("one\ntwo\n")
    assert tail(log, 2) == ["four", "five"]
    assert tail(log, 4) == ["two", "three", "four", "five"]
    assert tail(log, 100) == ["one", "two", "three", "four", "five"]


def test_bytes_that_are_not_text(log: Path) -> None:
    log.write_bytes(b"a\xffb\n")
    assert tail(log, 1) == ["a\N{REPLACEMENT CHARACTER}b"]


def test_following_through_a_rotation(log: Path) -> None:
    log.write_text("one\ntwo\n")
    lines = follow(log, 1)
    assert next(lines) == "two"
    with log.open("a") as file:
        file.write("three\nhalf")
    assert next(lines) == "three"
    with log.open("a") as file:
        file.write(" and half\n")
    assert next(lines) == "half and half"
    log.rename(log.with_name("comity.log.1"))
    log.write_text("four\n")
    assert next(lines) == "four"
    lines.close()
