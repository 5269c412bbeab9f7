"""Changing settings in ``config.toml`` as a person would: the line that says it, and nothing around it.

Comments, blank lines and the order of a person's file stay. The file is flat, so a setting is one line, or
several where its list is spread out. What results is read back and compared: where the edit does not say
exactly what was meant (two spellings of a key, say), the file is written anew, whole.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib

from comity.errors import InvalidInput
from comity.storage.config import Config, format_config, parse_config

_KEY = re.compile(r"[ \t]*([A-Za-z0-9_-]+)[ \t]*=")


def edit_config(text: bytes, config: Config) -> bytes:
    """``text`` with each setting as ``config`` has it; what is said alike already stays as it is."""
    try:
        before = parse_config(text)
        lines = text.decode("utf-8").split("\n")
    except (InvalidInput, UnicodeDecodeError):
        return format_config(config)
    for field in dataclasses.fields(config):
        if getattr(before, field.name) != getattr(config, field.name):
            _set(lines, field.name, _line(config, field.name))
    edited = "\n".join(lines).encode("utf-8")
    try:
        same = parse_config(edited) == config
    except InvalidInput:
        same = False
    return edited if same else format_config(config)


def _line(config: Config, name: str) -> str:
    prefix = f"{name} = ".encode()
    found = [line for line in format_config(config).split(b"\n") if line.startswith(prefix)]
    return found[0].decode("utf-8")


def _set(lines: list[str], name: str, new: str) -> None:
    for at, line in enumerate(lines):
        key = _KEY.match(line)
        if key and key[1] == name:
            end = _end(lines, at)
            lines[at:end] = [new + _comment("\n".join(lines[at:end]))]
            return
    at = len(lines) - 1 if lines[-1] == "" else len(lines)
    lines[at:at] = [new]


def _end(lines: list[str], at: int) -> int:
    """Where what begins at a line is whole; that line alone if it never is."""
    for end in range(at + 1, len(lines) + 1):
        if _reads("\n".join(lines[at:end])):
            return end
    return at + 1


def _comment(said: str) -> str:
    """The comment that ends a line, with two blanks before it."""
    for place in (at for at, letter in enumerate(said) if letter == "#"):
        if "\n" not in said[place:] and _reads(said[:place]):
            return "  " + said[place:].rstrip("\r")
    return ""


def _reads(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
