"""Who may come in: networks, invitations, removed, retired keys, released names, and what administrators did.

The third store of the books, as an interface: ``tenancy_sqlite`` is the server's, ``tenancy_memory`` its
twin, held to one contract suite. It keeps and finds; ``membership`` decides who is admitted, ``acts`` what an
administrator's order does. Times are whole seconds UTC; tokens are never stored, only their SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from comity.rendezvous.quotas import LARGEST, Quotas

DEFAULT_NETWORK = 1
DEFAULT_NAME = "default"


@dataclass(frozen=True)
class Network:
    """``open``: whoever has the join URL may register; else a key's first time takes an invitation."""

    number: int
    name: str
    open: bool
    max_nodes: int
    max_mail: int
    created: int
    quotas: Quotas = LARGEST


@dataclass(frozen=True)
class Invitation:
    """``revoked`` is when, or 0. ``id`` grows with every invitation; 0 where it is to be given."""

    id: int
    network: int
    digest: bytes
    uses: int
    used: int
    created: int
    expires: int
    revoked: int = 0
    note: str = ""


@dataclass(frozen=True)
class Removal:
    """A key that was removed. ``number``: its address, kept for it.

    Invitations up to ``before`` don't bring it back.
    """

    number: int
    before: int


@dataclass(frozen=True)
class EndedKey:
    """A key that no network takes any more. ``proof``: its certificate's JSON, or its Rotation's envelope."""

    key: bytes
    at: int
    how: Literal["retired", "rotated"]
    reason: str
    proof: str


@dataclass(frozen=True)
class Act:
    """One line of the admin log. ``who``: the administrator's user, or the key that used an invitation."""

    at: int
    who: str
    act: str
    network: int
    detail: str


@dataclass(frozen=True)
class Relayed:
    """What a node has sent through the relay on one day: ``day`` counts days since 1970 UTC."""

    network: int
    key: bytes
    day: int
    bytes: int


@dataclass(frozen=True)
class LogHead:
    """The head of the admin log: its length, and the root of the Merkle tree over it (RFC 9162)."""

    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.size}:{self.root.hex()}"


class Tenancy(Protocol):
    """Rows that outlive nodes."""

    def networks(self) -> list[Network]:
        """All, by number."""

    def network(self, number: int) -> Network | None: ...

    def put_network(self, network: Network) -> None:
        """Write a network, over the one with its number. LocalProtocolError where its name is another's."""

    def add_invitation(self, invitation: Invitation) -> Invitation:
        """As it is kept, with the next ``id``."""

    def invitation(self, number: int) -> Invitation | None: ...

    def invitation_of(self, digest: bytes) -> Invitation | None: ...

    def invitations(self, network: int) -> list[Invitation]:
        """All of a network, by id."""

    def put_invitation(self, invitation: Invitation) -> None:
        """Write its ``used`` and ``revoked`` over what was kept."""

    def last_invitation(self) -> int:
        """The highest id that was ever given; 0 before the first."""

    def remove(self, network: int, key: bytes, removal: Removal) -> None: ...

    def removal(self, network: int, key: bytes) -> Removal | None: ...

    def readmit(self, network: int, key: bytes) -> None: ...

    def release(self, network: int, hostname: str, key: bytes) -> None:
        """This key may not claim this name again."""

    def released(self, network: int, hostname: str, key: bytes) -> bool: ...

    def end_key(self, ended: EndedKey) -> None:
        """Write over what was kept of that key."""

    def ended_key(self, key: bytes) -> EndedKey | None: ...

    def end_member(self, key: bytes, network: int) -> None:
        """A key that has ended was a member there."""

    def ended_in(self, key: bytes) -> set[int]:
        """Of which networks a key that has ended was a member."""

    def note(self, act: Act) -> LogHead:
        """Append to the admin log; its head then."""

    def head(self) -> LogHead:
        """The admin log's head, from its tree."""

    def rebuilt(self, size: int | None = None) -> LogHead:
        """The head over the first ``size`` acts, or all, computed anew from the acts themselves."""

    def relayed(self, day: int) -> list[Relayed]:
        """What was noted for that day."""

    def note_relayed(self, rows: Iterable[Relayed]) -> None:
        """Write these over what was noted; days before theirs are forgotten."""

    def mark(self, name: str) -> int:
        """When something happened last, in seconds UTC; 0 for never."""

    def set_mark(self, name: str, at: int) -> None: ...

    def acts(self, limit: int) -> list[Act]:
        """The newest, at most ``limit``, oldest first."""
