"""``python -m comity_pilot.keeper``: keeps the flat folder, for as long as the daemon of this home runs.

``pilotctl daemon start`` starts it. It links each file as it arrives, and leaves its warnings for the next
``pilotctl``. A second one ends at once.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import comity
from comity.errors import ComityError
from comity_pilot import view

_LOG = "logs/pilot-received.log"
_LOCK = "pilot-keeper.lock"


def start(home: Path) -> None:
    """Start it for a home, in a session of its own."""
    with open(home / _LOG, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
        subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", "-m", "comity_pilot.keeper"],
            env={**os.environ, "COMITY_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def main() -> int:
    """Keep the folder until the daemon ends; the exit status."""
    home = Path(os.environ["COMITY_HOME"])
    with open(home / _LOCK, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        try:
            with comity.connect(home) as node:
                for file in node.arrivals(past=True):
                    warnings = view.sync(home, [file])
                    for warning in warnings:
                        sys.stderr.write(f"warning: {warning}\n")
                    view.leave(home, warnings)
        except ComityError as error:
            sys.stderr.write(f"the flat folder is kept no longer: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
