"""The settings of a node: their names, what each takes, and which source goes before which.

Precedence: the flag of a start, the environment (``COMITY_*``), ``config.toml``, the default. One table, so
that the daemon and ``comity config`` agree on every value. Each is documented in
docs/reference/configuration.md, which a test holds to this table. Nothing is opened here; ``config`` knows
the file's format.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from comity import limits
from comity.errors import InvalidInput
from comity.identity.authority import parse_listen
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.protocol.candidates import IPNetwork
from comity.protocol.statements import Tags
from comity.storage.config import Config

PREFIX = "COMITY_"
#: Where systemd puts what ``LoadCredential=`` names (systemd.exec(5)), and the credential that is ours.
CREDENTIALS = "CREDENTIALS_DIRECTORY"
PASSPHRASE_CREDENTIAL = "comity-passphrase"  # noqa: S105  a file's name, not a passphrase

Source = Literal["flag", "environment", "file", "credential", "default"]
LogFormat = Literal["text", "json"]
T = TypeVar("T")

_YES_OR_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


# ── what each setting takes ───────────────────────────────────────────────────────────────────────────


def claim(text: str) -> str:
    """A claim that peers are shown, ``limits.CLAIM_BYTES`` at most."""
    if len(text.encode("utf-8", "surrogatepass")) > limits.CLAIM_BYTES:
        raise InvalidInput(f"longer than {limits.CLAIM_BYTES} bytes")
    return text


def listen(text: str) -> str:
    """``HOST:PORT``, or nothing."""
    if text:
        parse_listen(text)
    return text


def yes_or_no(text: str) -> bool:
    """``true`` or ``false``, and what people write for them."""
    if text.lower() not in _YES_OR_NO:
        raise InvalidInput("neither true nor false", hint="write true or false")
    return _YES_OR_NO[text.lower()]


def tags(text: str) -> tuple[str, ...]:
    """Tags, with commas or blanks between them."""
    try:
        return msgspec.convert(_words(text), Tags)
    except msgspec.ValidationError as error:
        raise InvalidInput("not tags", hint="a tag is like lung-cancer-study") from error


def networks(text: str) -> tuple[IPNetwork, ...]:
    """Networks in CIDR form, with commas or blanks between them."""
    try:
        return tuple(ipaddress.ip_network(word) for word in _words(text))
    except ValueError as error:
        raise InvalidInput(f"not a network: {error}".lower(), hint="write it like 10.20.0.0/16") from error


def partners(text: str) -> tuple[str, ...]:
    """Hostnames and fingerprints, with commas or blanks between them."""
    return tuple(_partner(word) for word in _words(text))


def file(text: str) -> Path | None:
    """A file's path, ``~`` for the home folder; None for none."""
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError as error:
        raise InvalidInput("your home folder is unknown", hint="write the whole path") from error


def log_format(text: str) -> LogFormat:
    """``text`` or ``json``."""
    if text == "text":
        return "text"
    if text == "json":
        return "json"
    raise InvalidInput("no such format", hint="write text or json")


@dataclass(frozen=True)
class Setting:
    """One line of the table. ``flag``: the option of ``comity up`` that goes before it, or empty."""

    name: str
    parse: Callable[[str], Any]
    flag: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that goes before the file."""
        return PREFIX + self.name.upper()


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("hostname", normalise_hostname),
        Setting("join", JoinUrl.parse),
        Setting("organization", claim),
        Setting("contact", claim),
        Setting("listen", listen, "--listen"),
        Setting("public", yes_or_no),
        Setting("tags", tags),
        Setting("private_networks", networks),
        Setting("passphrase_file", file, "--passphrase-file"),
        Setting("log_format", log_format),
        Setting("punch", yes_or_no),
        Setting("witnesses", partners),
    )
}


# ── which source goes before which ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Said:
    """A setting's text and where it was said; ``origin`` names that place in messages."""

    text: str
    source: Source
    origin: str


def said(name: str, environ: Mapping[str, str], config: Config, flag: str | None = None) -> Said:
    """What is said of a setting where it counts most."""
    setting = SETTINGS[name]
    if flag is not None:
        return Said(flag, "flag", "--" + name.replace("_", "-"))
    if setting.variable in environ:
        return Said(environ[setting.variable], "environment", setting.variable)
    filed = text_of(getattr(config, name))
    if filed != _default(name):
        return Said(filed, "file", f"{name} in config.toml")
    if name == "passphrase_file" and (credential := _passphrase_credential(environ)):
        return Said(credential, "credential", f"the credential {PASSPHRASE_CREDENTIAL}")
    return Said(filed, "default", f"{name} in config.toml")


def parsed(found: Said, parse: Callable[[str], T]) -> T:
    """Its value; InvalidInput, or a class of it, naming the origin."""
    try:
        return parse(found.text)
    except InvalidInput as error:
        raise type(error)(f"{found.origin}: {error.message}", hint=error.hint) from error


def change(config: Config, name: str, text: str) -> Config:
    """The configuration with one setting as ``text`` says; InvalidInput where it can't be understood."""
    setting = SETTINGS.get(name)
    if setting is None:
        raise InvalidInput(f"there is no setting {name!r}", hint=f"the settings are {', '.join(SETTINGS)}")
    value = parsed(Said(text, "file", name), setting.parse)
    if name == "passphrase_file" and value is not None and not value.is_absolute():
        raise InvalidInput("passphrase_file: not a whole path", hint="begin it with / or ~/")
    changed: dict[str, Any] = {name: plain(value)}
    return dataclasses.replace(config, **changed)


def plain(value: object) -> str | bool | tuple[str, ...]:
    """A parsed value as ``Config`` holds it."""
    if isinstance(value, tuple):
        return tuple(map(str, value))
    if isinstance(value, bool):
        return value
    return "" if value is None else str(value)


def text_of(value: str | bool | tuple[str, ...]) -> str:
    """A setting's value in the one form that every source can carry."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else ",".join(value)


def _default(name: str) -> str | None:
    default = Config.__dataclass_fields__[name].default
    return None if default is dataclasses.MISSING else text_of(default)


def _passphrase_credential(environ: Mapping[str, str]) -> str:
    folder = environ.get(CREDENTIALS, "")
    path = os.path.join(folder, PASSPHRASE_CREDENTIAL)
    return path if folder and os.path.exists(path) else ""


def _partner(word: str) -> str:
    try:
        return str(Fingerprint.parse(word))
    except InvalidInput:
        return normalise_hostname(word)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
