"""The rendezvous server: it builds the parts, opens the doors, keeps house, and shuts down in order.

Order of a start: state folder and lock, books, sockets, join URL, then connections are accepted. Order of the
end: no more connections, all connections closed, the relay, the last departures written down, the books, the
lock. A kill at any moment leaves a good state: everything that a node was told is committed before it is
told.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from comity import limits
from comity.clock import Clock, rfc3339
from comity.entropy import Entropy
from comity.errors import ComityError, InvalidInput, LocalProtocolError
from comity.identity.authority import normalise_host
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.observing import OBSERVE_REQUEST
from comity.protocol.registry import RELAY_PREFACE
from comity.protocol.succession import LINEAGE_REQUEST
from comity.rendezvous.desk import RATES, Desk, Rates
from comity.rendezvous.doors import Doors, listen, observers
from comity.rendezvous.files import allowed
from comity.rendezvous.hatch import Hatch
from comity.rendezvous.journal import Journal
from comity.rendezvous.lobby import Lobby
from comity.rendezvous.office import Office
from comity.rendezvous.options import Endpoint, Options
from comity.rendezvous.presence import Presence
from comity.rendezvous.reception import HTTP_GET, TLS_HANDSHAKE, Reception
from comity.rendezvous.relay import Relay
from comity.rendezvous.scribe import Scribe
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.state import State, named
from comity.rendezvous.stores import Books
from comity.rendezvous.wires import Wires
from comity.storage.sockets import listen_private
from comity.transport.bridge import Bridges
from comity.transport.tls import Credentials

_HOUSEKEEPING = 1.0  # seconds
_SWEEPING = 60.0


class FlooredClock:
    """A clock that does not go back below what an earlier run wrote down (SECURITY.md rule 2)."""

    def __init__(self, clock: Clock, floor: float) -> None:
        self._clock = clock
        self._floor = floor

    def now(self) -> float:
        return max(self._floor, self._clock.now())

    def monotonic(self) -> float:
        return self._clock.monotonic()


class Server:
    """One rendezvous. ``run`` once; ``join_url`` and ``listening`` are there when ``ready`` is called."""

    def __init__(self, options: Options, clock: Clock, entropy: Entropy, rates: Rates = RATES) -> None:
        self.options = options
        self.listening: list[Endpoint] = []
        self.join_url: JoinUrl | None = None
        self._clock = clock
        self._entropy = entropy
        self._rates = rates
        self._journal = Journal(clock)
        self._doors: Doors | None = None

    def ghosts(self) -> int:
        """How many connections have ended and are still in memory."""
        return 0 if self._doors is None else self._doors.ghosts

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop`` is set.

        Raises AlreadyRunning, HomeUnsafe, StorageUnusable, NewerDatabase, DiskFull, InvalidInput.
        """
        async with AsyncExitStack() as stack:
            state = State(self.options.state)
            stack.callback(state.close)
            identity = state.identity()
            scribe = Scribe(lambda: SqliteBooks(state.database))
            await scribe.open()
            stack.push_async_callback(scribe.close)
            latest = await scribe.run(_latest)
            clock = self._floored(latest)
            wires = Wires(clock)
            wires.start()
            stack.push_async_callback(asyncio.to_thread, wires.close)
            presence = Presence()
            stack.push_async_callback(_write_departures, scribe, presence)
            bridges = Bridges()
            stack.push_async_callback(asyncio.to_thread, bridges.close)
            files = allowed(bridges, self._journal)
            relay = Relay(wires, clock, self._entropy, self._journal, files.lanes)
            lineage = state.lineage()
            desk = Desk(
                named(lineage, identity.public),
                scribe=scribe,
                presence=presence,
                relay=relay,
                clock=clock,
                journal=self._journal,
                rates=self._rates,
            )
            lobby = Lobby(clock)
            # Certificates follow the machine's clock, as nodes do: one from the future would lock them out.
            credentials = Credentials(identity, self._clock)
            reception = Reception(
                credentials, desk, presence, relay, lobby, self._entropy, bridges, files, lineage
            )
            doors = self._doors = Doors(
                {
                    TLS_HANDSHAKE: reception.node,
                    RELAY_PREFACE[:1]: reception.lane,
                    OBSERVE_REQUEST[:1]: reception.observer,
                    HTTP_GET: reception.wrapped,
                    LINEAGE_REQUEST[:1]: reception.lineage,
                },
                lobby,
                self._journal,
                files,
            )
            listeners = self._bind(stack)
            desk.observers = observers(self.listening)
            path = self._announce(state, identity, desk.own)
            office = Office(scribe.run, presence, clock, self._entropy, self._join)
            hatch = Hatch(listen_private(state.hatch), office, self._journal)
            stack.callback(state.hatch.unlink, missing_ok=True)
            stack.callback(hatch.close)
            stack.push_async_callback(doors.close)
            async with asyncio.TaskGroup() as tasks:
                work = [tasks.create_task(doors.keep(listener)) for listener in listeners]
                work.append(tasks.create_task(hatch.keep()))
                work.append(
                    tasks.create_task(_keep_house(scribe, presence, relay, desk, clock, self._journal))
                )
                self._journal.info(f"join URL: {self.join_url}", file=str(path))
                ready()
                await stop.wait()
                self._journal.info("stopping", connections=len(doors), lanes=len(relay))
                for task in work:
                    task.cancel()
        self._journal.info("stopped")

    def _join(self) -> JoinUrl:
        if self.join_url is None:
            raise LocalProtocolError("an administrator was served before the doors were open")
        return self.join_url

    def _floored(self, latest: float) -> Clock:
        now = self._clock.now()
        if latest > now + limits.CLOCK_SKEW:
            self._journal.warning(
                "the clock is behind an earlier run's: the server's time stands still until it has caught up",
                now=rfc3339(now),
                until=rfc3339(latest),
            )
        return FlooredClock(self._clock, latest)

    def _bind(self, stack: AsyncExitStack) -> list[socket.socket]:
        listeners: list[socket.socket] = []
        for endpoint in self.options.listen:
            for listener in listen(endpoint):
                stack.callback(listener.close)
                listeners.append(listener)
                host, port = listener.getsockname()[:2]
                self.listening.append(Endpoint(host, port))
                self._journal.info("listening", host=host, port=port)
        return listeners

    def _announce(self, state: State, identity: Identity, first: Fingerprint) -> Path:
        """Write the join URL: what is advertised, or what the first ``--listen`` says, with its real port."""
        advertised = self.options.advertise
        if advertised is None:
            advertised = Endpoint(self.options.listen[0].host, self.listening[0].port)
            if advertised.host in ("", "0.0.0.0", "::"):  # noqa: S104  compared with, not bound to
                advertised = Endpoint(_own_name(), advertised.port)
                self._journal.warning(
                    "the join URL names this machine's host name; --advertise another if nodes need one",
                    host=advertised.host,
                )
        own = identity.public.fingerprint
        self.join_url = JoinUrl(
            advertised.host, advertised.port, fingerprint=own, first=None if first == own else first
        )
        return state.write_join_url(self.join_url)


def _own_name() -> str:
    try:
        return normalise_host(socket.gethostname())
    except InvalidInput as error:
        raise InvalidInput(
            "this machine's host name cannot stand in a join URL", hint="add --advertise comity://HOST:PORT"
        ) from error


def _latest(books: Books) -> float:
    return float(max(books.nodes.latest(), books.letters.latest()))


async def _keep_house(
    scribe: Scribe, presence: Presence, relay: Relay, desk: Desk, clock: Clock, journal: Journal
) -> None:
    """Write departures down, forget tickets, and now and then throw expired mail away."""
    swept = clock.monotonic() - _SWEEPING
    while True:
        try:
            relay.expire()
            await _write_departures(scribe, presence)
            if clock.monotonic() - swept >= _SWEEPING:
                swept = clock.monotonic()
                desk.sweep()
                await desk.expire()
        except ComityError as error:  # a full disk: whoever is online stays so, and it may pass
            journal.failure("housekeeping failed", error)
        await asyncio.sleep(_HOUSEKEEPING)


async def _write_departures(scribe: Scribe, presence: Presence) -> None:
    left = presence.departures()

    def write(books: Books) -> None:
        for node, at in left.items():
            books.nodes.seen(*node, at)

    if left:
        await scribe.run(write)
