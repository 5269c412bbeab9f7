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
from comity.errors import ComityError, InvalidInput, NotInitialised
from comity.rendezvous import safe
from comity.rendezvous.hatch import ask, failure
from comity.rendezvous.office import Office
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
        return _done(safe.restore(folder, Path(wanted.path), wanted.passphrase))
    if not (folder / "rendezvous.db").exists():
        raise NotInitialised(
            f"no rendezvous has served from {folder}",
            hint="name its folder with --state DIR, or start it first: comity rendezvous serve",
        )
    if operation == "backup":
        asked = from_plain(request, RendezvousBackupRequest)
        return _done(safe.backup(folder, Path(asked.path), asked.passphrase, rfc3339(SystemClock().now())))
    if operation == "rotate-key":
        return _done(safe.rotate_key(folder, SystemClock(), SystemEntropy()))
    with hatch_of(folder) as path:
        served = ask(path, operation, request)
    return served if served is not None else _alone(folder, operation, request)


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
    return await office.answer(operation, request, f"uid {os.geteuid()}")


class _Direct:
    """``Scribe.run`` without its thread: nobody else is served."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def __call__(self, work: Callable[[Books], T], /) -> T:
        with self._books.transaction():
            return work(self._books)


if __name__ == "__main__":
    sys.exit(main())
