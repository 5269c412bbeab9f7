"""What this daemon is told: its flags, and the settings that hold, by the precedence of ``storage.settings``.

Everything is parsed and checked here, once; nothing is opened but the files that are named.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from comity import limits
from comity.control.amounts import parse_duration, parse_rate, parse_size
from comity.errors import InvalidInput
from comity.identity.card import JoinUrl
from comity.identity.hostname import normalise_hostname
from comity.identity.place import Place, check_places, network_name
from comity.protocol.candidates import IPNetwork
from comity.protocol.proxying import Outlet
from comity.services.exchange import Rules
from comity.storage import settings
from comity.storage.config import Config
from comity.storage.outlet import find_outlet
from comity.storage.settings import LogFormat

T = TypeVar("T")

_USER_INFO = re.compile(r"//[^/@]*@")  # who logs in to a proxy, and with what, is not put on record


@dataclass(frozen=True)
class Flags:
    """The command line. ``ready_fd``: where to say in one line of JSON that the node is ready, or why not."""

    listen: str | None = None
    passphrase_file: str | None = None
    log_format: str | None = None
    foreground: bool = False
    ready_fd: int | None = None
    proxy: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``places`` are the networks, the first first; ``listen`` is ``HOST:PORT`` or empty;
    ``private_networks`` may be dialled though not on-link (rule 9); ``outlet`` is what ``proxy`` and its
    like come to for a rendezvous.
    """

    hostname: str
    places: tuple[Place, ...]
    organization: str
    contact: str
    listen: str
    public: bool
    tags: tuple[str, ...]
    private_networks: tuple[IPNetwork, ...]
    punch: bool
    witnesses: tuple[str, ...]
    outlet: Callable[[JoinUrl], Outlet]
    exchange: Rules
    passphrase_file: Path | None
    log_format: LogFormat
    foreground: bool

    @property
    def join(self) -> JoinUrl:
        """Of the first network."""
        return self.places[0].join


def parse_flags(arguments: Sequence[str]) -> Flags:
    """The flags of ``python -m comity.node``; SystemExit for --help and wrong ones."""
    parser = argparse.ArgumentParser(
        prog="python -m comity.node",
        description="The daemon of one node. comity up starts it, comity down stops it.",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="accept direct connections from peers there")
    parser.add_argument("--passphrase-file", metavar="FILE", help="the passphrase of the identity key")
    parser.add_argument("--proxy", metavar="URL", help="the HTTP proxy before the rendezvous; none for none")
    parser.add_argument("--log-format", choices=("text", "json"), help="of the log; text by default")
    parser.add_argument("--foreground", action="store_true", help="log to standard error too")
    parser.add_argument("--ready-fd", type=int, metavar="N", help="say on this descriptor that it is ready")
    found = parser.parse_args(arguments)
    return Flags(
        found.listen, found.passphrase_file, found.log_format, found.foreground, found.ready_fd, found.proxy
    )


def settle(flags: Flags, environ: Mapping[str, str], config: Config) -> Settings:
    """The settings that hold; InvalidInput naming what can't be understood and where it was said."""

    def of(name: str, parse: Callable[[str], T], flag: str | None = None) -> T:
        return settings.parsed(settings.said(name, environ, config, flag), parse)

    first = Place(of("network", network_name), of("join", JoinUrl.parse))
    places = tuple(check_places([first, *of("networks", settings.places)]))

    def outlet(join: JoinUrl) -> Outlet:
        return find_outlet(join, environ, config, flags.proxy)

    for place in places:
        outlet(place.join)  # what can't be understood is said at the start
    return Settings(
        hostname=of("hostname", normalise_hostname),
        places=places,
        organization=of("organization", settings.claim),
        contact=of("contact", settings.claim),
        listen=of("listen", settings.listen, flags.listen),
        public=of("public", settings.yes_or_no),
        tags=of("tags", settings.tags),
        private_networks=of("private_networks", settings.networks),
        passphrase_file=of("passphrase_file", settings.file, flags.passphrase_file),
        log_format=of("log_format", settings.log_format, flags.log_format),
        punch=of("punch", settings.yes_or_no),
        witnesses=of("witnesses", settings.partners),
        outlet=outlet,
        exchange=Rules(
            inbox_quota=of("inbox_quota", settings.amount(parse_size)),
            artifact_limit=of("artifact_limit", settings.amount(parse_size)),
            bandwidth=of("bandwidth", settings.amount(parse_rate)),
            partials_kept=parse_duration(of("partials_kept", settings.kept)),
        ),
        foreground=flags.foreground,
    )


def on_record(found: Settings) -> dict[str, str]:
    """The settings as the audit log tells them: without secrets; of an invitation, that there is one."""
    join = found.join
    outlet = found.outlet(join)
    told = {
        field.name: _told(getattr(found, field.name))
        for field in dataclasses.fields(found)
        if field.name not in ("places", "outlet", "foreground", "log_format", "exchange")
    }
    told |= {name: _told(value) for name, value in dataclasses.asdict(found.exchange).items()}
    network = f"{join.authority}/{join.network}#{join.fingerprint}"
    proxy = "" if outlet.proxy is None else str(outlet.proxy)
    return told | {
        "join": network,
        "networks": ",".join(place.shown for place in found.places[1:]),
        "invited": _told(join.invitation is not None),
        "proxy": _USER_INFO.sub("//…@", proxy),
    }


def _told(value: object) -> str:
    return settings.text_of(settings.plain(value))


def read_passphrase(file: Path | None) -> str | None:
    """The passphrase in a file: its text without the line's end; None without one. InvalidInput."""
    if file is None:
        return None
    try:
        with file.open("rb") as opened:
            data = opened.read(limits.PASSPHRASE_BYTES + 1)
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"the passphrase file {file} is not UTF-8 text") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidInput(f"the passphrase file {file} cannot be read: {reason}") from error
    if len(data) > limits.PASSPHRASE_BYTES:
        raise InvalidInput(f"the passphrase file {file} is longer than {limits.PASSPHRASE_BYTES} bytes")
    return text.rstrip("\r\n")
