"""The file is hashed ahead of the network, in a thread of its own, and read only once where that is possible.

What was read to be hashed is usually sent next, so it stays in memory until it is sent. Where the peer
answers late or has some of it, room is needed before that: then the oldest goes, and is read again if it is
wanted.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import OrderedDict

from comity.errors import ComityError
from comity.protocol.exchange.events import ContentHashed, Hashed, Trouble
from comity.protocol.exchange.manifest import RUNNING, Entry, digest_text
from comity.services.exchange.content import Outgoing
from comity.services.exchange.planning import Plan
from comity.services.exchange.running_digests import RunningDigests

HashEvent = Hashed | ContentHashed | Trouble

_HASHED_AHEAD = 2  # chunks; the machine lets pages run ahead by itself
_KEPT = _HASHED_AHEAD + 2  # chunks in memory: one is being hashed, one sent, and none is read twice
_POLL = 0.2  # seconds between looks at whether anyone still wants the hashes


class Hasher:
    """Hashes a content's chunks in one thread (``run``) for another, which calls everything else."""

    def __init__(self, content: Outgoing, plan: Plan, digests: RunningDigests) -> None:
        """``digests``: what is hashed already, to go on from there; for who comes next, too."""
        self._content = content
        self._plan = plan
        self._digests = digests
        self._ready: queue.SimpleQueue[HashEvent] = queue.SimpleQueue()
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()  # free ones in ``_ready``
        for _ in range(_HASHED_AHEAD):
            self._places.put(None)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, memoryview] = OrderedDict()  # by offset, the oldest first
        self._free: list[memoryview] = []
        self._made = 0
        self._taken: int | None = None

    def run(self, all_wanted: bool = False) -> None:
        """Every chunk, then the whole, or the first trouble; returns early once ``stop`` was called.

        ``all_wanted``: every chunk will be sent, so that even those whose hashes are known are read ahead.
        """
        try:
            self._hash(all_wanted)
        except ComityError as error:
            self._put(Trouble(error))

    def next(self, timeout: float) -> HashEvent | None:
        """What was hashed next; None where nothing is within ``timeout`` seconds."""
        try:
            event = self._ready.get(timeout=timeout)
        except queue.Empty:
            return None
        self._places.put(None)
        return event

    def take(self, offset: int, length: int) -> memoryview | None:
        """The chunk there, if it is still in memory; it stays until ``give_back``."""
        with self._lock:
            buffer = self._kept.get(offset)
            self._taken = None if buffer is None else offset
            return None if buffer is None else buffer[:length]

    def give_back(self) -> None:
        """What was taken is sent."""
        with self._lock:
            if self._taken is not None:
                self._free.append(self._kept.pop(self._taken))
                self._taken = None

    def stop(self) -> None:
        """Nobody asks for more."""
        self._stopped.set()

    def _hash(self, all_wanted: bool) -> None:
        running = self._plan.digests == RUNNING
        whole = self._run_through(all_wanted) if running else self._each_alone()
        if whole is not None:
            self._content.check_unchanged()
            self._put(ContentHashed(digest_text(whole)))

    def _run_through(self, all_wanted: bool) -> bytes | None:
        """Running digests. What is known is not even read, unless it is sure to be wanted."""
        digests = self._digests
        known = len(digests)
        for index, (offset, length) in enumerate(self._plan.edges):
            if index >= known:
                digest = digests.add(self._read(offset, length))
            else:
                digest = digests.digest(index)
                if all_wanted:
                    self._read(offset, length)
            if not self._put(Hashed((Entry(length, digest),))):
                return None
        return digests.whole()

    def _each_alone(self) -> bytes | None:
        """Digests of content."""
        listing = self._content.listing
        whole = hashlib.sha256(listing.encoded if listing else b"")
        for offset, length in self._plan.edges:
            piece = self._read(offset, length)
            whole.update(piece)
            if not self._put(Hashed((Entry(length, hashlib.sha256(piece).digest()),))):
                return None
        return whole.digest()

    def _read(self, offset: int, length: int) -> memoryview:
        """A chunk, which stays in memory. It is what it was when the content was opened."""
        buffer = self._room()
        piece = buffer[:length]
        self._content.read_into(offset, piece)
        self._content.check_unchanged()
        with self._lock:
            self._kept[offset] = buffer
        return piece

    def _room(self) -> memoryview:
        """Memory for a chunk: fresh, given back, or the oldest that nobody took."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if self._made < _KEPT:
                self._made += 1
                return memoryview(bytearray(self._plan.edges.longest))
            oldest = next(offset for offset in self._kept if offset != self._taken)
            return self._kept.pop(oldest)

    def _put(self, event: HashEvent) -> bool:
        while not self._stopped.is_set():
            try:
                self._places.get(timeout=_POLL)
            except queue.Empty:
                continue
            self._ready.put(event)
            return True
        return False
