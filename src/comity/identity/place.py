"""Where a node is a member: one network of one rendezvous, what this node calls it, and its hostname there.

    oncology=comity://HOST:PORT/2#FINGERPRINT            one entry of the setting ``networks``
    cardiology=lab-c2@comity://HOST:PORT/3#FINGERPRINT   the same, under another hostname there

The network's name is this node's own word for it: it is told to nobody, and another member may use another.
Pure text; who answers at the URL is found out elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from comity import limits
from comity.errors import InvalidInput
from comity.identity.card import JoinUrl
from comity.identity.hostname import normalise_hostname

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\Z")


@dataclass(frozen=True)
class Place:
    """``hostname`` is empty where the node goes by its usual one."""

    name: str
    join: JoinUrl
    hostname: str = ""

    @classmethod
    def parse(cls, text: str) -> Place:
        """One entry; InvalidInput, InvalidJoinUrl."""
        name, equals, rest = text.strip().partition("=")
        if not equals:
            raise InvalidInput(f"not a network: {text!r}", hint="write it as NAME=JOIN-URL")
        before, at_sign, url = rest.partition("@comity://")
        hostname = normalise_hostname(before) if at_sign else ""
        return cls(network_name(name), JoinUrl.parse(f"comity://{url}" if at_sign else rest), hostname)

    @property
    def shown(self) -> str:
        """The entry without its invitation, which is a secret."""
        return str(replace(self, join=self.join.uninvited))

    def __str__(self) -> str:
        return f"{self.name}={self.hostname}{'@' if self.hostname else ''}{self.join}"


def network_name(text: str) -> str:
    """What a network may be called here; InvalidInput."""
    if not _NAME.match(text):
        raise InvalidInput(
            f"{text!r} cannot name a network",
            hint="use up to 32 lower-case letters, digits and dashes, beginning with a letter",
        )
    return text


def free_name(join: JoinUrl, taken: Iterable[str]) -> str:
    """A name for a network that was given none: ``network-2``, ``network-2-b`` where that is taken."""
    plain = f"network-{join.network}"
    used = set(taken)
    letters = ["", *(f"-{letter}" for letter in "bcdefghijklmnopqrstuvwxyz")]
    return next((plain + letter for letter in letters if plain + letter not in used), f"{plain}-z")


def check_places(places: Sequence[Place]) -> Sequence[Place]:
    """The same; InvalidInput where two have one name or are one network, or where there are too many."""
    if len(places) > limits.MEMBERSHIPS:
        raise InvalidInput(f"a node is a member of {limits.MEMBERSHIPS} networks at most")
    seen: dict[object, str] = {}
    for place in places:
        same = seen.get((place.join.named, place.join.network))
        if same is not None:
            raise InvalidInput(
                f"{place.name} is the network that is called {same} here already",
                hint="run comity network list",
            )
        if place.name in seen:
            raise InvalidInput(
                f"two networks are called {place.name}", hint="choose another name with --name"
            )
        seen[place.join.named, place.join.network] = seen[place.name] = place.name
    return places
