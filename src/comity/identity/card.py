"""What people hand each other: cards, join URLs, and the forms that a PEER argument takes.

    comity:NAME@HOST:PORT#FINGERPRINT         a card: a node, where it is registered, and its key's pin
    comity://HOST:PORT[/NETWORK][?invite=TOKEN]#FINGERPRINT
                                              a join URL: a rendezvous, a network, and the server key's pin

An invitation's token is 32 bytes in hexadecimal, and a secret: it lets one key in, or as many as it has uses.

Who holds one has nothing left to trust at first contact (SECURITY.md rule 5). Nothing is looked up here.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field, replace

from comity.errors import InvalidCard, InvalidInput, InvalidJoinUrl
from comity.identity.address import NETWORK_MAX, Address
from comity.identity.authority import format_authority, normalise_host, parse_authority
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname

_SCHEME = "comity:"
_TEXT_CHARS = 1024  # longer than any card or URL with a name that the DNS can carry
_TOKEN = re.compile(r"[0-9a-f]{64}\Z")
_NETWORK = re.compile(r"[1-9][0-9]{0,4}\Z")
_FINGERPRINT_LIKE = re.compile(r"(?:[0-9a-fA-F][\s:\-]*){64}\Z")


@dataclass(frozen=True)
class Card:
    """``hostname`` in its one spelling, ``rendezvous`` ``host:port``, ``fingerprint`` of the node's key."""

    hostname: str
    rendezvous: str
    fingerprint: Fingerprint

    def __post_init__(self) -> None:
        try:
            spelled = (normalise_hostname(self.hostname), format_authority(*parse_authority(self.rendezvous)))
        except InvalidInput as error:
            raise InvalidCard(f"not a card: {error}") from error
        if spelled != (self.hostname, self.rendezvous):
            raise InvalidCard(f"a card spells these as {spelled[0]} and {spelled[1]}")

    @classmethod
    def parse(cls, text: str) -> Card:
        """The card in one line, blanks around it ignored; InvalidCard says what is wrong with it."""
        line = text.strip()
        if len(line) > _TEXT_CHARS or not line.startswith(_SCHEME) or line.startswith(_SCHEME + "//"):
            raise InvalidCard("a card is written comity:NAME@HOST:PORT#FINGERPRINT")
        rest, hash_sign, fingerprint = line.removeprefix(_SCHEME).partition("#")
        name, at_sign, authority = rest.partition("@")
        if not hash_sign or not at_sign:
            raise InvalidCard("a part is missing: a card is written comity:NAME@HOST:PORT#FINGERPRINT")
        try:
            hostname = normalise_hostname(name)
            rendezvous = format_authority(*parse_authority(authority))
            pin = Fingerprint.parse(fingerprint)
        except InvalidInput as error:
            raise InvalidCard(f"not a card: {error}") from error
        return cls(hostname, rendezvous, pin)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.hostname}@{self.rendezvous}#{self.fingerprint}"


