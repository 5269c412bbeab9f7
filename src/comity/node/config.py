"""What this daemon is told: by flag, else by environment (``COMITY_*``), else by ``config.toml``.

Everything is parsed and checked here, once; nothing is opened but the files that are named.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from comity import limits
from comity.errors import InvalidInput
from comity.identity.card import JoinUrl
from comity.identity.hostname import normalise_hostname
from comity.node.logs import LogFormat
from comity.protocol.candidates import IPNetwork
from comity.protocol.statements import Tags
from comity.storage.config import Config
from comity.transport.tcp import parse_listen

PREFIX = "COMITY_"
_YES_OR_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

T = TypeVar("T")


@dataclass(frozen=True)
class Flags:
    """The command line. ``ready_fd``: where to say in one line of JSON that the node is ready, or why not."""

    listen: str | None = None
    passphrase_file: str | None = None
    log_format: str | None = None
    foreground: bool = False
    ready_fd: int | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``listen`` is ``HOST:PORT`` or empty; ``private_networks`` may be dialled though not on-link (rule
    9).
    """

    hostname: str
    join: JoinUrl
    organization: str
    contact: str
    listen: str
    public: bool
    tags: tuple[str, ...]
    private_networks: tuple[IPNetwork, ...]
    punch: bool
    passphrase_file: Path | None
    log_format: LogFormat
    foreground: bool


def parse_flags(arguments: Sequence[str]) -> Flags:
    """The flags of ``python -m comity.node``; SystemExit for --help and wrong ones."""
    parser = argparse.ArgumentParser(
        prog="python -m comity.node",
        description="The daemon of one node. comity up starts it, comity down stops it.",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="accept direct connections from peers there")
    parser.add_argument("--passphrase-file", metavar="FILE", help="the passphrase of the identity key")
    parser.add_argument("--log-format", choices=("text", "json"), help="of the log; text by default")
    parser.add_argument("--foreground", action="store_true", help="log to standard error too")
    parser.add_argument("--ready-fd", type=int, metavar="N", help="say on this descriptor that it is ready")
    found = parser.parse_args(arguments)
    return Flags(found.listen, found.passphrase_file, found.log_format, found.foreground, found.ready_fd)


def settle(flags: Flags, environ: Mapping[str, str], config: Config) -> Settings:
    """The settings that hold; InvalidInput naming what can't be understood and where it was said."""
    told = _Told(environ)
    return Settings(
        hostname=told.of("hostname", config.hostname, normalise_hostname),
        join=told.of("join", config.join, JoinUrl.parse),
        organization=told.of("organization", config.organization, str),
        contact=told.of("contact", config.contact, str),
        listen=told.of("listen", config.listen, _listen, flags.listen),
        public=told.of("public", str(config.public).lower(), _yes_or_no),
        tags=told.of("tags", ",".join(config.tags), _tags),
        private_networks=told.of("private_networks", ",".join(config.private_networks), _networks),
        punch=told.of("punch", str(config.punch).lower(), _yes_or_no),
        passphrase_file=told.of("passphrase_file", "", _file, flags.passphrase_file),
        log_format=told.of("log_format", "text", _log_format, flags.log_format),
        foreground=flags.foreground,
    )


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


class _Told:
    """Looks a setting up by precedence, and names its origin where it is wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def of(self, name: str, filed: str, parse: Callable[[str], T], flag: str | None = None) -> T:
        variable = PREFIX + name.upper()
        if flag is not None:
            text, origin = flag, "--" + name.replace("_", "-")
        elif variable in self._environ:
            text, origin = self._environ[variable], variable
        else:
            text, origin = filed, f"{name} in config.toml"
        try:
            return parse(text)
        except InvalidInput as error:
            raise type(error)(f"{origin}: {error.message}", hint=error.hint) from error


def _listen(text: str) -> str:
    if text:
        parse_listen(text)
    return text


def _file(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _yes_or_no(text: str) -> bool:
    if text.lower() not in _YES_OR_NO:
        raise InvalidInput("neither true nor false", hint="write true or false")
    return _YES_OR_NO[text.lower()]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _tags(text: str) -> tuple[str, ...]:
    try:
        return msgspec.convert(_words(text), Tags)
    except msgspec.ValidationError as error:
        raise InvalidInput("not tags", hint="a tag is like lung-cancer-study") from error


def _networks(text: str) -> tuple[IPNetwork, ...]:
    try:
        return tuple(ipaddress.ip_network(word) for word in _words(text))
    except ValueError as error:
        raise InvalidInput(f"not a network: {error}".lower(), hint="write it like 10.20.0.0/16") from error


def _log_format(text: str) -> LogFormat:
    if text == "text":
        return "text"
    if text == "json":
        return "json"
    raise InvalidInput("no such format", hint="write text or json")
