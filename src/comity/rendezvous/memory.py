"""The books in memory, for tests: the twin of ``sqlite``, under the same contract suite.

Nothing survives the process, and every question is a walk over all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from comity import limits
from comity.errors import LocalProtocolError
from comity.rendezvous.stores import Held, Kept, Letter, Node
from comity.rendezvous.tenancy import DEFAULT_NETWORK
from comity.rendezvous.tenancy_memory import MemoryTenancy


class MemoryNodes:
    def __init__(self) -> None:
        self.rows: dict[tuple[int, bytes], Node] = {}
        self.next: dict[int, int] = {DEFAULT_NETWORK: limits.NODE_FIRST}

    def networks(self) -> frozenset[int]:
        return frozenset(self.next)

    def next_number(self, network: int) -> int:
        number = self.next[network]
        self.next[network] = number + limits.NODE_STEP
        return number

    def count(self, network: int) -> int:
        return sum(node.network == network for node in self.rows.values())

    def get(self, network: int, key: bytes) -> Node | None:
        return self.rows.get((network, key))

    def named(self, network: int, hostname: str) -> Node | None:
        return self._only(
            node for node in self.rows.values() if (node.network, node.hostname) == (network, hostname)
        )

    def numbered(self, network: int, number: int) -> Node | None:
        return self._only(
            node for node in self.rows.values() if (node.network, node.number) == (network, number)
        )

    def listed(self, network: int, tag: str | None, limit: int) -> list[Node]:
        found = (
            node
            for node in self.rows.values()
            if node.network == network and node.public and (tag is None or tag in node.tags)
        )
        return sorted(found, key=lambda node: node.hostname.encode())[:limit]

    def put(self, node: Node) -> None:
        for other in self.rows.values():
            taken = other.hostname == node.hostname or other.number == node.number
            if other.network == node.network and other.key != node.key and taken:
                raise LocalProtocolError("a hostname or a number has two keys")
        before = self.rows.get((node.network, node.key), node)
        self.rows[node.network, node.key] = replace(node, number=before.number)

    def seen(self, network: int, key: bytes, at: int) -> None:
        if node := self.get(network, key):
            self.rows[network, key] = replace(node, last_seen=at)

    def everyone(self, network: int) -> list[Node]:
        found = (node for node in self.rows.values() if node.network == network)
        return sorted(found, key=lambda node: node.number)

    def remove(self, network: int, key: bytes) -> None:
        self.rows.pop((network, key), None)

    def latest(self) -> int:
        return max((node.last_seen for node in self.rows.values()), default=0)

    def not_after(self, at: int) -> int:
        late = [key for key, node in self.rows.items() if node.last_seen > at]
        self.rows |= {key: replace(self.rows[key], last_seen=at) for key in late}
        return len(late)

    @staticmethod
    def _only(found: Iterator[Node]) -> Node | None:
        return next(found, None)


class MemoryLetters:
    def __init__(self) -> None:
        self.place = 0
        self.rows: dict[int, Letter] = {}
        self.lists: dict[tuple[int, bytes], frozenset[bytes]] = {}

    def add(self, letter: Letter) -> None:
        if self.find(letter.network, letter.recipient, letter.sender, letter.message_id):
            raise LocalProtocolError("this letter is there already")
        self.place += 1
        self.rows[self.place] = letter

    def find(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> Letter | None:
        place = self._place(network, recipient, sender, message_id)
        return None if place is None else self.rows[place]

    def waiting(self, network: int, recipient: bytes, after: int, limit: int) -> list[Kept]:
        found = [
            Kept(place, letter)
            for place, letter in self.rows.items()
            if place > after and (letter.network, letter.recipient) == (network, recipient)
        ]
        return found[:limit]

    def remove(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> bool:
        place = self._place(network, recipient, sender, message_id)
        return place is not None and self.rows.pop(place) is not None

    def drop(self, network: int, recipient: bytes) -> None:
        self.rows = {
            place: letter
            for place, letter in self.rows.items()
            if (letter.network, letter.recipient) != (network, recipient)
        }
        self.lists.pop((network, recipient), None)

    def expire(self, before: int) -> int:
        late = [place for place, letter in self.rows.items() if letter.posted < before]
        for place in late:
            del self.rows[place]
        return len(late)

    def held_in(self, network: int) -> Held:
        return self._held(letter for letter in self.rows.values() if letter.network == network)

    def held_for(self, network: int, recipient: bytes) -> Held:
        rows = self.rows.values()
        return self._held(
            letter for letter in rows if (letter.network, letter.recipient) == (network, recipient)
        )

    def held_between(self, network: int, sender: bytes, recipient: bytes) -> int:
        pair = (network, sender, recipient)
        return sum((letter.network, letter.sender, letter.recipient) == pair for letter in self.rows.values())

    def held_from(self, network: int, sender: bytes) -> Held:
        rows = self.rows.values()
        return self._held(letter for letter in rows if (letter.network, letter.sender) == (network, sender))

    def reserve(self, network: int, recipient: bytes, senders: Iterable[bytes]) -> None:
        self.lists[network, recipient] = frozenset(senders)

    def reserves(self, network: int, recipient: bytes, sender: bytes) -> bool:
        return sender in self.lists.get((network, recipient), ())

    def reserving(self, sender: bytes) -> list[tuple[int, bytes]]:
        return sorted(pair for pair, senders in self.lists.items() if sender in senders)

    def latest(self) -> int:
        return max((letter.posted for letter in self.rows.values()), default=0)

    def not_after(self, at: int) -> int:
        late = [place for place, letter in self.rows.items() if letter.posted > at]
        self.rows |= {place: replace(self.rows[place], posted=at) for place in late}
        return len(late)

    def _place(self, network: int, recipient: bytes, sender: bytes, message_id: bytes) -> int | None:
        name = (network, recipient, sender, message_id)
        for place, letter in self.rows.items():
            if (letter.network, letter.recipient, letter.sender, letter.message_id) == name:
                return place
        return None

    @staticmethod
    def _held(letters: Iterable[Letter]) -> Held:
        found = list(letters)
        strangers = sum(not letter.reserved for letter in found)
        return Held(len(found), strangers, sum(len(letter.blob) for letter in found))


class MemoryBooks:
    def __init__(self) -> None:
        self.nodes = MemoryNodes()
        self.letters = MemoryLetters()
        self.tenancy = MemoryTenancy(lambda: self.nodes.next)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        nodes, letters = self.nodes, self.letters
        tenancy = self.tenancy.snapshot()
        before = (dict(nodes.rows), dict(nodes.next), letters.place, dict(letters.rows), dict(letters.lists))
        try:
            yield
        except BaseException:
            nodes.rows, nodes.next, letters.place, letters.rows, letters.lists = before
            self.tenancy.restore(tenancy)
            raise

    def close(self) -> None:
        """Nothing to close."""
