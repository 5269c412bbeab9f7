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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from comity import control, limits
from comity.errors import TimedOut
from comity.sdk import asks, daemon, events, exchange
from comity.sdk.arrivals import Arrivals
from comity.sdk.client import Client
from comity.sdk.publishing import Publisher

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


class Node:
    """A running node. Threads may share one; ``connect`` makes it."""

    def __init__(self, client: Client) -> None:
        #: For the operations that have no method here: ``comity.sdk.audit.log(node.client, …)``.
        self.client = client

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is kept open between calls; the daemon goes on."""

    # ── identity ──────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> control.StatusResult:
        """How the daemon stands: name, address, fingerprint, card, whether it is registered."""
        return self.client.ask(asks.status())

    def info(self) -> control.InfoResult:
        """Claims, candidates and sessions, with what was negotiated on each link."""
        return self.client.ask(asks.info())

    def set_tags(self, *tags: str) -> control.VisibilityResult:
        """Replace the tags by which others find this node while it is public. InvalidInput."""
        return self.client.ask(asks.set_tags(control.SetTagsRequest(tags)))

    def set_visibility(self, *, public: bool) -> control.VisibilityResult:
        """List this node for others of its network, or stop that."""
        return self.client.ask(asks.set_visibility(control.SetVisibilityRequest(public)))

    # ── trust ─────────────────────────────────────────────────────────────────────────────────────────

    def find(self, name: str) -> control.FindResult:
        """What the rendezvous and this node know of one name. UnknownPeer, RateLimited."""
        return self.client.ask(asks.find(control.FindRequest(name)))

    def peers(self, tag: str | None = None) -> tuple[control.PeerView, ...]:
        """Peers with an agreement, and the network's public nodes; ``tag``: only those that bear it."""
        return self.client.ask(asks.peers(control.PeersRequest(tag))).peers

    def ping(self, peer: str, *, count: int = 3, timeout: float = 10.0) -> control.PingResult:
        """Round trips to a trusted peer, within ``timeout`` seconds. UntrustedPeer, PeerUnreachable."""
        return self.client.ask(asks.ping(control.PingRequest(peer, count, timeout)))

    def handshake(
        self,
        peer: str,
        justification: str,
        *,
        requested_by: str = "",
        lifetime: int | None = None,
        fingerprint: str | None = None,
        wait: float = 0.0,
    ) -> control.HandshakeResult:
        """Ask a peer for an agreement, and say why. A card as ``peer`` pins its key, as ``fingerprint`` does.

        ``lifetime``: the agreement's, in seconds. ``wait``: seconds for the peer's answer; then TimedOut,
        HandshakeRejected. UnknownPeer, IdentityMismatch, RendezvousUnreachable.
        """
        return self.client.ask(
            asks.handshake(
                control.HandshakeRequest(peer, justification, requested_by, lifetime, fingerprint, wait)
            )
        )

    def pending(self) -> tuple[control.PendingRequest, ...]:
        """The requests that wait for this side's answer."""
        return self.client.ask(asks.pending()).pending

    def approve(
        self,
        peer: str,
        *,
        allow: Sequence[str] | None = None,
        digest: str | None = None,
        fingerprint: str | None = None,
        wait: float = 5.0,
    ) -> control.ApproveResult:
        """Answer a request with yes: the one with ``digest``, else as ``pending`` showed it last.

        ``allow``: the services that the agreement opens (``exchange``, ``events``), all if not given.
        ``fingerprint``: the key that it has to be. ``wait``: seconds for the tunnel. NothingPending,
        RequestChanged, IdentityMismatch.
        """
        services = None if allow is None else tuple(allow)
        return self.client.ask(
            asks.approve(control.ApproveRequest(peer, services, digest, fingerprint, wait))
        )

    def reject(self, peer: str, reason: str) -> control.RejectResult:
        """Answer a request with no; the asker is shown the reason. NothingPending."""
        return self.client.ask(asks.reject(control.RejectRequest(peer, reason)))

    def confirm(self, peer: str, fingerprint: str) -> control.ConfirmResult:
        """Record a fingerprint that was compared out of band. IdentityMismatch where the key is another."""
        return self.client.ask(asks.confirm(control.ConfirmRequest(peer, fingerprint)))

    def revoke(self, peer: str, reason: str = "", *, wait: float = 2.0) -> control.RevokeResult:
        """End an agreement, at once here; the peer is told within ``wait`` seconds or later. UnknownPeer."""
        return self.client.ask(asks.revoke(control.RevokeRequest(peer, reason, wait)))

    def trusted(self) -> tuple[control.TrustedPeer, ...]:
        """The peers with an agreement in force."""
        return self.agreements().trusted

    def agreements(self) -> control.TrustResult:
        """Every agreement, in force and ended, and this side's open requests."""
        return self.client.ask(asks.agreements())

    def export_agreement(self, peer: str) -> control.AgreementFile:
        """The signed statements of an agreement, for an auditor. AgreementInvalid where there is none."""
        return self.client.ask(asks.export(control.ExportRequest(peer)))

    # ── artifacts ─────────────────────────────────────────────────────────────────────────────────────

    def send(self, peer: str, path: Path_, *, progress: Progress | None = None) -> control.SendResult:
        """Send a file, whole and verified, and return once the peer's signed receipt is here.

        ``progress`` is called in this thread, several times a second. FileUnusable, NameRefused, FileChanged,
        TooLarge, UntrustedPeer, Denied, PeerUnreachable, PeerRefused, DiskFull, TransferFailed,
        VerificationFailed.
        """
        return exchange.send_file(self.client, peer, path, progress or unwatched)

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


def subscription_request(
    topic: str, peer: str | None, consumer: str | None, since: str | None
) -> control.SubscribeRequest:
    """What subscribing means where no consumer is named: one per topic, apart from the command line's."""
    return control.SubscribeRequest(topic, consumer or f"python:{topic}", peer, since)


def unwatched(progress: control.Progress) -> None:
    """Nobody wants to know."""
