"""The command line as a process of its own, which is over in a moment: it starts and ends as fast as it can.

Nothing that a start makes is garbage, so the collector waits until there is more than that; and what a
process holds at its end the system takes back sooner than the interpreter does. ``app.main`` is the same
without these two, for whoever calls it inside a program.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

_STARTED = 100_000  # objects: more than any command's imports make


def run() -> NoReturn:
    """Run the command in ``sys.argv`` and end this process with its exit status."""
    gc.set_threshold(_STARTED)
    from comity.cli.app import main  # the collector is to wait for this, too

    status = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it, or it was closed: ``main`` has answered that
            stream.flush()
    os._exit(status)
