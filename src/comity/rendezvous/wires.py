"""The relay's thread: it joins pairs of sockets and carries bytes between them, until both have ended.

One thread, one selector, all lanes: the event loop that serves the nodes stays free, and an idle lane costs
two descriptors and a dictionary entry. A side that doesn't read stops the other from being read; a side that
ends its half ends the other's half, once what it sent is through; a lane on which nothing moves for
``limits.RELAY_IDLE`` ends.

Measured on loopback (2 cores, single runs: ratios, not promises), 2 GiB through the relay, 300 idle lanes
beside:

    pairs of threads with os.splice       3.9-4.3 GB/s    0.31 s of CPU    31 MB, 600 threads
    asyncio protocols                     2.8 GB/s        0.47 s           23 MB
    asyncio BufferedProtocol              2.2-2.6 GB/s    0.66 s           175 MB
    one selector thread, recv and send    2.5-2.9 GB/s    0.57 s           15 MB
    one selector thread with os.splice    3.6-3.9 GB/s    0.22 s           15 MB            ← this

It knows nothing of tickets or nodes: ``relay`` does.
"""

from __future__ import annotations

import queue
import selectors
import socket
import threading

from comity import limits
from comity.clock import Clock
from comity.rendezvous.pipes import Carriers
from comity.rendezvous.wire import Carried, Direction, Ended, Pace, Wire

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_LOOK_FOR_IDLE_EVERY = 5.0


