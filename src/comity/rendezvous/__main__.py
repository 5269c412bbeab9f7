"""``python -m comity.rendezvous``: the program around the server. ``comity rendezvous serve`` is the same
one.

Logs and errors go to standard error; an error is one line and its hint, and the exit status is the error's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.errors import ComityError
from comity.identity.text import printable
from comity.rendezvous.garbage import keep_out_of_sight
from comity.rendezvous.journal import start_logging
from comity.rendezvous.manager import Manager, inherit
from comity.rendezvous.options import Options, parse_options
from comity.rendezvous.server import Server


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    try:
        options = parse_options(sys.argv[1:], os.environ, Path.home())
        start_logging(sys.stderr, options.log_format)
        asyncio.run(_serve(options))
    except ComityError as error:
        sys.stderr.write(f"comity: {printable(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"  {printable(error.hint)}\n")
        return error.exit_status
    return 0


async def _serve(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    inherited = inherit(os.environ, os.getpid())
    manager = Manager.of(os.environ, os.getpid())
    clock = SystemClock()
    server = Server(options, clock, SystemEntropy(), inherited=inherited, manager=manager)
    collector = asyncio.create_task(keep_out_of_sight(server.ghosts, clock))
    try:
        await server.run(stop)
    finally:
        collector.cancel()


if __name__ == "__main__":
    sys.exit(main())
