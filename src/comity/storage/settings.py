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
from comity.control.amounts import parse_duration, parse_rate, parse_size
from comity.errors import InvalidInput
from comity.identity.authority import parse_listen
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.identity.place import Place, network_name
from comity.protocol.candidates import IPNetwork
from comity.protocol.proxying import ProxyUrl, parse_bypass
from comity.protocol.statements import Tags
from comity.storage.config import Config

PREFIX = "COMITY_"
#: Where systemd puts what ``LoadCredential=`` names (systemd.exec(5)), and the credentials that are ours.
CREDENTIALS = "CREDENTIALS_DIRECTORY"
PASSPHRASE_CREDENTIAL = "comity-passphrase"  # noqa: S105  a file's name, not a passphrase
PROXY_CREDENTIAL = "comity-proxy"
_CREDENTIAL_OF = {"passphrase_file": PASSPHRASE_CREDENTIAL, "proxy_credentials_file": PROXY_CREDENTIAL}
_NO_PROXY = "none"

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


def places(text: str) -> tuple[Place, ...]:
    """Networks as ``NAME=JOIN-URL``, with commas or blanks between them."""
    return tuple(Place.parse(word) for word in _words(text))


def partners(text: str) -> tuple[str, ...]:
    """Hostnames and fingerprints, with commas or blanks between them."""
    return tuple(_partner(word) for word in _words(text))


def file(text: str) -> Path | None:
    """A file's path, ``~`` for the home folder; None for none."""
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError as error:
        raise InvalidInput("your home folder is unknown", hint="write the whole path") from error


def proxy(text: str) -> ProxyUrl | None:
    """An HTTP proxy's URL; None for nothing, and for ``none``, which goes before what later sources say."""
    return None if text in ("", _NO_PROXY) else ProxyUrl.parse(text)


def no_proxy(text: str) -> tuple[str, ...]:
    """Hosts, domains and networks that are reached without the proxy, with commas or blanks between them."""
    return parse_bypass(_words(text))


def log_format(text: str) -> LogFormat:
    """``text`` or ``json``."""
    if text == "text":
        return "text"
    if text == "json":
        return "json"
    raise InvalidInput("no such format", hint="write text or json")


def amount(parse: Callable[[str], int]) -> Callable[[str], int | None]:
    """What ``parse`` reads; None for nothing: there is no such bound."""
    return lambda text: parse(text) if text.strip() else None


def as_written(parse: Callable[[str], int]) -> Callable[[str], str]:
    """The text itself, if ``parse`` reads it: ``50GB`` stays ``50GB``."""

    def checked(text: str) -> str:
        amount(parse)(text)
        return text.strip()

    return checked


def kept(text: str) -> str:
    """How long something is kept: a duration that is not zero."""
    if parse_duration(text) == 0:
        raise InvalidInput("nothing can be kept for so short a time", hint="write seven days as 7d")
    return text.strip()


@dataclass(frozen=True)
class Setting:
    """One line of the table. ``flag``: the option of ``comity up`` that goes before it, or empty.

    ``shared``: variables that other programs read too; they count after our own, and empty ones not at all.
    """

    name: str
    parse: Callable[[str], Any]
    flag: str = ""
    shared: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable that goes before the file."""
        return PREFIX + self.name.upper()


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("hostname", normalise_hostname),
        Setting("join", JoinUrl.parse),
        Setting("network", network_name),
        Setting("networks", places),
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
        Setting("proxy", proxy, "--proxy", ("https_proxy", "HTTPS_PROXY")),
        Setting("no_proxy", no_proxy, shared=("no_proxy", "NO_PROXY")),
        Setting("proxy_credentials_file", file),
        Setting("ca_bundle", file),
        Setting("inbox_quota", as_written(parse_size)),
        Setting("artifact_limit", as_written(parse_size)),
        Setting("bandwidth", as_written(parse_rate)),
        Setting("partials_kept", kept),
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
    for variable in setting.shared:
        if environ.get(variable):
            return Said(environ[variable], "environment", variable)
    filed = text_of(getattr(config, name))
    if filed != _default(name):
        return Said(filed, "file", f"{name} in config.toml")
    if credential := _credential(name, environ):
        return Said(credential, "credential", f"the credential {_CREDENTIAL_OF[name]}")
    return Said(filed, "default", f"{name} in config.toml")


def parsed(found: Said, parse: Callable[[str], T]) -> T:
    """Its value; InvalidInput, or a class of it, naming the origin."""
    try:
        value = parse(found.text)
        if isinstance(value, ProxyUrl) and value.login is not None and found.source != "environment":
            raise InvalidInput(
                "a password does not belong here",
                hint="write user:password into a file of mode 0600, and set proxy_credentials_file to it",
            )
    except InvalidInput as error:
        raise type(error)(f"{found.origin}: {error.message}", hint=error.hint) from error
    return value


def change(config: Config, name: str, text: str) -> Config:
    """The configuration with one setting as ``text`` says; InvalidInput where it can't be understood."""
    setting = SETTINGS.get(name)
    if setting is None:
        raise InvalidInput(f"there is no setting {name!r}", hint=f"the settings are {', '.join(SETTINGS)}")
    value = parsed(Said(text, "file", name), setting.parse)
    if isinstance(value, Path) and not value.is_absolute():
        raise InvalidInput(f"{name}: not a whole path", hint="begin it with / or ~/")
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


def _credential(name: str, environ: Mapping[str, str]) -> str:
    folder = environ.get(CREDENTIALS, "")
    if not folder or name not in _CREDENTIAL_OF:
        return ""
    path = os.path.join(folder, _CREDENTIAL_OF[name])
    return path if os.path.exists(path) else ""


def _partner(word: str) -> str:
    try:
        return str(Fingerprint.parse(word))
    except InvalidInput:
        return normalise_hostname(word)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())
