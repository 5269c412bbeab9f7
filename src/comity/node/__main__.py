"""``python -m comity.node``: one node's daemon, in this process. ``comity up`` runs it in the background.

Errors go to standard error and to ``--ready-fd``; the exit status is the error's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from comity import __version__
from comity.errors import ComityError
from comity.identity.text import printable
from comity.node.config import Flags, parse_flags, settle
from comity.node.logs import start_logging
from comity.node.ready import ReadyLine
from comity.node.run import run
from comity.storage.home import Home
from comity.storage.lease import Lease
from comity.storage.private import write_private
from comity.storage.runtime import runtime_of

log = logging.getLogger("comity.node")


def main() -> int:
    """Be the daemon until it is stopped; the exit status."""
    os.umask(0o077)
    flags = parse_flags(sys.argv[1:])
    ready = ReadyLine(flags.ready_fd)
    try:
        _serve(flags, ready)
    except ComityError as error:
        ready.failed(error)
        sys.stderr.write(f"comity: {printable(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"  {printable(error.hint)}\n")
        return error.exit_status
    return 0


def _serve(flags: Flags, ready: ReadyLine) -> None:
    home = Home.from_environment(os.environ)
    home.check()
    settings = settle(flags, os.environ, home.read_config())
    runtime = runtime_of(home, os.environ)
    runtime.create()
    with Lease.acquire(home, runtime):
        home.create()  # a folder that is missing, not the node
        start_logging(home.log_file, foreground=settings.foreground, form=settings.log_format)
        write_private(runtime.pid, f"{os.getpid()}\n".encode("ascii"), replace=True)
        log.info("starting", extra={"fields": {"version": __version__, "pid": os.getpid()}})
        try:
            asyncio.run(run(home, runtime, settings, ready))
        except ComityError as error:
            log.error("not started", extra={"fields": {"code": error.code, "why": error}})  # noqa: TRY400  it is told, not a bug
            raise
        except Exception:
            log.exception("ended by a bug")
            raise
        finally:
            log.info("stopped")
            runtime.pid.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