@dataclass(frozen=True)
class JoinUrl:
    """``host`` (IPv6 without brackets), ``port``, ``network``; ``fingerprint`` of the rendezvous's key.

    ``invitation`` is the token of the network's invitation, None where it is open; ``first`` the fingerprint
    of the rendezvous's first key, where it has had another one before this.
    """

    host: str
    port: int
    network: int = 1
    _: KW_ONLY
    fingerprint: Fingerprint
    invitation: str | None = field(default=None, repr=False)
    first: Fingerprint | None = None

    def __post_init__(self) -> None:
        if self.invitation is not None and not _TOKEN.match(self.invitation):
            raise InvalidJoinUrl("an invitation is 64 hexadecimal digits")
        try:
            spelled = normalise_host(self.host)
        except InvalidInput as error:
            raise InvalidJoinUrl(f"not a join URL: {error}") from error
        if spelled != self.host:
            raise InvalidJoinUrl(f"a join URL spells this host as {spelled}")
        if not 1 <= self.port <= 65535:
            raise InvalidJoinUrl(f"port {self.port} is not between 1 and 65535")
        if not 1 <= self.network <= NETWORK_MAX:
            raise InvalidJoinUrl(f"network {self.network} is not between 1 and {NETWORK_MAX}")

    @classmethod
    def parse(cls, text: str) -> JoinUrl:
        """The join URL in one line, blanks around it ignored; InvalidJoinUrl says what is wrong with it."""
        line = text.strip()
        if len(line) > _TEXT_CHARS or not line.startswith(_SCHEME + "//"):
            raise InvalidJoinUrl("a join URL is written comity://HOST:PORT#FINGERPRINT")
        rest, hash_sign, fingerprint = line.removeprefix(_SCHEME + "//").partition("#")
        if not hash_sign:
            raise InvalidJoinUrl("the join URL lacks #FINGERPRINT, without which nobody knows who answers")
        rest, question, query = rest.partition("?")
        said = dict(part.partition("=")[::2] for part in query.split("&")) if question else {}
        if not said.keys() <= {"invite", "first"} or len(said) != query.count("="):
            raise InvalidJoinUrl(
                "this join URL carries parameters that this version does not know",
                hint="upgrade comity, then run the same command again",
            )
        authority, slash, network = rest.partition("/")
        if slash and not _NETWORK.match(network):
            raise InvalidJoinUrl(
                "after the slash stands the network's number, as in comity://HOST:PORT/2#..."
            )
        try:
            host, port = parse_authority(authority)
            pin = Fingerprint.parse(fingerprint)
            first = Fingerprint.parse(said["first"]) if "first" in said else None
        except InvalidInput as error:
            raise InvalidJoinUrl(f"not a join URL: {error}") from error
        invitation = said.get("invite")
        return cls(host, port, int(network or "1"), fingerprint=pin, invitation=invitation, first=first)

    @property
    def authority(self) -> str:
        """``host:port``, an IPv6 host in brackets: how cards name this rendezvous."""
        return format_authority(self.host, self.port)

    @property
    def named(self) -> Fingerprint:
        """By which key statements name this rendezvous: its first one, whatever key it has now."""
        return self.first or self.fingerprint

    @property
    def uninvited(self) -> JoinUrl:
        """The same without its invitation: what may be shown."""
        return replace(self, invitation=None)

    def __str__(self) -> str:
        network = "" if self.network == 1 else f"/{self.network}"
        said = []
        if self.invitation is not None:
            said.append(f"invite={self.invitation}")
        if self.first is not None and self.first != self.fingerprint:
            said.append(f"first={self.first}")
        query = f"?{'&'.join(said)}" if said else ""
        return f"{_SCHEME}//{self.authority}{network}{query}#{self.fingerprint}"


@dataclass(frozen=True)
class PeerName:
    """A peer by its bare hostname, in its one spelling: first contact by it trusts the rendezvous."""

    hostname: str

    def __str__(self) -> str:
        return self.hostname


def parse_peer(text: str) -> Card | Address | PeerName | Fingerprint:
    """What a PEER argument means; InvalidCard for a broken card, else InvalidInput."""
    line = text.strip()
    if line.startswith(_SCHEME + "//"):
        raise InvalidInput("this is a join URL; it names a rendezvous, not a peer", hint="run comity peers")
    if line.startswith(_SCHEME):
        return Card.parse(line)
    if len(line) <= _TEXT_CHARS and _FINGERPRINT_LIKE.match(line):
        return Fingerprint.parse(line)
    try:
        return Address.parse(line) if ":" in line else PeerName(normalise_hostname(line))
    except InvalidInput as error:
        raise InvalidInput(
            f"not a peer: {error}",
            hint="give a card (comity:NAME@...), an address (1:0001.0000.0010), a hostname or a fingerprint",
        ) from error
