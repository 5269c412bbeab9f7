"""Where a partner's connections come out: port 1003, and which ports of this machine are exposed to whom.

A port is exposed to one peer, for as long as the agreement lasts under which a person said so, or to every
peer. The guard is asked for each connection besides. What is not exposed is refused in the same words,
whatever is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity import limits
from comity.clock import rfc3339
from comity.control.forwarding import (
    ExposeRequest,
    ExposuresResult,
    ExposureView,
    UnexposeRequest,
    UnexposeResult,
)
from comity.errors import ComityError, ForwardsBusy, InvalidInput, NotExposed, TargetUnreachable
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.forwarding.messages import Tag, bare, fail, port_of
from comity.services.forwarding.pipe import Pipe, break_off
from comity.services.forwarding.record import recorded
from comity.services.forwarding.surroundings import SERVICE, Surroundings
from comity.services.refusals import Refusals
from comity.storage.forwarding import Exposure
from comity.transport.interface import Stream
from comity.transport.loopback import connect_here

_EVERYBODY = ""


@dataclass(frozen=True, eq=False)
class _Running:
    stream: Stream
    port: int


class Exit:
    """Answers peers' streams to port 1003."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._running: set[_Running] = set()
        self._refusals = Refusals("forward.refused", around.audit, around.clock, lambda _: True)

    # ── what is exposed ───────────────────────────────────────────────────────────────────────────────

    async def expose(self, request: ExposeRequest) -> ExposureView:
        """Let a peer, or every peer, reach a port, until that is ended. InvalidInput, UnknownPeer,
        UntrustedPeer, AmbiguousPeer, Denied where the agreement does not open forwarding.
        """
        around = self._around
        if (request.to is None) is not request.all:
            raise InvalidInput("say to whom: --to PEER, or --all for every partner")
        if not 1 <= request.port <= 65535:
            raise InvalidInput(f"{request.port} is not a TCP port")
        key, agreement, hostname = _EVERYBODY, "", ""
        peer = None
        if request.to is not None:
            known = await around.trust.resolve(request.to)
            around.guard.require(Operation(kind="expose", peer=known.key, service=SERVICE, port=request.port))
            key, agreement, hostname, peer = known.key.hex, known.agreement.digest, known.hostname, known.key
        exposure = Exposure(request.port, key, agreement, int(around.clock.now()))
        with around.db.transaction():
            if len(around.store.all()) >= limits.EXPOSURES:
                raise InvalidInput(f"{limits.EXPOSURES} ports are exposed already", hint="end one of them")
            around.store.put(exposure)
            around.audit.append(
                "expose.begun",
                peer=peer,
                operation="expose",
                digest=agreement or None,
                service=SERVICE,
                port=request.port,
            )
        return ExposureView(
            port=request.port,
            to=hostname,
            all=request.all,
            since=rfc3339(exposure.since),
            active=True,
            connections=0,
        )

    async def unexpose(self, request: UnexposeRequest) -> UnexposeResult:
        """End a port's exposure, and cut what came by it. InvalidInput where there is none."""
        around = self._around
        key = None if request.to is None else self._named(request.port, request.to)
        with around.db.transaction():
            ended = around.store.remove(request.port, key)
            if not ended:
                raise InvalidInput(
                    f"port {request.port} is not exposed like that", hint="run comity expose --list"
                )
            peer = PublicKey.from_hex(key) if key else None
            around.audit.append("expose.ended", peer=peer, operation="expose", port=request.port)
        cut = [
            run
            for run in self._running
            if run.port == request.port and not self._exposed(run.stream.peer, run.port)
        ]
        for run in cut:
            run.stream.abort()
        return UnexposeResult(port=request.port, ended=ended, connections_closed=len(cut))

    def exposures(self) -> ExposuresResult:
        """Every exposure, by port; ``active`` tells whether it lets anybody in now."""
        return ExposuresResult(exposed=tuple(self._view(each) for each in self._around.store.all()))

    def _view(self, exposure: Exposure) -> ExposureView:
        key = PublicKey.from_hex(exposure.peer) if exposure.peer else None
        return ExposureView(
            port=exposure.port,
            to="" if key is None else self._around.trust.hostname(key),
            all=key is None,
            since=rfc3339(exposure.since),
            active=key is None or self._holds(exposure, key),
            connections=sum(
                run.port == exposure.port and key in (None, run.stream.peer) for run in self._running
            ),
        )

    def _named(self, port: int, name: str) -> str:
        """The key of the exposure that a hostname means, also where its agreement is over."""
        hostname = self._around.trust.hostname
        for exposure in self._around.store.of(port):
            if exposure.peer and hostname(PublicKey.from_hex(exposure.peer)) == name:
                return exposure.peer
        raise InvalidInput(f"port {port} is not exposed to {name}", hint="run comity expose --list")

    def _holds(self, exposure: Exposure, key: PublicKey) -> bool:
        return exposure.agreement in self._around.trust.lineage(key)

    def _exposed(self, key: PublicKey, port: int) -> bool:
        return any(
            exposure.peer == _EVERYBODY or (exposure.peer == key.hex and self._holds(exposure, key))
            for exposure in self._around.store.of(port)
        )

    # ── connections ───────────────────────────────────────────────────────────────────────────────────

    async def answer(self, stream: Stream) -> None:
        """Serve one stream on port 1003. What ends the link is raised."""
        async with stream:
            port = port_of(stream.hello.purpose)
            try:
                self._admit(stream, port)
            except ComityError as error:
                self._refusals.record(stream.peer, error)
                await stream.send(fail(error))
                return
            run = _Running(stream, port)
            self._running.add(run)
            try:
                await self._connect(run)
            finally:
                self._running.discard(run)

    async def _connect(self, run: _Running) -> None:
        try:
            sock = await connect_here(run.port, limits.FORWARD_CONNECT_TIMEOUT)
        except TargetUnreachable as error:
            self._refusals.record(run.stream.peer, error)
            await run.stream.send(fail(error))
            return
        operation = _operation(run.stream, run.port)
        pipe = Pipe(sock, run.stream, self._around.clock, lambda: self._around.guard.consider(operation))
        with recorded(self._around.audit, pipe.flow, run.stream, run.port, "expose"):
            try:
                await run.stream.send(bare(Tag.OPENED))
                await pipe.run()
            finally:
                break_off(sock)

    def _admit(self, stream: Stream, port: int) -> None:
        """NotExposed, Denied, ForwardsBusy."""
        peer = stream.peer
        if not self._exposed(peer, port):
            raise NotExposed(f"port {port} is not exposed to this node")
        self._around.guard.require(_operation(stream, port))
        theirs = sum(run.stream.peer == peer for run in self._running)
        if theirs >= limits.FORWARD_CONNECTIONS_PER_PEER or len(self._running) >= limits.FORWARD_CONNECTIONS:
            raise ForwardsBusy(f"{theirs} connections of this node are open")


def _operation(stream: Stream, port: int) -> Operation:
    """What a peer's stream asks for."""
    return Operation(
        kind="expose",
        peer=stream.peer,
        service=SERVICE,
        charter=stream.hello.charter,
        port=port,
        by_peer=True,
    )
