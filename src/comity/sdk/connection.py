"""``comity.connect()``: a running node for a Python program (docs: reference, "The Python API").

    import comity

    with comity.connect() as node:
        node.send("lab-b-trainer", "round-3.safetensors")
        with node.subscribe("training/*", consumer="aggregator") as events:
            for event in events:
                ...

One class with the operations that programs use most, under the names and with the results of the command
line. ``connection_async`` is the same for asyncio. It decides nothing: each method is one operation of the
daemon's, and raises ComityError's descendants; what each raises besides the errors of the connection itself
(NotRunning, TimedOut, HomeUnsafe, RemoteProtocolError) stands in its docstring.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from comity import control, limits
from comity.errors import TimedOut
from comity.sdk import asks, daemon, events, exchange
from comity.sdk.arrivals import Arrivals
from comity.sdk.client import Client
from comity.sdk.connection_trust import TrustedNode
from comity.sdk.publishing import Publisher

if TYPE_CHECKING:
    from comity.sdk import forwarding

Path_ = str | os.PathLike[str]
Progress = Callable[[control.Progress], None]


def connect(
    home: Path_ | None = None,
    *,
    start: bool = False,
    listen: str | None = None,
    environ: Mapping[str, str] | None = None,
    patience: float = limits.CONTROL_ANSWER_SECONDS,
) -> Node:
    """The node of a home that runs here; without ``home``, of the one that ``COMITY_HOME`` names.

    ``start``: start its daemon where it doesn't run, and leave it running; ``listen`` is then where peers can
    dial it (``HOST:PORT``). ``patience``: seconds that the daemon may take for an operation that waits for
    nobody. Raises NotInitialised where no node is set up there, NotRunning, HomeUnsafe.
    """
    place = None if home is None else Path(home)
    if start and not daemon.status(place).running:
        daemon.start(place, listen=listen)
    client = Client(place, environ=environ, patience=patience)
    client.runtime()
    return Node(client)


class Node(TrustedNode):
    """A running node. Threads may share one; ``connect`` makes it."""

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept open between calls; the daemon goes on."""

    # ── artifacts ─────────────────────────────────────────────────────────────────────────────────────

    def send(
        self, peer: str, path: Path_, *, progress: Progress | None = None, limit: int | None = None
    ) -> control.SendResult:
        """Send a file, whole and verified, and return once the peer's signed receipt is here.

        ``progress`` is called in this thread, several times a second; ``limit``: bytes a second.
        FileUnusable, NameRefused, FileChanged, TooLarge, UntrustedPeer, Denied, PeerUnreachable, PeerRefused,
        DiskFull, InboxFull, TransferFailed, TransferCancelled, VerificationFailed.
        """
        return exchange.send_file(self.client, peer, path, progress or unwatched, limit=limit)

    def queue(self, peer: str, path: Path_, *, limit: int | None = None) -> control.QueueResult:
        """Have a file sent when the peer is there, through restarts of both, and return at once.

        It is sent as it is now or not at all; ``transfers`` tells. ``limit``: bytes a second. FileUnusable,
        NameRefused, TooLarge, UntrustedPeer, Denied.
        """
        return exchange.queue_file(self.client, peer, path, limit=limit)

    def received(
        self,
        wait: str | None = None,
        *,
        peer: str | None = None,
        timeout: float = limits.RECEIVED_WAIT_SECONDS,
    ) -> tuple[control.ReceivedFile, ...]:
        """The files that arrived, the newest first; ``peer``: only those from there.

        ``wait``: only files that were sent under this name, as soon as there is one; TimedOut after
        ``timeout`` seconds.
        """
        limit = 0.0 if wait is None else timeout
        return self.client.ask(asks.received(control.ReceivedRequest(wait, limit, peer))).files

    def arrivals(
        self, *, peer: str | None = None, past: bool = False, timeout: float | None = None
    ) -> Iterator[control.ReceivedFile]:
        """Each file as it arrives from now on, in that order; ``past``: first those that are there already.

        ``peer``: only from there. TimedOut once ``timeout`` seconds have passed, however many came.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        arrivals = Arrivals(peer, self.client.ask(asks.received(control.ReceivedRequest(peer=peer))), past)
        return self._arriving(arrivals, ends)

    def _arriving(self, arrivals: Arrivals, ends: float | None) -> Iterator[control.ReceivedFile]:
        while True:
            yield from arrivals.new()
            left = limits.ARRIVALS_WAIT_SECONDS if ends is None else ends - time.monotonic()
            if left <= 0:
                raise TimedOut("no file arrived in time")
            arrivals.take(self.client.ask(asks.received(arrivals.next(left))))

    def transfers(self) -> tuple[control.Transfer, ...]:
        """What is on its way, in both directions, and what was; the newest first."""
        return self.client.ask(asks.transfers()).transfers

    def cancel(self, transfer: str) -> control.CancelResult:
        """End a transfer for good, in either direction. UnknownTransfer; InvalidInput where it is over."""
        return exchange.cancel(self.client, transfer)

    # ── events ────────────────────────────────────────────────────────────────────────────────────────

    def publish(self, topic: str, data: str = "", *, to: str | None = None) -> control.PublishResult:
        """Publish an event to all trusted peers, or leave it with one, and return once it is on disk.

        InvalidInput, TooLarge, UnknownPeer, UntrustedPeer, Denied, BrokerFull, DiskFull.
        """
        request = control.PublishRequest((control.EventData(topic, data),), to)
        return self.client.ask(asks.publish(request))

    @contextmanager
    def publisher(self, *, to: str | None = None) -> Iterator[Publisher]:
        """Publish many small events, hundreds in a request; all of them are on disk when the block is left.

        What waits is lost where the block is left by an error.
        """
        publisher = Publisher(self.client, to)
        yield publisher
        publisher.flush()

    @contextmanager
    def subscribe(
        self,
        topic: str,
        *,
        peer: str | None = None,
        consumer: str | None = None,
        since: str | None = None,
        timeout: float | None = None,
        notice: Callable[[control.Notice], None] | None = None,
    ) -> Iterator[events.Subscription]:
        """Iterate the events of trusted peers under a topic or pattern (``training/*``, ``training/**``).

        An event is acknowledged once the next one is asked for, or the block is left without an error: only
        then it doesn't come again to this ``consumer`` (by default one per topic). ``since``: ``beginning``,
        or the cursor of an event to go on after. ``timeout``: seconds in all; then TimedOut. ``notice`` is
        told which peers are connected, and which are waited for. InvalidInput, UntrustedPeer, Denied,
        ConsumerReplaced.
        """
        request = subscription_request(topic, peer, consumer, since)
        with events.subscribe(self.client, request, timeout=timeout, notice=notice) as subscription:
            yield subscription

    # ── ports ─────────────────────────────────────────────────────────────────────────────────────────

    def expose(self, port: int, *, to: str) -> control.ExposureView:
        """Let a peer reach a TCP port of this machine's loopback, for as long as its agreement lasts.

        So a program serves its peers: it listens on 127.0.0.1. UnknownPeer, UntrustedPeer, Denied.
        """
        return self.client.ask(asks.expose(control.ExposeRequest(port, to)))

    def unexpose(self, port: int, *, to: str | None = None) -> control.UnexposeResult:
        """End that, for one peer or for all, and cut the connections that came by it. InvalidInput."""
        return self.client.ask(asks.unexpose(control.UnexposeRequest(port, to)))

    def exposures(self) -> tuple[control.ExposureView, ...]:
        """Which ports are exposed, and to whom."""
        return self.client.ask(asks.exposures()).exposed

    @contextmanager
    def dial(self, peer: str, port: int) -> Iterator[forwarding.PortStream]:
        """A stream to a port that a peer exposes to this node, while the block lasts; ``socket`` is its end.

        UntrustedPeer, Denied, NotExposed, TargetUnreachable, ForwardsBusy, PeerUnreachable.
        """
        from comity.sdk import forwarding  # asyncio comes with it, which most programs don't need

        with forwarding.stream(self.client, peer, port) as stream:
            yield stream

    @contextmanager
    def forward(
        self, peer: str, port: int, *, local: int | Path | None = None
    ) -> Iterator[forwarding.Forwarding]:
        """Let programs of this machine reach a peer's port, while the block lasts.

        ``local``: a port of 127.0.0.1 (0 for any free one) that only this user's programs can use, or the
        path of a Unix socket to make; ``view.local`` tells which. InvalidInput, UntrustedPeer, Denied.
        """
        from comity.sdk import forwarding  # as above

        with forwarding.forward(self.client, peer, port, local=local) as forward:
            yield forward


def subscription_request(
    topic: str, peer: str | None, consumer: str | None, since: str | None
) -> control.SubscribeRequest:
    """What subscribing means where no consumer is named: one per topic, apart from the command line's."""
    return control.SubscribeRequest(topic, consumer or f"python:{topic}", peer, since)


def unwatched(progress: control.Progress) -> None:
    """Nobody wants to know."""
