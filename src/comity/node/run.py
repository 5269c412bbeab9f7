"""The daemon's life: what is started in which order, what ends it, and how everything is given back.

A start that can't succeed (the name is taken, the rendezvous has another key, the port is in use) ends it
with that error. Later the same things only end the registration, and ``status`` says so.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from comity import __version__, limits
from comity.errors import (
    ComityError,
    ProxyAuthentication,
    RendezvousIdentityMismatch,
    RendezvousUnreachable,
)
from comity.node.api.app import create_app
from comity.node.api.operations import Operations
from comity.node.api.server import ControlServer
from comity.node.build import Built, build
from comity.node.config import Settings, on_record
from comity.node.handoff import Handoff
from comity.node.logs import last_lines
from comity.node.parts import Node
from comity.node.ready import ReadyLine
from comity.services.membership import Membership
from comity.services.presence import Presence
from comity.storage.home import Home
from comity.storage.runtime import Runtime
from comity.storage.sockets import listen_private
from comity.transport.rendezvous_connection import SupersededHere
from comity.transport.rendezvous_keeper import FINAL

log = logging.getLogger("comity.node")

_FATAL_AT_START = (*FINAL, RendezvousIdentityMismatch)


async def run(home: Home, runtime: Runtime, settings: Settings, ready: ReadyLine) -> None:
    """Be the daemon of a home whose lease is held, until a signal or ``stop``; raises why it could not
    start.
    """
    with ExitStack() as kept:
        built = build(home, settings)
        kept.callback(built.db.close)
        kept.callback(built.close_ways)
        kept.callback(built.node.audit.close)
        built.node.audit.append("node.started", version=__version__)
        built.node.settled.clock()
        built.node.settled.record(on_record(settings))
        built.node.settled.key("identity", str(built.node.notary.public.fingerprint))
        built.node.settled.key("log", built.node.audit.key.public.hex())
        kept.callback(built.node.audit.append, "node.stopped")
        stop = asyncio.Event()
        kept.enter_context(_signals(stop.set))
        handoff = Handoff(listen_private(runtime.handoff_socket))
        kept.callback(runtime.handoff_socket.unlink, missing_ok=True)
        kept.callback(handoff.close)
        handoff.start()
        app = create_app(_operations(built, handoff, home, stop.set))
        control = kept.enter_context(listen_private(runtime.control_socket))
        kept.callback(runtime.control_socket.unlink, missing_ok=True)
        await _Life(built.node, ControlServer(app, control), ready, stop).run()


class _Life:
    """From the first task to the last."""

    def __init__(self, node: Node, server: ControlServer, ready: ReadyLine, stop: asyncio.Event) -> None:
        self._node = node
        self._server = server
        self._ready = ready
        self._stop = stop
        self._failure: ComityError | None = None

    async def run(self) -> None:
        node = self._node
        node.trust.start()
        node.exchange.start()
        node.events.start()
        node.forwarding.start()
        node.memberships.gave_up = self._gave_up
        try:
            await node.network.start()
            async with asyncio.TaskGroup() as tasks:
                talking = {
                    tasks.create_task(self._server.run_until_stopped()),
                    tasks.create_task(node.sessions.run(node.trust)),
                }
                others = {
                    tasks.create_task(node.memberships.run()),
                    tasks.create_task(node.evidence.witness.run()),
                    tasks.create_task(node.charters.run()),
                    tasks.create_task(node.exchange.run()),
                }
                await self._announce()
                await self._stop.wait()
                log.info("stopping")
                self._server.stop()
                node.sessions.stop()
                await asyncio.wait(talking, timeout=limits.SHUTDOWN_SECONDS)
                for task in talking | others:
                    task.cancel()
        finally:
            await node.network.close()
            node.exchange.stop()
        if self._failure is not None:
            raise self._failure

    def _gave_up(self, _: Membership) -> None:
        if all(isinstance(each.presence.problem, SupersededHere) for each in self._node.memberships):
            self._node.sessions.stop()  # the other daemon with this key keeps them now

    async def _announce(self) -> None:
        """Wait for the registrations and say how they went; what is fatal in every network at the start stops
        the daemon.
        """
        members = list(self._node.memberships)
        warning: ComityError | None = None
        try:
            async with asyncio.timeout(limits.READY_SECONDS):
                for member in members:
                    warning = await self._settled(member.presence) or warning
        except TimeoutError:
            late = next(each.presence for each in members if each.presence.state != "registered")
            warning = _warning(late.problem)
        fatal = [each.presence.problem for each in members]
        if all(isinstance(problem, _FATAL_AT_START) for problem in fatal) and not self._stop.is_set():
            self._failure = _warning(fatal[0])
            self._stop.set()
            return
        first = self._node.presence
        log.info("ready", extra={"fields": {"state": first.state, "address": first.address}})
        self._ready.ready(await self._node.about.status(), warning)

    async def _settled(self, presence: Presence) -> ComityError | None:
        """Wait for one registration, or for what a person has to act upon first, which is returned."""
        while presence.state != "registered" and not self._stop.is_set():
            if isinstance(presence.problem, (*_FATAL_AT_START, ProxyAuthentication)):
                return presence.problem
            await self._either(presence.changed)
        return None

    async def _either(self, event: asyncio.Event) -> None:
        """Until ``event`` or the order to stop."""
        waits = [asyncio.create_task(event.wait()), asyncio.create_task(self._stop.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _operations(built: Built, handoff: Handoff, home: Home, stop: Callable[[], None]) -> Operations:
    node = built.node
    return Operations(
        about=node.about,
        networks=node.networks,
        doctor=built.doctor,
        directory=node.directory,
        trust=node.trust,
        charters=node.charters,
        exchange=node.exchange,
        events=node.events,
        forwarding=node.forwarding,
        audit=node.evidence.desk,
        reports=node.evidence.reports,
        take_file=handoff.take,
        log_lines=lambda count: last_lines(home.log_file, count),
        stop=stop,
    )


def _warning(problem: Exception | None) -> ComityError:
    if isinstance(problem, ComityError):
        return problem
    return RendezvousUnreachable("the rendezvous has not answered yet")


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the daemon in order."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
