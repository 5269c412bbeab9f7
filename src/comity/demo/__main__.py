"""``comity demo``, which is ``python -m comity.demo``: play it for a person, or for a script with
``--json``.

Exit status 0 only if everything held; 80 where something did not, 81 where a package is missing, 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from comity.demo.failure import DemoFailed, MissingExtra, Stopped
from comity.demo.narrator import Narrator
from comity.errors import ComityError, InvalidInput

_NEEDED = {"numpy": "numpy", "safetensors": "safetensors", "sklearn": "scikit-learn"}
_ROUNDS_MOST = 15  # model.ROUNDS_MOST, which needs the extra to be imported
_INTERRUPTED = 130
_NOBODY_READS = 141


def main() -> None:
    """Play the demo and exit with what came of it."""
    arguments = sys.argv[1:]
    if sys.getfilesystemencoding() != "utf-8":  # names here have letters that not every locale knows
        again = [sys.executable, "-X", "utf8", "-P", "-m", "comity.demo", *arguments]
        os.execv(sys.executable, again)  # noqa: S606  no shell is wanted
    as_json = "--json" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no ô
    try:
        result = _play(arguments)
    except ComityError as error:
        sys.stderr.write(_as_json(error) if as_json else _as_text(error))
        sys.exit(error.exit_status)
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else the interpreter flushes, and fails
        sys.exit(_NOBODY_READS)
    except (KeyboardInterrupt, Stopped):  # the first before there was anything to end
        sys.stderr.write("comity demo: interrupted; every process was ended\n")
        sys.exit(_INTERRUPTED)
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


def _play(arguments: Sequence[str]) -> object:
    found = _parser().parse_args(arguments)
    if not 1 <= found.rounds <= _ROUNDS_MOST:
        raise InvalidInput(f"--rounds takes 1 to {_ROUNDS_MOST}", hint="run comity demo --rounds 3")
    if found.seed < 0:
        raise InvalidInput("--seed takes 0 or more", hint="run comity demo --seed 2")
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtra(f"the demo needs {', '.join(missing)}")
    from comity.demo.processes import STOPPING
    from comity.demo.story import Settings, play  # the extra's packages, which may have been missing

    for number in STOPPING:
        signal.signal(number, _stop)
    narrator = Narrator(None if found.json else sys.stdout)
    return play(Settings(found.rounds, found.seed, found.keep), narrator)


def _stop(number: int, frame: object) -> NoReturn:
    raise Stopped


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are an error of our own, so that ``--json`` prints it like any other."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message, hint="see comity demo --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="comity demo",
        description="Two hospitals on this machine train a model together, from handshake to revocation.",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="of federated averaging (default: 3)"
    )
    parser.add_argument("--seed", type=int, default=2, help="who is whose patient (default: 2)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="play in DIR and leave everything there")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object at the end, and nothing else"
    )
    return parser


def _as_json(error: ComityError) -> str:
    told: dict[str, Any] = {"code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, DemoFailed):
        told |= {"check": error.check, "printed": error.printed, "folder": str(error.folder or "")}
    return msgspec.json.encode({"error": told}).decode() + "\n"


def _as_text(error: ComityError) -> str:
    lines = [f"comity demo: {error.message}"]
    if isinstance(error, DemoFailed):
        lines = [f"comity demo: this did not hold: {error.check}", f"  what was seen: {error.why}"]
        lines += ["  what was printed:", *(f"    {line}" for line in error.printed.splitlines())]
        lines += [f"  kept: {error.folder}"] if error.folder else []
    lines += [f"  try: {error.hint}"] if error.hint else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
