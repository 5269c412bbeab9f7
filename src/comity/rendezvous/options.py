"""What the server is told at its start, parsed: where to listen, what to advertise, where its state lies.

It opens nothing. Precedence is flag, then environment, then default.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comity.errors import InvalidInput
from comity.identity.authority import normalise_host, parse_authority

STATE_VARIABLE = "COMITY_RENDEZVOUS_HOME"
DEFAULT_STATE = ".comity-rendezvous"
LogFormat = Literal["text", "json"]


@dataclass(frozen=True)
class Endpoint:
    """A host and a port. An empty host: every interface of this machine; port 0: any that is free."""

    host: str
    port: int


@dataclass(frozen=True)
class Options:
    """``advertise`` is what the join URL names, None for the first place that is listened on.

    ``listen`` may be empty where a service manager hands over sockets.
    """

    listen: tuple[Endpoint, ...]
    advertise: Endpoint | None
    state: Path
    log_format: LogFormat = "text"
    #: Where health and metrics are served: a loopback place, or a Unix socket's path; None for nowhere.
    monitor: Endpoint | Path | None = None
    #: Whether ``monitor`` may be a place that other machines reach.
    monitor_anyone: bool = False


def parse_options(arguments: Sequence[str], environment: Mapping[str, str], home: Path) -> Options:
    """The options that the flags and the environment give.

    InvalidInput; SystemExit for --help and wrong flags.
    """
    found = parser().parse_args(arguments)
    return Options(
        listen=tuple(parse_listen(text) for text in found.listen),
        advertise=None if found.advertise is None else parse_advertise(found.advertise),
        state=state_folder(found.state, environment, home),
        log_format=found.log_format,
        monitor=None
        if found.monitor is None
        else parse_monitor(found.monitor, found.monitor_beyond_this_machine),
        monitor_anyone=found.monitor_beyond_this_machine,
    )


def state_folder(flag: str | None, environment: Mapping[str, str], home: Path) -> Path:
    """Where the server's state lies: the flag, the environment, or the default."""
    return Path(
        os.path.expanduser(flag or environment.get(STATE_VARIABLE) or home / DEFAULT_STATE)
    ).absolute()


def parser() -> argparse.ArgumentParser:
    """The flags of ``python -m comity.rendezvous``, which are those of ``comity rendezvous serve``."""
    made = argparse.ArgumentParser(
        prog="comity rendezvous serve",
        description="Serve a rendezvous: a registry of nodes, a mailbox of sealed messages, a blind relay.",
    )
    made.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="where to listen; :PORT for every interface, port 0 for any free one; may be repeated; "
        "not needed where a service manager hands over sockets",
    )
    made.add_argument(
        "--advertise", metavar="URL", help="the public comity://HOST:PORT of this server, or HOST:PORT"
    )
    made.add_argument(
        "--state",
        metavar="DIR",
        help=f"where its key and database lie; ${STATE_VARIABLE} or ~/{DEFAULT_STATE} by default",
    )
    made.add_argument(
        "--monitor",
        metavar="PLACE",
        help="serve /healthz, /readyz and /metrics there: 127.0.0.1:PORT, or unix:PATH",
    )
    made.add_argument(
        "--monitor-beyond-this-machine",
        action="store_true",
        help="let --monitor be a place that others reach; nobody is asked who they are there",
    )
    made.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="of the log on standard error"
    )
    return made


def parse_listen(text: str) -> Endpoint:
    """``HOST:PORT`` or ``:PORT``; InvalidInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInput(
            f"no port in {text!r}", hint="write --listen HOST:PORT, or :PORT for every interface"
        )
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if bracketed != (":" in host):
        raise InvalidInput(
            f"cannot listen on {text!r}", hint="put an IPv6 address, and nothing else, in brackets"
        )
    return Endpoint(normalise_host(host) if host else "", int(port))


def parse_monitor(text: str, beyond: bool) -> Endpoint | Path:
    """``unix:PATH``, or HOST:PORT on this machine's loopback unless ``beyond``; InvalidInput."""
    if text.startswith("unix:"):
        return Path(os.path.expanduser(text.removeprefix("unix:"))).absolute()
    place = parse_listen(text)
    if beyond:
        return place
    try:
        own = place.host == "localhost" or ipaddress.ip_address(place.host).is_loopback
    except ValueError:
        own = False
    if not own:
        raise InvalidInput(
            f"health and metrics at {text} could be read by other machines",
            hint="write --monitor 127.0.0.1:9465 or unix:PATH, or add --monitor-beyond-this-machine",
        )
    return place


def parse_advertise(text: str) -> Endpoint:
    """``comity://HOST:PORT`` or ``HOST:PORT``; InvalidInput."""
    authority = text.removeprefix("comity://")
    hint = "write --advertise comity://HOST:PORT"
    if "/" in authority or "#" in authority or "@" in authority:
        raise InvalidInput(f"cannot advertise {text!r}: only a host and a port", hint=hint)
    try:
        host, port = parse_authority(authority)
    except InvalidInput as error:
        raise InvalidInput(f"cannot advertise {text!r}: {error.message}", hint=hint) from error
    return Endpoint(host, port)
