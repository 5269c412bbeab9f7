"""``comity.connect_async()``: a running node for an asyncio program (docs: reference, "The Python API").

    async with comity.connect_async() as node:
        await node.send("lab-b-trainer", "round-3.safetensors")
        async with node.subscribe("training/*", consumer="aggregator") as events:
            async for event in events:
                ...

``AsyncNode`` has the methods of ``connection.Node``, which documents them. A task that is cancelled hangs up:
the daemon ends what it did for it, a transfer included.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from comity import control, limits
from comity.errors import TimedOut
from comity.sdk import asks, daemon
from comity.sdk.arrivals import Arrivals
from comity.sdk.client_async import AsyncClient
from comity.sdk.connection import Path_, Progress, subscription_request, unwatched
from comity.sdk.events_async import AsyncSubscription
from comity.sdk.exchange import name_of, open_to_send
from comity.sdk.forwarding_async import AsyncPortStream, forward, stream
from comity.sdk.publishing_async import AsyncPublisher


@asynccontextmanager
async def connect_async(
    home: Path_ | None = None,
    *,
    start: bool = False,
    listen: str | None = None,
    environ: Mapping[str, str] | None = None,
    patience: float = limits.CONTROL_ANSWER_SECONDS,
) -> AsyncIterator[AsyncNode]:
    """As ``connect``, for ``async with``."""
    place = None if home is None else Path(home)
    if start and not (await asyncio.to_thread(daemon.status, place)).running:
        await asyncio.to_thread(daemon.start, place, listen=listen)
    client = AsyncClient(place, environ=environ, patience=patience)
    client.blocking.runtime()
    yield AsyncNode(client)


class AsyncNode:
    """A running node. Tasks may share one; ``connect_async`` makes it."""

    def __init__(self, client: AsyncClient) -> None:
        #: For the operations that have no method here: ``comity.sdk.audit.log(node.client.blocking, …)``.
        self.client = client

    # ── identity ──────────────────────────────────────────────────────────────────────────────────────

    async def status(self) -> control.StatusResult:
        """As ``Node.status``."""
        return await self.client.ask(asks.status())

    async def info(self) -> control.InfoResult:
        """As ``Node.info``."""
        return await self.client.ask(asks.info())

    async def set_tags(self, *tags: str) -> control.VisibilityResult:
        """As ``Node.set_tags``."""
        return await self.client.ask(asks.set_tags(control.SetTagsRequest(tags)))

    async def set_visibility(self, *, public: bool) -> control.VisibilityResult:
        """As ``Node.set_visibility``."""
        return await self.client.ask(asks.set_visibility(control.SetVisibilityRequest(public)))

    # ── trust ─────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, name: str) -> control.FindResult:
        """As ``Node.find``."""
        return await self.client.ask(asks.find(control.FindRequest(name)))

    async def peers(self, tag: str | None = None) -> tuple[control.PeerView, ...]:
        """As ``Node.peers``."""
        return (await self.client.ask(asks.peers(control.PeersRequest(tag)))).peers

    async def ping(self, peer: str, *, count: int = 3, timeout: float = 10.0) -> control.PingResult:
        """As ``Node.ping``."""
        return await self.client.ask(asks.ping(control.PingRequest(peer, count, timeout)))

    async def handshake(
        self,
        peer: str,
        justification: str,
        *,
        requested_by: str = "",
        lifetime: int | None = None,
        fingerprint: str | None = None,
        wait: float = 0.0,
    ) -> control.HandshakeResult:
        """As ``Node.handshake``."""
        return await self.client.ask(
            asks.handshake(
                control.HandshakeRequest(peer, justification, requested_by, lifetime, fingerprint, wait)
            )
        )

    async def pending(self) -> tuple[control.PendingRequest, ...]:
        """As ``Node.pending``."""
        return (await self.client.ask(asks.pending())).pending

    async def approve(
        self,
        peer: str,
        *,
        allow: Sequence[str] | None = None,
        digest: str | None = None,
        fingerprint: str | None = None,
        wait: float = 5.0,
    ) -> control.ApproveResult:
        """As ``Node.approve``."""
        services = None if allow is None else tuple(allow)
        return await self.client.ask(
            asks.approve(control.ApproveRequest(peer, services, digest, fingerprint, wait))
        )

    async def reject(self, peer: str, reason: str) -> control.RejectResult:
        """As ``Node.reject``."""
        return await self.client.ask(asks.reject(control.RejectRequest(peer, reason)))

    async def confirm(self, peer: str, fingerprint: str) -> control.ConfirmResult:
        """As ``Node.confirm``."""
        return await self.client.ask(asks.confirm(control.ConfirmRequest(peer, fingerprint)))

    async def revoke(self, peer: str, reason: str = "", *, wait: float = 2.0) -> control.RevokeResult:
        """As ``Node.revoke``."""
        return await self.client.ask(asks.revoke(control.RevokeRequest(peer, reason, wait)))

    async def trusted(self) -> tuple[control.TrustedPeer, ...]:
        """As ``Node.trusted``."""
        return (await self.agreements()).trusted

    async def agreements(self) -> control.TrustResult:
        """As ``Node.agreements``."""
        return await self.client.ask(asks.agreements())

    async def export_agreement(self, peer: str) -> control.AgreementFile:
        """As ``Node.export_agreement``."""
        return await self.client.ask(asks.export(control.ExportRequest(peer)))

    # ── artifacts ─────────────────────────────────────────────────────────────────────────────────────

    async def send(
        self, peer: str, path: Path_, *, progress: Progress | None = None, limit: int | None = None
    ) -> control.SendResult:
        """As ``Node.send``."""
        descriptor = await asyncio.to_thread(open_to_send, path)
        try:
            name = name_of(path)
            request = control.SendFileRequest(peer, name, await self.client.hand_over(descriptor), limit)
        finally:
            os.close(descriptor)
        return await self.client.follow("send-file", request, control.SendResult, progress or unwatched)

    async def queue(self, peer: str, path: Path_, *, limit: int | None = None) -> control.QueueResult:
        """As ``Node.queue``."""
        descriptor = await asyncio.to_thread(open_to_send, path)
        try:
            name = name_of(path)
            where = await asyncio.to_thread(os.path.realpath, path)
            file = await self.client.hand_over(descriptor)
        finally:
            os.close(descriptor)
        return await self.client.ask(
            asks.queue_file(control.QueueFileRequest(peer, name, file, where, limit))
        )

    async def received(
        self,
        wait: str | None = None,
        *,
        peer: str | None = None,
        timeout: float = limits.RECEIVED_WAIT_SECONDS,
    ) -> tuple[control.ReceivedFile, ...]:
        """As ``Node.received``."""
        limit = 0.0 if wait is None else timeout
        return (await self.client.ask(asks.received(control.ReceivedRequest(wait, limit, peer)))).files

    async def arrivals(
        self, *, peer: str | None = None, past: bool = False, timeout: float | None = None
    ) -> AsyncGenerator[control.ReceivedFile, None]:
        """As ``Node.arrivals``, but begins when it is first iterated."""
        ends = None if timeout is None else time.monotonic() + timeout
        first = await self.client.ask(asks.received(control.ReceivedRequest(peer=peer)))
        arrivals = Arrivals(peer, first, past)
        while True:
            for file in arrivals.new():
                yield file
            left = limits.ARRIVALS_WAIT_SECONDS if ends is None else ends - time.monotonic()
            if left <= 0:
                raise TimedOut("no file arrived in time")
            arrivals.take(await self.client.ask(asks.received(arrivals.next(left))))

    async def transfers(self) -> tuple[control.Transfer, ...]:
        """As ``Node.transfers``."""
        return (await self.client.ask(asks.transfers())).transfers

    async def cancel(self, transfer: str) -> control.CancelResult:
        """As ``Node.cancel``."""
        return await self.client.ask(asks.cancel(control.CancelRequest(transfer)))

    # ── events ────────────────────────────────────────────────────────────────────────────────────────

    async def publish(self, topic: str, data: str = "", *, to: str | None = None) -> control.PublishResult:
        """As ``Node.publish``."""
        request = control.PublishRequest((control.EventData(topic, data),), to)
        return await self.client.ask(asks.publish(request))

    @asynccontextmanager
    async def publisher(self, *, to: str | None = None) -> AsyncIterator[AsyncPublisher]:
        """As ``Node.publisher``."""
        publisher = AsyncPublisher(self.client, to)
        yield publisher
        await publisher.flush()

    @asynccontextmanager
    async def subscribe(
        self,
        topic: str,
        *,
        peer: str | None = None,
        consumer: str | None = None,
        since: str | None = None,
        timeout: float | None = None,
        notice: Callable[[control.Notice], None] | None = None,
    ) -> AsyncIterator[AsyncSubscription]:
        """As ``Node.subscribe``."""
        request = subscription_request(topic, peer, consumer, since)
        async with self.client.listen("subscribe", request) as lines:
            subscription = AsyncSubscription(self.client, lines, timeout, notice)
            await subscription.begin()
            try:
                yield subscription
            except Exception:
                await subscription.leave()
                raise
            await subscription.finish()

    # ── ports ─────────────────────────────────────────────────────────────────────────────────────────

    async def expose(self, port: int, *, to: str) -> control.ExposureView:
        """As ``Node.expose``."""
        return await self.client.ask(asks.expose(control.ExposeRequest(port, to)))

    async def unexpose(self, port: int, *, to: str | None = None) -> control.UnexposeResult:
        """As ``Node.unexpose``."""
        return await self.client.ask(asks.unexpose(control.UnexposeRequest(port, to)))

    async def exposures(self) -> tuple[control.ExposureView, ...]:
        """As ``Node.exposures``."""
        return (await self.client.ask(asks.exposures())).exposed

    @asynccontextmanager
    async def dial(self, peer: str, port: int) -> AsyncIterator[AsyncPortStream]:
        """As ``Node.dial``, with ``reader`` and ``writer`` in place of a socket."""
        async with stream(self.client, peer, port) as opened:
            yield opened

    @asynccontextmanager
    async def forward(
        self, peer: str, port: int, *, local: int | Path | None = None
    ) -> AsyncIterator[control.ForwardView]:
        """As ``Node.forward``; gives how it began."""
        async with forward(self.client, peer, port, local) as view:
            yield view
