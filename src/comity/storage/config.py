"""``config.toml``: what the person at this node decided, as one frozen value; read strictly, written whole.

Only the file's own format lives here: what each setting takes, and which flag or environment variable goes
before it, is for ``settings``. The file is TOML 1.0; the writer knows the three kinds of value that occur.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass

import msgspec

from comity import limits
from comity.errors import InvalidInput

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """``join`` is the join URL's text, ``network`` what this node calls that network; ``networks`` are the
    other ones that it is a member of, each as ``identity.place`` writes it. ``listen`` is "HOST:PORT",
    empty where peers cannot dial this node.

    ``private_networks`` ("10.20.0.0/16") may be dialled though no interface is in them (SECURITY.md rule 9).
    ``passphrase_file`` names the file with the identity key's passphrase.
    ``punch``: try simultaneous opens with peers. ``witnesses``: partners, by name or fingerprint, that
    countersign the audit log; all of them where it is empty.
    ``punch``: try simultaneous opens with peers. ``proxy``, ``no_proxy``, ``proxy_credentials_file`` and
    ``ca_bundle``: how connections to the rendezvous leave this machine. ``inbox_quota`` and
    ``artifact_limit`` are sizes, ``bandwidth`` is a rate, ``partials_kept`` a duration, as
    ``control.amounts`` reads them; empty is no bound.
    """

    hostname: str
    join: str
    network: str = "main"
    networks: tuple[str, ...] = ()
    organization: str = ""
    contact: str = ""
    listen: str = ""
    public: bool = False
    tags: tuple[str, ...] = ()
    private_networks: tuple[str, ...] = ()
    passphrase_file: str = ""
    log_format: str = "text"
    punch: bool = True
    witnesses: tuple[str, ...] = ()
    proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    proxy_credentials_file: str = ""
    ca_bundle: str = ""
    inbox_quota: str = "1TB"
    artifact_limit: str = ""
    bandwidth: str = ""
    partials_kept: str = "7d"


_KNOWN = tuple(field.name for field in dataclasses.fields(Config))


def parse_config(data: bytes) -> Config:
    """The configuration in a file's bytes; InvalidInput naming the key that is unknown, absent or wrong."""
    if len(data) > limits.CONFIG_BYTES:
        raise InvalidInput(f"config.toml is larger than {limits.CONFIG_BYTES} bytes", hint="shorten the file")
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or a number that is too long for int
        raise InvalidInput(
            f"config.toml is not valid TOML: {error}".rstrip("."), hint="correct the line that is named"
        ) from error
    unknown = sorted(set(table) - set(_KNOWN))
    if unknown:
        raise InvalidInput(
            f"config.toml has unknown keys: {', '.join(map(repr, unknown))}",
            hint=f"the keys are {', '.join(_KNOWN)}",
        )
    try:
        return msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"config.toml: {error}".lower(), hint="correct the value that is named") from error


def format_config(config: Config) -> bytes:
    """The bytes that ``parse_config`` turns back into an equal value; InvalidInput for broken Unicode."""
    lines = [f"{name} = {_format(getattr(config, name))}\n" for name in _KNOWN]
    try:
        return "".join(lines).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput("a setting holds broken unicode (a lone surrogate)") from error


def _format(value: str | bool | tuple[str, ...]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _format_text(value)
    return "[" + ", ".join(_format_text(item) for item in value) + "]"


def _format_text(text: str) -> str:
    """A TOML basic string: quotation mark, backslash and control characters are escaped, the rest is not."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character < " " or character == "\x7f":
        return f"\\u{ord(character):04X}"
    return character
