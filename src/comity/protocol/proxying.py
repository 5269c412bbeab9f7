"""HTTP proxies: which one a connection takes, what it is asked, and what its answer means (RFC 9110 sections
9.3.6 and 11.7; RFC 7617 for Basic).

A CONNECT names the rendezvous by its name, which only the proxy may be able to resolve. Credentials are in no
text that is made here but the request itself. Nothing is opened or read.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from comity import limits
from comity.errors import InvalidInput, ProxyAuthentication, ProxyFailed
from comity.identity.authority import format_authority, normalise_host, parse_authority
from comity.identity.text import printable

_PORTS = {"http": 80, "https": 443}
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\Z")
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s+[^=\s,]|\s*,|\s*\Z)")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_REASON_CHARS = 80
_HINT = "write it like http://proxy.example.org:3128"


@dataclass(frozen=True)
class Login:
    """What Basic authentication sends; in no repr."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Login:
        """``user:password``; InvalidInput, which doesn't repeat it."""
        user, colon, password = text.partition(":")
        if not colon or not user or any(ord(character) < 32 for character in text):
            raise InvalidInput("not a user name and a password", hint="write them as user:password")
        return cls(user, password)

    @property
    def header(self) -> str:
        """The value of Proxy-Authorization."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class ProxyUrl:
    """``tls``: the connection to the proxy is encrypted (``https://``). ``login`` is in no text of it."""

    host: str
    port: int
    tls: bool = False
    login: Login | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> ProxyUrl:
        """``[http[s]://][user:password@]HOST[:PORT]``; InvalidInput, which doesn't repeat the text."""
        scheme, slashes, rest = text.strip().rpartition("://")
        scheme = scheme.lower() if slashes else "http"
        if scheme not in _PORTS:
            raise InvalidInput("not the URL of an HTTP proxy", hint=_HINT)
        userinfo, at_sign, place = rest.rpartition("@")
        place = place.removesuffix("/")
        if not place or "/" in place:
            raise InvalidInput("a proxy is named by a host and a port", hint=_HINT)
        if not re.search(r":[0-9]+\Z", place) or place.endswith("]"):
            place = f"{place}:{_PORTS[scheme]}"
        try:
            host, port = parse_authority(place)
            login = Login.parse(_decoded(userinfo)) if at_sign else None
        except InvalidInput as error:
            raise InvalidInput(f"not the URL of a proxy: {error.message}", hint=_HINT) from error
        return cls(host, port, scheme == "https", login)

    @property
    def authority(self) -> str:
        return format_authority(self.host, self.port)

    def with_login(self, login: Login | None) -> ProxyUrl:
        """The same with these credentials, where there are any."""
        return self if login is None else replace(self, login=login)

    def __str__(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.authority}"


@dataclass(frozen=True)
class Outlet:
    """How connections to one place leave this machine.

    ``origin`` says where ``proxy`` was said, or why there is none although one was said. ``ca_bundle`` is a
    file of certificates that are trusted besides the system's for TLS to a proxy; empty for none.
    """

    proxy: ProxyUrl | None = None
    origin: str = ""
    ca_bundle: str = ""


DIRECT = Outlet()


# ── which connections go past the proxy ───────────────────────────────────────────────────────────────


def parse_bypass(words: Sequence[str]) -> tuple[str, ...]:
    """The entries of no_proxy in one spelling: ``*``, a domain, an address, a network, each but the first
    perhaps with a port; InvalidInput.
    """
    return tuple(_rule(word) for word in words)


def bypassed(rules: Sequence[str], host: str, port: int) -> bool:
    """Whether no_proxy exempts ``host``; a domain stands for everything below it, too."""
    return any(_matches(rule, host, port) for rule in rules)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _rule(word: str) -> str:
    if word == "*":
        return word
    try:
        return str(ipaddress.ip_network(word, strict=False)) if "/" in word else _place(word)
    except ValueError as error:
        raise InvalidInput(f"not a network in no_proxy: {printable(word, _REASON_CHARS)}") from error


def _place(word: str) -> str:
    bare = word.removeprefix("*").removeprefix(".")
    try:
        if bare.count(":") == 1 or (bare.startswith("[") and not bare.endswith("]")):
            return format_authority(*parse_authority(bare))
        return normalise_host(bare.strip("[]"))
    except InvalidInput as error:
        raise InvalidInput(
            f"not a host in no_proxy: {printable(word, _REASON_CHARS)}",
            hint="write no_proxy like example.org,10.0.0.0/8",
        ) from error


def _matches(rule: str, host: str, port: int) -> bool:
    if rule == "*":
        return True
    if "/" in rule:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(rule)
        except ValueError:
            return False
    if rule.count(":") == 1 or rule.startswith("["):
        rule, wanted = parse_authority(rule)
        if wanted != port:
            return False
    return host == rule or host.endswith("." + rule)


# ── CONNECT ───────────────────────────────────────────────────────────────────────────────────────────


def connect_request(target: str, login: Login | None) -> bytes:
    """Ask a proxy for a tunnel to ``target`` (``host:port``)."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: comity"]
    if login is not None:
        lines.append(f"Proxy-Authorization: {login.header}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def connect_answer(received: bytes, proxy: ProxyUrl, target: str) -> bool:
    """Whether the tunnel is there; False while the answer's head is not complete.

    ProxyAuthentication for 407; ProxyFailed for every other refusal, for what is no HTTP, for a head over
    ``limits.PROXY_ANSWER_BYTES``, and for bytes behind it: nobody behind a proxy may speak first.
    """
    head, end, behind = received.partition(b"\r\n\r\n")
    if not end:
        if len(received) > limits.PROXY_ANSWER_BYTES or not b"HTTP/1.".startswith(received[:7]):
            raise ProxyFailed(f"{proxy} does not answer like an HTTP proxy", hint=_CHECK)
        return False
    first, *lines = head.split(b"\r\n")
    match = _STATUS.match(first)
    if match is None or len(head) > limits.PROXY_ANSWER_BYTES:
        raise ProxyFailed(f"{proxy} does not answer like an HTTP proxy", hint=_CHECK)
    status = int(match[1])
    if status == 407:
        raise _authentication(proxy, target, _challenges(lines))
    if not 200 <= status <= 299:
        raise _refused(proxy, target, status, printable((match[2] or b"").decode("latin-1"), _REASON_CHARS))
    if behind:
        raise ProxyFailed(f"{proxy} sent more than its answer", hint=_CHECK)
    return True


_CHECK = "check the proxy's host and port: comity config get proxy"


def _refused(proxy: ProxyUrl, target: str, status: int, reason: str) -> ProxyFailed:
    said = f"{status} {reason}".strip()
    if status in (502, 503, 504):
        return ProxyFailed(
            f"the proxy {proxy} cannot reach {target}: it says {said}",
            hint=f"ask your IT department whether the proxy may connect to {target}",
        )
    return ProxyFailed(
        f"the proxy {proxy} refuses {target}: it says {said}",
        hint=f"ask your IT department to let this machine CONNECT to {target} through the proxy",
    )


def _challenges(lines: Sequence[bytes]) -> tuple[str, ...]:
    """The schemes in Proxy-Authenticate, each once, in lower case."""
    found: dict[str, None] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"proxy-authenticate":
            for match in _SCHEME.finditer(value.decode("latin-1").strip()):
                found[match[1].lower()] = None
    return tuple(found)


def _authentication(proxy: ProxyUrl, target: str, schemes: tuple[str, ...]) -> ProxyAuthentication:
    if "basic" in schemes and proxy.login is None:
        error = ProxyAuthentication(f"the proxy {proxy} wants a user name and a password")
    elif "basic" in schemes:
        error = ProxyAuthentication(
            f"the proxy {proxy} refuses the user name or the password",
            hint="correct the file that comity config get proxy_credentials_file names, then comity down and"
            " comity up",
        )
    else:
        named = " or ".join(map(_named, schemes)) or "a login of an unnamed kind"
        error = ProxyAuthentication(
            f"the proxy {proxy} wants {named}, which comity does not speak",
            hint="run cntlm or px on this machine, which log in for you, then comity config set proxy"
            f" http://127.0.0.1:3128; or ask your IT department to exempt {target} from the login",
        )
    error.schemes, error.tried = schemes, proxy.login is not None
    return error


def _named(scheme: str) -> str:
    known = {"ntlm": "NTLM", "negotiate": "Negotiate (Kerberos)", "kerberos": "Kerberos", "digest": "Digest"}
    return known.get(scheme, printable(scheme, _REASON_CHARS))


def _decoded(userinfo: str) -> str:
    """Userinfo without its percent escapes (RFC 3986 section 2.1)."""
    raw = _PERCENT.sub(lambda match: bytes.fromhex(match[1].decode()), userinfo.encode())
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the user name or the password is not UTF-8") from error
