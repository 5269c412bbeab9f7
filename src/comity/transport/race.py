"""The race for one dial: attempts by tier, each with a head start over the next, and TLS on what connects.

``next`` hands out links that authenticated, the first first. The caller says hello on one at a time, so
that the peer never serves two streams for one dial; leaving the race ends what is still running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType

from comity.errors import ComityError, IdentityMismatch, PeerUnreachable, QuotaExceeded
from comity.identity.keys import PublicKey
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.links import Link, Links
from comity.transport.paths import Attempt
from comity.transport.tcp import remote_of
from comity.transport.tls import Credentials


class Race:
    """One dial's attempts. ``links`` learns of every link as soon as it authenticated."""

    def __init__(self, credentials: Credentials, peer: PublicKey, links: Links, bounds: Bounds) -> None:
        self._credentials = credentials
        self._peer = peer
        self._links = links
        self._bounds = bounds
        self._arrived: asyncio.Queue[Link | None] = asyncio.Queue()  # as many as there are attempts, and None
        self._failures: list[str] = []
        self._hint: str | None = None  # of a failure that no other try mends
        self._mismatch = False
        self._abandoned = False
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Race:
        return self

    def start(self, tiers: Sequence[Sequence[Attempt]]) -> None:
        """Begin; nothing where the race was abandoned before."""
        if self._abandoned:
            self._arrived.put_nowait(None)
        else:
            self._running = asyncio.create_task(self._run([tier for tier in tiers if tier]))

    async def next(self) -> Link | None:
        """The next link that authenticated; None when there will be no more."""
        return await self._arrived.get()

    def failed(self, link: Link, error: ComityError) -> None:
        """A link that ``next`` gave came to nothing."""
        self._note(link.info.path, f"{link.info.remote}: {error.message}")

    def abandon(self) -> None:
        """Stop: the peer was dropped while it was being dialled."""
        self._abandoned = True
        if self._running is not None:
            self._running.cancel()

    def error(self) -> ComityError:
        """Why there is no link: every path with its failure."""
        short = self._peer.fingerprint.short
        if self._abandoned:
            return PeerUnreachable(f"links with {short} were ended while it was being dialled")
        if not self._failures:
            return PeerUnreachable(f"no way to {short}: it has told no address, and there is no relay")
        kind = IdentityMismatch if self._mismatch else PeerUnreachable
        return kind(f"no way to {short}: {'; '.join(self._failures)}", hint=self._hint)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            if not self._running.cancelled() and (bug := self._running.exception()) is not None:
                raise bug
        while not self._arrived.empty():
            link = self._arrived.get_nowait()
            if link is not None:
                self._links.discard(link)
                link.channel.dismiss()

    async def _run(self, tiers: Sequence[Sequence[Attempt]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                running: list[asyncio.Task[bool]] = []
                head_start = 0.0
                for tier in tiers:
                    if running:
                        await _hopeless(running, head_start)
                    running += [group.create_task(self._try(attempt)) for attempt in tier]
                    punching = tier[0].path == "punched"
                    head_start = self._bounds.punch_head_start if punching else self._bounds.relay_head_start
        finally:
            self._arrived.put_nowait(None)

    async def _try(self, attempt: Attempt) -> bool:
        """Whether there is a link."""
        where = ""
        try:
            connected = await attempt.open()
            where = f"{remote_of(connected.sock)}: "
            expected = self._peer.fingerprint
            channel = await SecureChannel.connect(connected.sock, self._credentials, expected, self._bounds)
        except (ComityError, OSError) as error:
            self._mismatch = self._mismatch or isinstance(error, IdentityMismatch)
            if isinstance(error, QuotaExceeded):
                self._hint = error.hint
            self._note(attempt.path, where + str(error))
            return False
        link = Link(channel, connected.path)
        self._links.add(link)
        self._arrived.put_nowait(link)
        return True

    def _note(self, path: str, failure: str) -> None:
        self._failures.append(f"{path}: {failure}")


async def _hopeless(running: Sequence[asyncio.Task[bool]], head_start: float) -> None:
    """Return when all have failed, or when their head start is over: a link may say hello until then."""
    loop = asyncio.get_running_loop()
    end = loop.time() + head_start
    _, pending = await asyncio.wait(running, timeout=head_start)
    if not pending and any(task.result() for task in running):
        await asyncio.sleep(end - loop.time())
