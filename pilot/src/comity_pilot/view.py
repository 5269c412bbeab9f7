"""``~/pilot-received``: one flat folder of links to what arrived, as Pilot has it.

The truth is in the home, a folder for each peer, where nothing is ever overwritten. Here two partners' files
may bear one name: the second one becomes NAME.2, with a warning, and no name ever changes what it means
(SECURITY.md rule 14). What somebody took away from here stays away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from comity.control import ReceivedFile
from comity.identity.text import printable

FOLDER = "~/pilot-received"
_LINKED = "pilot-received.jsonl"  # in the home: one line for each file that has its link
_WARNINGS = "pilot-received.warnings"
_MOST = 10_000


def sync(home: Path, files: Sequence[ReceivedFile]) -> list[str]:
    """Link what has no link yet; the warnings. ``files`` as the daemon lists them, the newest first."""
    folder = Path(FOLDER).expanduser()
    folder.mkdir(mode=0o700, exist_ok=True)
    warnings: list[str] = []
    with _locked(home), (home / _LINKED).open("a+", encoding="utf-8") as record:
        record.seek(0)
        known = {json.loads(line)["path"] for line in record}
        for file in reversed(files):
            if file.path in known:
                continue
            name = _link(folder, file)
            record.write(json.dumps({"path": file.path, "as": name}) + "\n")
            record.flush()
            if name != file.name:
                warnings.append(
                    f"{FOLDER}/{printable(file.name)} was there already: what {printable(file.from_)} sent"
                    f" is {FOLDER}/{printable(name)}"
                )
    return warnings


def leave(home: Path, warnings: Sequence[str]) -> None:
    """Keep warnings for the next command that a person types."""
    if warnings:
        with _locked(home), (home / _WARNINGS).open("a", encoding="utf-8") as file:
            file.writelines(f"{warning}\n" for warning in warnings)


def left(home: Path) -> list[str]:
    """The warnings that nobody has seen; they are gone then."""
    with _locked(home):
        path = home / _WARNINGS
        if not path.exists():
            return []
        found = path.read_text(encoding="utf-8").splitlines()
        path.unlink()
    return found


def _link(folder: Path, file: ReceivedFile) -> str:
    """The name of the link, new or, after a crash between link and record, found."""
    for number in range(1, _MOST):
        name = file.name if number == 1 else f"{file.name}.{number}"
        try:
            (folder / name).symlink_to(file.path)
        except FileExistsError:
            with contextlib.suppress(OSError):  # no link
                if os.readlink(folder / name) == file.path:
                    return name
        else:
            return name
    raise FileExistsError(f"{_MOST} files are called {printable(file.name)} in {folder}")


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time."""
    with open(home / "pilot-received.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
