"""What the rendezvous keeps, as interfaces: nodes, letters, and the books that hold both and ``tenancy``.

Adapters: ``sqlite`` (the server's) and ``memory`` (its twin), held to one contract suite
(``tests/contract/test_rendezvous_stores.py``). Stores keep and find; they decide nothing: ``registry`` and
``mailbox`` do. Keys are 32 raw bytes, message ids 16, times whole seconds UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from comity.rendezvous.tenancy import Tenancy


@dataclass(frozen=True)
class Node:
    """One registered key of one network. ``number`` is the address's lower 32 bits.

    ``sealing_key`` is the signed SealingKey statement: a DSSE envelope's JSON.
    """

    network: int
    key: bytes
    number: int
    hostname: str
    public: bool
    tags: tuple[str, ...]
    sealing_key: str
    sealing_sequence: int
    last_seen: int


@dataclass(frozen=True)
class Letter:
    """One kept message. ``reserved``: it lies in a slot that its recipient reserved for its sender."""

    network: int
    recipient: bytes
    sender: bytes
    message_id: bytes
    blob: bytes
    posted: int
    reserved: bool


@dataclass(frozen=True)
class Kept:
    """A letter in its place in line: ``place`` only ever grows."""

    place: int
    letter: Letter


@dataclass(frozen=True)
class Held:
    """How many letters there are, how many of them came from strangers, and all their sealed bytes."""

    all: int = 0
    strangers: int = 0
    bytes: int = 0


class Nodes(Protocol):
    """The registry's rows. A hostname and a number belong to one key of a network."""

    def networks(self) -> frozenset[int]:
        """The networks that exist."""

    def next_number(self, network: int) -> int:
        """A number never given out before here, from ``limits.NODE_FIRST`` in steps of ``NODE_STEP``."""

    def count(self, network: int) -> int: ...

    def get(self, network: int, key: bytes) -> Node | None: ...

    def named(self, network: int, hostname: str) -> Node | None: ...

    def numbered(self, network: int, number: int) -> Node | None: ...

    def listed(self, network: int, tag: str | None, limit: int) -> list[Node]:
        """Public nodes, with ``tag`` unless it is None, by hostname, at most ``limit``."""

    def put(self, node: Node) -> None:
        """Write a node, over the one with its network and key, whose number stays what it was.

        LocalProtocolError where its hostname or number is another key's: look first.
        """

    def seen(self, network: int, key: bytes, at: int) -> None: ...

    def everyone(self, network: int) -> list[Node]:
        """All nodes of a network, by number."""

    def remove(self, network: int, key: bytes) -> None:
        """Forget a node; its number is never given out again."""

    def latest(self) -> int:
        """The latest ``last_seen``; 0 where there is no node."""

    def not_after(self, at: int) -> int:
        """Set every ``last_seen`` beyond ``at`` back to it; how many there were."""


class Letters(Protocol):
    """The mailbox's rows. (network, recipient, sender, message id) names one letter."""

    def add(self, letter: Letter) -> None:
        """LocalProtocolError where a letter of that name is there: look first."""

    def find(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> Letter | None: ...

    def waiting(self, network: int, recipient: bytes, after: int, limit: int) -> list[Kept]:
        """The recipient's letters behind place ``after``, as they came, at most ``limit``."""

    def remove(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> bool:
        """Whether there was one."""

    def drop(self, network: int, recipient: bytes) -> None:
        """Remove all letters to this recipient, and its reservations."""

    def expire(self, before: int) -> int:
        """Remove what was posted before this time; how many there were."""

    def held_in(self, network: int) -> Held: ...

    def held_for(self, network: int, recipient: bytes) -> Held: ...

    def held_between(self, network: int, sender: bytes, recipient: bytes) -> int: ...

    def held_from(self, network: int, sender: bytes) -> Held:
        """This sender's letters, over all recipients; as a stranger's: those in no reserved slot."""

    def reserve(self, network: int, recipient: bytes, senders: Iterable[bytes]) -> None:
        """The whole list of senders for whom this recipient keeps slots."""

    def reserves(self, network: int, recipient: bytes, sender: bytes) -> bool: ...

    def reserving(self, sender: bytes) -> list[tuple[int, bytes]]:
        """Who keeps slots for this sender: networks and recipients."""

    def latest(self) -> int:
        """When the youngest letter was posted; 0 where there is none."""

    def not_after(self, at: int) -> int:
        """Set the time of every letter posted beyond ``at`` back to it; how many there were."""


class Books(Protocol):
    """The stores, and the transactions over them. One thread at a time."""

    @property
    def nodes(self) -> Nodes: ...

    @property
    def letters(self) -> Letters: ...

    @property
    def tenancy(self) -> Tenancy: ...

    def transaction(self) -> AbstractContextManager[None]:
        """Durable when it is left normally, as if it had never begun when it is left by an exception.

        They nest: an inner one undoes only its own part. Raises DiskFull and StorageUnusable, at its end at
        the latest.
        """

    def close(self) -> None: ...
