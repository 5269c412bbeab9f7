"""A realm: one network of one rendezvous, in which statements count and names mean somebody.

The rendezvous is named by the fingerprint of its first key (docs: decision 2). A realm's text is how the
database knows it; it is never sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.errors import LocalProtocolError
from comity.identity.fingerprint import Fingerprint


@dataclass(frozen=True)
class Realm:
    """``rendezvous`` as statements name it, ``network`` its number there."""

    rendezvous: Fingerprint
    network: int

    @classmethod
    def parse(cls, text: str) -> Realm:
        """What ``str`` made; LocalProtocolError for anything else, which only our own database can hold."""
        fingerprint, slash, network = text.partition("/")
        if not slash or not network.isascii() or not network.isdigit():
            raise LocalProtocolError(f"{text!r} is not a realm")
        return cls(Fingerprint.parse(fingerprint), int(network))

    def __str__(self) -> str:
        return f"{self.rendezvous}/{self.network}"
