"""The rendezvous server: it builds the parts, opens the doors, keeps house, and shuts down in order.

Order of a start: state folder and lock, books, sockets, join URL, then connections are accepted. Order of the
end: no more connections, nodes are told to come back, relay lanes go to the service manager where there is
one, all connections closed, the last departures written down, the books, the lock. A kill at any moment
leaves a good state: everything that a node was told is committed before it is told.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import InvalidInput, LocalProtocolError
from comity.identity.authority import format_authority, normalise_host
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
from comity.rendezvous.housekeeping import Housekeeping
from comity.rendezvous.journal import Journal
from comity.rendezvous.lobby import Lobby
from comity.rendezvous.manager import Inherited, Manager
from comity.rendezvous.meters import Meters
from comity.rendezvous.monitor import Monitor
from comity.rendezvous.office import Office
from comity.rendezvous.options import Endpoint, Options
from comity.rendezvous.presence import Presence
from comity.rendezvous.reception import HTTP_GET, TLS_HANDSHAKE, Reception
from comity.rendezvous.relay import Relay
from comity.rendezvous.scribe import Scribe
from comity.rendezvous.sqlite import SqliteBooks
from comity.rendezvous.state import State, named
from comity.rendezvous.stores import Books
from comity.rendezvous.tenancy import Network, Relayed
from comity.rendezvous.terms import Terms
from comity.rendezvous.timing import floored, latest
from comity.rendezvous.usage import Usage, day
from comity.rendezvous.vitals import Vitals
from comity.rendezvous.wires import Wires
from comity.storage.sockets import listen_private
from comity.transport.bridge import Bridges
from comity.transport.tls import Credentials


class Server:
    """One rendezvous. ``run`` once; ``join_url`` and ``listening`` are there when ``ready`` is called."""

    def __init__(
        self,
        options: Options,
        clock: Clock,
        entropy: Entropy,
        rates: Rates = RATES,
        *,
        inherited: Inherited | None = None,
        manager: Manager | None = None,
    ) -> None:
        self.options = options
        self._inherited = inherited or Inherited()
        self._manager = manager or Manager()
        self.listening: list[Endpoint] = []
        self.join_url: JoinUrl | None = None
        self._clock = clock
        self._entropy = entropy
        self._rates = rates
        self._meters = Meters()
        self._journal = Journal(clock, self._meters)
        self._doors: Doors | None = None

    def ghosts(self) -> int:
        """How many connections have ended and are still in memory."""
        return 0 if self._doors is None else self._doors.ghosts

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop`` is set.

        Raises AlreadyRunning, HomeUnsafe, StorageUnusable, NewerDatabase, DiskFull, InvalidInput.
        """
        async with AsyncExitStack() as stack:
            for sock in self._inherited.listeners:
                stack.callback(sock.close)
            state = State(self.options.state)
            stack.callback(state.close)
            identity = state.identity()
            scribe = Scribe(lambda: SqliteBooks(state.database))
            await scribe.open()
            stack.push_async_callback(scribe.close)
            clock = floored(self._clock, await scribe.run(latest), self._journal)
            wires = Wires(clock)
            wires.start()
            stack.push_async_callback(asyncio.to_thread, wires.close)
            presence = Presence()
            networks, rows = await scribe.run(lambda books: _shares(books, day(clock.now())))
            terms, usage = Terms(networks), Usage(clock, rows)
            bridges = Bridges()
            stack.push_async_callback(asyncio.to_thread, bridges.close)
            files = allowed(bridges, self._journal)
            relay = Relay(wires, clock, self._entropy, self._journal, terms, usage, self._meters, files.lanes)
            lineage = state.lineage()
            desk = Desk(
                named(lineage, identity.public),
                scribe=scribe,
                presence=presence,
                relay=relay,
                clock=clock,
                journal=self._journal,
                terms=terms,
                meters=self._meters,
                rates=self._rates,
            )
            house = Housekeeping(scribe, presence, relay, desk, usage, clock, self._journal)
            stack.push_async_callback(house.write_departures)
            lobby = Lobby(clock)
            # Certificates follow the machine's clock, as nodes do: one from the future would lock them out.
            credentials = Credentials(identity, self._clock)
            reception = Reception(
                credentials, desk, presence, relay, lobby, self._entropy, bridges, files, lineage
            )
            doors = self._doors = Doors(
                {
                    TLS_HANDSHAKE: self._meters.counted("node", reception.node),
                    RELAY_PREFACE[:1]: self._meters.counted("lane", reception.lane),
                    OBSERVE_REQUEST[:1]: self._meters.counted("observer", reception.observer),
                    HTTP_GET: self._meters.counted("websocket", reception.wrapped),
                    LINEAGE_REQUEST[:1]: self._meters.counted("keys", reception.lineage),
                },
                lobby,
                self._journal,
                files,
            )
            listeners = self._bind(stack)
            desk.observers = observers(self.listening)
            path = self._announce(state, identity, desk.own)
            entrances: list[asyncio.Task[None]] = []
            vitals = Vitals(
                state, scribe, presence, relay, self._meters, clock,
                lambda: bool(entrances) and not any(entrance.done() for entrance in entrances),
            )  # fmt: skip
            office = Office(
                scribe.run,
                presence,
                clock,
                self._entropy,
                self._join,
                terms=terms,
                usage=usage,
                vitals=vitals,
            )
            hatch = Hatch(listen_private(state.hatch), office, self._journal)
            stack.callback(state.hatch.unlink, missing_ok=True)
            stack.callback(hatch.close)
            stack.push_async_callback(doors.close)
            monitor = self._monitor(stack, vitals)
            for kept in self._inherited.lanes:
                relay.resume(kept)
            async with asyncio.TaskGroup() as tasks:
                entrances += [tasks.create_task(doors.keep(listener)) for listener in listeners]
                inside: list[asyncio.Task[Any]] = [
                    tasks.create_task(hatch.keep()),
                    tasks.create_task(house.keep(self._manager)),
                ]
                if monitor is not None:
                    inside.append(tasks.create_task(monitor.keep()))
                self._journal.info(f"join URL: {self.join_url}", file=str(path))
                self._manager.ready()
                ready()
                await stop.wait()
                self._manager.stopping()
                self._journal.info("stopping", connections=len(doors), lanes=len(relay))
                for entrance in entrances:
                    entrance.cancel()
                await presence.dismiss()
                await self._hand_on(relay)
                for task in inside:
                    task.cancel()
        self._journal.info("stopped")
        self._manager.close()

    async def _hand_on(self, relay: Relay) -> None:
        """Leave the relay's lanes to whoever serves next, where something keeps them until then."""
        if not self._manager.address:
            return
        for kept in await relay.surrender():
            self._manager.keep(kept)
            for sock in (kept.dialler, kept.acceptor):
                sock.close()

    def _monitor(self, stack: AsyncExitStack, vitals: Vitals) -> Monitor | None:
        place = self.options.monitor
        if place is None:
            return None
        if isinstance(place, Path):
            listener = listen_private(place)
            stack.callback(place.unlink, missing_ok=True)
        else:
            listener, *others = listen(place)
            for other in others:  # a name with several addresses: one is enough
                other.close()
        stack.callback(listener.close)
        shown = str(place) if isinstance(place, Path) else format_authority(*listener.getsockname()[:2])
        self._journal.info("monitoring", at=shown)
        guarded = isinstance(place, Endpoint) and not self.options.monitor_anyone
        return Monitor(listener, vitals.status, self._journal, guarded=guarded)

    def _join(self) -> JoinUrl:
        if self.join_url is None:
            raise LocalProtocolError("an administrator was served before the doors were open")
        return self.join_url

    def _bind(self, stack: AsyncExitStack) -> list[socket.socket]:
        listeners = list(self._inherited.listeners)
        for endpoint in self.options.listen:
            for listener in listen(endpoint):
                stack.callback(listener.close)
                listeners.append(listener)
        if not listeners:
            raise InvalidInput(
                "nothing to listen on: no --listen, and no sockets from a service manager",
                hint="add --listen HOST:PORT",
            )
        for listener in listeners:
            host, port = listener.getsockname()[:2]
            self.listening.append(Endpoint(host, port))
            self._journal.info("listening", host=host, port=port)
        return listeners

    def _announce(self, state: State, identity: Identity, first: Fingerprint) -> Path:
        """Write the join URL: what is advertised, or what is listened on first, with its real port."""
        advertised = self.options.advertise
        if advertised is None:
            said = [] if self._inherited.listeners else self.options.listen
            advertised = Endpoint((*said, *self.listening)[0].host, self.listening[0].port)
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


def _shares(books: Books, today: int) -> tuple[list[Network], list[Relayed]]:
    return books.tenancy.networks(), books.tenancy.relayed(today)


def _own_name() -> str:
    try:
        return normalise_host(socket.gethostname())
    except InvalidInput as error:
        raise InvalidInput(
            "this machine's host name cannot stand in a join URL", hint="add --advertise comity://HOST:PORT"
        ) from error
