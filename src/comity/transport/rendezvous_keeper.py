"""Keeps one connection to the rendezvous, and connects again with jittered exponential back-off.

It gives up only when trying again cannot help: the hostname belongs to another key, or another daemon with
this key has taken over. A wrong key at the other end may be an attacker's moment, so that is tried again,
slowly.

It asks for nothing over the connection that it keeps: ``rendezvous`` does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from comity import limits
from comity.entropy import Entropy
from comity.errors import (
    ComityError,
    IdentityMismatch,
    KeyRetired,
    NameTaken,
    NotAdmitted,
    PeerUnreachable,
    ProxyAuthentication,
    RendezvousIdentityMismatch,
    RendezvousRefused,
    RendezvousUnreachable,
    TimedOut,
    VersionMismatch,
)
from comity.transport.interface import LinkInfo
from comity.transport.rendezvous_calls import RendezvousAway
from comity.transport.rendezvous_connection import Connection, FrameChannel, SupersededHere

log = logging.getLogger("comity.transport")

Connector = Callable[[], Awaitable[FrameChannel]]

#: Trying again changes nothing: ``run`` returns.
FINAL = (NameTaken, NotAdmitted, KeyRetired, SupersededHere)
#: A person has to act first, or the other side: tried at the slowest pace from the start.
_SLOW = (RendezvousIdentityMismatch, VersionMismatch, ProxyAuthentication)
_DOUBLINGS = 16  # the longest pause is reached long before


class Keeper:
    """``connection`` and ``link`` are there while this node is registered.

    ``problem`` says why it is not, or why the last connection ended until the next one stands.
    ``skew_seconds`` is by how much the rendezvous's clock is ahead of this machine's.
    """

    def __init__(
        self,
        authority: str,
        connect: Connector,
        over: Callable[[FrameChannel], Connection],
        lost: Callable[[ComityError], None],
        entropy: Entropy,
    ) -> None:
        self.connection: Connection | None = None
        self.link: LinkInfo | None = None
        self.problem: ComityError | None = None
        self.skew_seconds: float | None = None
        self._authority = authority
        self._connect = connect
        self._over = over
        self._lost = lost
        self._entropy = entropy
        self._returns_by = 0.0  # the loop's time; before it, a server that was restarted is waited for
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Connect, and again, until cancelled or until an error in ``FINAL``, which stays in ``problem``."""
        failures = 0
        while True:
            # A task of its own: until Python 3.11.4, a TaskGroup whose child failed leaves its parent marked
            # as being cancelled, and any later timeout in that parent ends it (CPython issue 102780).
            problem, seconds = await asyncio.create_task(self._attend())
            self.problem = problem
            try:
                self._lost(problem)
            except Exception:
                log.exception("the loss of the rendezvous could not be handled")
            if isinstance(problem, FINAL):
                return
            failures = 0 if seconds >= limits.RENDEZVOUS_HEARTBEAT else failures + 1
            await asyncio.sleep(self._pause(failures, problem))

    def expect(self) -> Connection:
        """The connection; where there is none, the error that says why."""
        if self.connection is not None:
            return self.connection
        match self.problem:
            case None:
                raise RendezvousUnreachable(f"not connected to the rendezvous {self._authority} yet")
            case RendezvousUnreachable() | RendezvousRefused() as problem:
                raise type(problem)(problem.message, hint=problem.hint)
            case problem:
                message = f"no connection to the rendezvous {self._authority}: {problem.message}"
                raise RendezvousUnreachable(message, hint=problem.hint)

    @property
    def returning(self) -> bool:
        """Whether the server has said that it is being restarted, and there is still time for that."""
        return asyncio.get_running_loop().time() < self._returns_by

    async def present(self) -> Connection:
        """The connection, waited for while the server is being restarted; else as ``expect``."""
        if self.connection is None and self.returning:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._returns_by):
                    await self._came.wait()
        return self.expect()

    async def _attend(self) -> tuple[ComityError, float]:
        """One connection, first to last: why it ended, and how many seconds this node was registered."""
        loop = asyncio.get_running_loop()
        connection, registered = None, None
        try:
            channel = await self._connect()
            connection = self._over(channel)
            await connection.open()
            registered = loop.time()
            self._came_up(connection, channel)
            await connection.serve()
        except ComityError as error:
            if isinstance(error, RendezvousAway):
                self._came.clear()
                self._returns_by = loop.time() + error.within + limits.RENDEZVOUS_ANSWER_TIMEOUT
            return self._explained(error), 0.0 if registered is None else loop.time() - registered
        finally:
            self.connection = self.link = None
            if connection is not None:
                connection.end(f"the connection to the rendezvous {self._authority} ended")

    def _came_up(self, connection: Connection, channel: FrameChannel) -> None:
        self.connection = connection
        self._returns_by = 0.0
        self._came.set()
        self.link = LinkInfo(
            "direct", channel.remote, channel.tls, channel.cipher, channel.group, channel.via
        )
        self.problem = None
        self.skew_seconds = connection.skew
        if abs(connection.skew) > limits.CLOCK_SKEW:
            log.warning(
                "the clocks of the rendezvous and of this machine are %d seconds apart: "
                "partners will refuse what is signed here",
                connection.skew,
            )

    def _pause(self, failures: int, problem: ComityError) -> float:
        if isinstance(problem, RendezvousAway):
            return problem.within * self._entropy.jitter()
        doublings = _DOUBLINGS if isinstance(problem, _SLOW) else min(failures, _DOUBLINGS)
        longest = min(limits.RECONNECT_FIRST * float(2**doublings), limits.RECONNECT_MOST)
        if isinstance(problem, ProxyAuthentication) and problem.tried:
            longest = limits.PROXY_REFUSED_PAUSE
        return longest * (1 + self._entropy.jitter()) / 2

    def _explained(self, error: ComityError) -> ComityError:
        if isinstance(error, IdentityMismatch):
            return RendezvousIdentityMismatch(
                f"{self._authority} is not the rendezvous that the join URL names: {error.message}"
            )
        if isinstance(error, PeerUnreachable | TimedOut):
            where = "" if self._authority in error.message else f" {self._authority}"
            return RendezvousUnreachable(f"no connection to the rendezvous{where}: {error.message}")
        return error