class Wires:
    """Call ``start`` once, ``join`` from any thread, ``close`` once."""

    def __init__(
        self, clock: Clock, carriers: Carriers | None = None, idle: float = limits.RELAY_IDLE
    ) -> None:
        self._clock = clock
        self._carriers = carriers or Carriers()
        self._idle = idle
        self._new: queue.SimpleQueue[Wire | None] = queue.SimpleQueue()
        self._cut: queue.SimpleQueue[Wire] = queue.SimpleQueue()
        self._resting: dict[Wire, float] = {}  # until when
        self._wires: set[Wire] = set()
        self._closed = self._surrendering = False
        self._surrendered: list[tuple[socket.socket, socket.socket]] = []
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._thread = threading.Thread(target=self._main, name="relay", daemon=True)

    def start(self) -> None:
        self._selector.register(self._ear, _READ)
        self._thread.start()

    def join(
        self,
        first: socket.socket,
        second: socket.socket,
        ended: Ended,
        paces: tuple[Pace | None, Pace | None] = (None, None),
    ) -> Wire:
        """Own two connected sockets and carry bytes between them, each side's at its own pace.

        ``ended`` is called on the relay's thread.
        """
        for sock in (first, second):
            sock.setblocking(False)
        there = Direction(first, second, self._carriers.make(), paces[0])
        back = Direction(second, first, self._carriers.make(), paces[1])
        wire = Wire(there, back, ended, self._clock.monotonic())
        self._new.put(wire)
        self._ring()
        return wire

    def cut(self, wire: Wire) -> None:
        """End a lane; nothing where it has ended."""
        self._cut.put(wire)
        self._ring()

    def surrender(self) -> list[tuple[socket.socket, socket.socket]]:
        """End the thread, but not the lanes: the socket pairs of those that go on, as they were joined.

        A lane goes on once it holds no byte, for which it has ``limits.RENDEZVOUS_SURRENDER``; the others
        end. ``ended`` is called for all of them.
        """
        self._surrendering = True
        self.close()
        return self._surrendered

    def close(self) -> None:
        """End every lane and the thread. Once more is nothing."""
        if self._closed:
            return
        self._closed = True
        self._new.put(None)
        self._ring()
        if self._thread.ident is not None:
            self._thread.join()
        for sock in (self._bell, self._ear):
            sock.close()
        self._selector.close()

    def _ring(self) -> None:
        try:
            self._bell.send(b"!")
        except BlockingIOError:  # it rings already
            return

    def _main(self) -> None:
        look = self._clock.monotonic() + _LOOK_FOR_IDLE_EVERY
        open_for_more = True
        while open_for_more:
            for key, ready in self._selector.select(self._patience()):
                if key.data is None:
                    open_for_more = self._admit()
                elif key.data in self._wires:
                    self._turn(key.data, key.fileobj, ready)
            now = self._clock.monotonic()
            for wire in [wire for wire, until in self._resting.items() if until <= now]:
                self._turn(wire, None, 0)
            if now >= look or self._idle < _LOOK_FOR_IDLE_EVERY:
                look = now + _LOOK_FOR_IDLE_EVERY
                for wire in [wire for wire in self._wires if now - wire.moved > self._idle]:
                    self._end(wire)
        if self._surrendering:
            self._empty()
        for wire in list(self._wires):
            self._end(wire)
        self._carriers.close()

    def _empty(self) -> None:
        """Pass on what is held, take nothing more, and put aside the lanes that hold nothing."""
        until = self._clock.monotonic() + limits.RENDEZVOUS_SURRENDER
        for wire in self._wires:
            wire.taking = False
        while True:
            for wire in list(self._wires):
                if any(direction.carrier.holds for direction in wire.directions):
                    self._watch(wire)  # it is watched already, so the selector has room
                elif wire.lasting:
                    self._end(wire, keep=True)
                else:
                    self._end(wire)
            if not self._wires or self._clock.monotonic() >= until:
                return
            for key, ready in self._selector.select(0.05):
                if key.data in self._wires:
                    self._turn(key.data, key.fileobj, ready)

    def _patience(self) -> float:
        soonest = min(self._resting.values(), default=None)
        most = min(_LOOK_FOR_IDLE_EVERY, self._idle)
        return most if soonest is None else min(most, max(0.0, soonest - self._clock.monotonic()))

    def _admit(self) -> bool:
        """Take in what was joined, end what is cut; False once the relay is closed."""
        try:
            self._ear.recv(4096)
        except BlockingIOError:
            return True
        while not self._cut.empty():
            if (doomed := self._cut.get()) in self._wires:
                self._end(doomed)
        while True:
            try:
                wire = self._new.get_nowait()
            except queue.Empty:
                return True
            if wire is None:
                return False
            self._wires.add(wire)
            try:
                self._watch(wire)
            except OSError:  # the selector has no room
                self._end(wire)

    def _turn(self, wire: Wire, sock: object, ready: int) -> None:
        now = self._clock.monotonic()
        try:
            for direction in wire.directions:
                if ready & _WRITE and direction.target is sock:
                    wire.moved = now if direction.push() else wire.moved
                if ready & _READ and direction.source is sock:
                    wire.moved = now if direction.pull(now) else wire.moved
            if not wire.done:
                self._watch(wire)
        except OSError:  # either side is gone: the end-to-end TLS above tells a cut from an end
            self._end(wire)
            return
        if wire.done:
            self._end(wire)

    def _watch(self, wire: Wire) -> None:
        """Ask the selector for what can move now, and for nothing else."""
        now = self._clock.monotonic()
        self._resting.pop(wire, None)
        if until := wire.rests_until(now):
            self._resting[wire] = until
        for sock, wanted in wire.wants(now):
            watched = wire.watched.get(sock, 0)
            if wanted == watched:
                continue
            if not watched:
                self._selector.register(sock, wanted, wire)
            elif not wanted:
                self._selector.unregister(sock)
            else:
                self._selector.modify(sock, wanted, wire)
            wire.watched[sock] = wanted

    def _end(self, wire: Wire, *, keep: bool = False) -> None:
        self._wires.discard(wire)
        self._resting.pop(wire, None)
        for sock, watched in wire.watched.items():
            if watched:
                self._selector.unregister(sock)
        for direction in wire.directions:
            direction.carrier.drop()
            if not keep:
                direction.source.close()
        there, back = wire.directions
        if keep:
            self._surrendered.append((there.source, back.source))
        wire.ended(Carried(there.carried, back.carried, self._clock.monotonic() - wire.began, keep))
