"""HOST:PORT, as cards and join URLs carry it: a DNS name, an IPv4 address or a bracketed IPv6 address.

One spelling for each: names in lower case and as A-labels (RFC 5891), IPv6 as RFC 5952 writes it. It resolves
nothing and connects to nothing.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import idna

from comity.errors import InvalidInput

_HOST_CHARS = 253  # RFC 1035 section 2.3.4, without the final dot
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
_HINT = "write it as HOST:PORT, an IPv6 address in brackets"


def parse_authority(text: str) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port from ``HOST:PORT``; else InvalidInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.match(port) or int(port) > 65535:
        raise InvalidInput("no port between 1 and 65535 after the host", hint=_HINT)
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1]), int(port)
    if ":" in host:
        raise InvalidInput("an IPv6 address stands in brackets", hint=_HINT)
    return normalise_host(host), int(port)


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` where the port may be 0; else InvalidInput."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInput(
            f"no port in {text!r}", hint="write --listen HOST:PORT, an IPv6 address in brackets"
        )
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InvalidInput(f"an IPv6 address stands in brackets, as in [{host}]:{port}")
    return normalise_host(host), int(port)


def format_authority(host: str, port: int) -> str:
    """``HOST:PORT``, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def normalise_host(host: str) -> str:
    """The one spelling of a DNS name or a literal address (IPv6 without brackets); else InvalidInput."""
    if ":" in host:
        return _ipv6(host)
    name = _ascii(host)
    if len(name) > _HOST_CHARS:
        raise InvalidInput(f"a host name has at most {_HOST_CHARS} characters", hint=_HINT)
    labels = name.split(".")
    if not all(map(_LABEL.match, labels)):
        raise InvalidInput("not a host name", hint=_HINT)
    if labels[-1].isdecimal():  # no top-level domain is a number: it is meant as an address
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError as error:
            raise InvalidInput("not an IPv4 address", hint=_HINT) from error
    return name


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(unicodedata.normalize("NFC", host).lower()).decode("ascii")
    except (idna.IDNAError, ValueError) as error:
        raise InvalidInput("not a valid internationalised host name", hint=_HINT) from error


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise InvalidInput("not an IPv6 address", hint=_HINT) from error
    if address.scope_id is not None:
        raise InvalidInput("an IPv6 address with a zone means nothing on another machine", hint=_HINT)
    return str(address)
