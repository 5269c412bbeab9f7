"""Files that a person names: read whole up to a bound, or written where nothing is yet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from comity import limits
from comity.errors import FileUnusable, InvalidJoinUrl


def read(file: str, most: int) -> bytes:
    """The file's bytes, or standard input's (``-``), and one more than ``most`` at most; FileUnusable."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(most + 1)
        with open(file, "rb") as opened:
            return opened.read(most + 1)
    except OSError as error:
        raise FileUnusable(f"{file} cannot be read: {_reason(error)}") from error


@contextmanager
def lines(file: str, most: int) -> Iterator[Iterator[bytes]]:
    """The file's lines, or standard input's (``-``); of a longer one, its first ``most`` bytes and one more.
    FileUnusable.
    """
    try:
        if file == "-":
            yield iter(lambda: sys.stdin.buffer.readline(most + 1), b"")
            return
        with open(file, "rb") as opened:
            yield iter(lambda: opened.readline(most + 1), b"")
    except OSError as error:
        raise FileUnusable(f"{file} cannot be read: {_reason(error)}") from error


def write_new(file: str, text: str) -> None:
    """FileUnusable where it can't be written, or where something is already."""
    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise FileUnusable(f"{file} is already there", hint="give --out another name") from error
    except OSError as error:
        raise FileUnusable(f"{file} cannot be written: {_reason(error)}") from error


def join_text(argument: str) -> str:
    """The join URL in the argument, in the file that it names after an @, or on standard input."""
    if argument == "-":
        return _bounded(sys.stdin.read(limits.KEY_FILE_BYTES))
    if not argument.startswith("@"):
        return argument
    try:
        with open(argument[1:], encoding="utf-8") as file:
            return _bounded(file.read(limits.KEY_FILE_BYTES))
    except OSError as error:
        raise FileUnusable(f"the join URL's file {argument[1:]} cannot be read: {_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise InvalidJoinUrl(f"{argument[1:]} does not hold a join URL") from error


def _bounded(text: str) -> str:
    if not text.strip():
        raise InvalidJoinUrl("there is no join URL in what was given")
    return text


def _reason(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()
