"""``python -m comity.rendezvous.admin --state DIR``: one administrator's request, from standard input.

In: a line of JSON as in ``hatch``. Out: the server's answer, on standard output. Where a server serves from
the state folder, it answers; otherwise this process takes the folder's lock and opens the database itself, so
the same commands work on a server that is stopped. A backup is made beside the server, a restore without one.
The exit status is 0 whenever there is an answer, even no.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from comity import limits
from comity.clock import SystemClock, rfc3339
from comity.control.backup import RendezvousBackupRequest, RendezvousRestoreRequest
from comity.control.codec import from_plain, to_plain
from comity.entropy import SystemEntropy
from comity.errors import ComityError, InvalidInput, NotInitialised, from_code
from comity.rendezvous import safe, turning
from comity.rendezvous.hatch import ask, failure
from comity.rendezvous.office import BACKUP_DONE, Office
from comity.rendezvous.options import state_folder
from comity.rendezvous.presence import Presence
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.state import State, hatch_of
from comity.rendezvous.stores import Books

T = TypeVar("T")


def main() -> int:
    """Answer what is on standard input."""
    parser = argparse.ArgumentParser(prog="python -m comity.rendezvous.admin")
    parser.add_argument("--state", metavar="DIR")
    found = parser.parse_args()
    try:
        asked = msgspec.json.decode(sys.stdin.buffer.read(limits.API_BODY_BYTES), type=dict[str, Any])
        folder = state_folder(found.state, os.environ, Path.home())
        answer = _answer(folder, str(asked.get("operation", "")), asked.get("request", {}))
    except msgspec.DecodeError as error:
        answer = msgspec.json.encode(failure(InvalidInput(f"not a request: {error}")))
    except ComityError as error:
        answer = msgspec.json.encode(failure(error))
    sys.stdout.buffer.write(answer.rstrip(b"\n") + b"\n")
    return 0


def _answer(folder: Path, operation: str, request: dict[str, Any]) -> bytes:
    if operation == "restore":
        wanted = from_plain(request, RendezvousRestoreRequest)
        return _done(safe.restore(folder, Path(wanted.path), wanted.passphrase, SystemClock(), _who()))
    if not (folder / "rendezvous.db").exists():
        raise NotInitialised(
            f"no rendezvous has served from {folder}",
            hint="name its folder with --state DIR, or start it first: comity rendezvous serve",
        )
    if operation == "backup":
        return _backup(folder, from_plain(request, RendezvousBackupRequest))
    if operation == "rotate-key":
        return _done(safe.rotate_key(folder, SystemClock(), SystemEntropy(), _who()))
    if operation == "force-clock-back":
        return _done(turning.force_clock_back(folder, SystemClock(), _who()))
    return _here(folder, operation, request)


def _here(folder: Path, operation: str, request: dict[str, Any]) -> bytes:
    """Answered by the server, or by this process where none runs."""
    with hatch_of(folder) as path:
        served = ask(path, operation, request)
    return served if served is not None else _alone(folder, operation, request)


def _backup(folder: Path, asked: RendezvousBackupRequest) -> bytes:
    """Noted before it is made, so that it tells of itself, and afterwards, so that its age is known."""
    _note(folder, "backup begun", asked.path)
    made = safe.backup(folder, Path(asked.path), asked.passphrase, rfc3339(SystemClock().now()))
    _note(folder, BACKUP_DONE, f"{asked.path}, {made.bytes} bytes")
    return _done(made)


def _note(folder: Path, act: str, detail: str) -> None:
    answer = msgspec.json.decode(_here(folder, "note", {"act": act, "detail": detail}))
    if "error" in answer:
        said = answer["error"]
        raise from_code(said["code"], said["message"], said["hint"])


def _who() -> str:
    return f"uid {os.geteuid()}"


def _alone(folder: Path, operation: str, request: dict[str, Any]) -> bytes:
    state = State(folder)
    try:
        books = SqliteBooks(state.database)
        try:
            office = Office(_Direct(books), Presence(), SystemClock(), SystemEntropy(), state.read_join_url)
            result = asyncio.run(_ask(office, operation, request))
        finally:
            books.close()
    finally:
        state.close()
    return _done(result)


def _done(result: object) -> bytes:
    return msgspec.json.encode({"result": to_plain(result)})


async def _ask(office: Office, operation: str, request: dict[str, Any]) -> object:
    return await office.answer(operation, request, _who())


class _Direct:
    """``Scribe.run`` without its thread: nobody else is served."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def __call__(self, work: Callable[[Books], T], /) -> T:
        with self._books.transaction():
            return work(self._books)


if __name__ == "__main__":
    sys.exit(main())
