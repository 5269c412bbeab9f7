"""``pilot-rendezvous``: Pilot's server by its flags, which take one dash or two. It becomes Comity's.

Pilot's registry and beacon are two ports of one server; Comity serves both on both, and nodes learn from two
how their connections look from outside.
"""

from __future__ import annotations

import argparse
import os
import sys

from comity_pilot import __version__


def main() -> int:
    """Serve until a signal; the exit status."""
    found = parser().parse_args()
    listen = [found.registry_addr]
    if found.beacon_addr != found.registry_addr:
        listen.append(found.beacon_addr)
    arguments = [part for place in listen for part in ("--listen", place)]
    for name in ("advertise", "state"):
        if getattr(found, name) is not None:
            arguments += [f"--{name}", getattr(found, name)]
    # -P: a folder that happens to be the current one must not add modules; utf8: hostnames name folders
    command = [sys.executable, "-P", "-X", "utf8", "-m", "comity.rendezvous", *arguments]
    os.execv(sys.executable, command)  # noqa: S606  no shell is wanted


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="pilot-rendezvous", description="Registry, mailbox and relay for pilotctl.", allow_abbrev=False
    )
    for name, default in (("registry-addr", ":9000"), ("beacon-addr", ":9001")):
        made.add_argument(
            f"-{name}",
            f"--{name}",
            default=default,
            metavar="HOST:PORT",
            help=f"where to listen; {default} by default",
        )
    made.add_argument("-advertise", "--advertise", metavar="HOST:PORT", help="this server's public address")
    made.add_argument("-state", "--state", metavar="DIR", help="where its key and its database lie")
    made.add_argument("-version", "--version", action="version", version=f"pilot-rendezvous {__version__}")
    return made


if __name__ == "__main__":
    sys.exit(main())
