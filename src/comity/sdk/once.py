"""``once``: a whole visit for clusters where no process may outlive a job: come up, drain mailbox and queue,
go down.

It stops when nothing has been under way for ``quiet`` seconds: no transfer moves, nothing more is owed to
anybody, and nothing new arrived. What waits for a partner who is away waits for the next visit.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comity import limits
from comity.control import ReceivedRequest, StatusResult, Transfer
from comity.control.unattended import OnceResult
from comity.errors import InvalidInput, RendezvousUnreachable
from comity.sdk import daemon, exchange, node
from comity.sdk.client import Client

_POLL_SECONDS = 0.5
#: States of a transfer in which bytes may come yet.
_UNFINISHED = frozenset({"running", "interrupted", "queued"})


@dataclass(frozen=True)
class Scene:
    """What can be seen of a node at one moment."""

    status: StatusResult
    transfers: tuple[Transfer, ...]
    arrivals: int

    @property
    def unfinished(self) -> int:
        return sum(each.state in _UNFINISHED for each in self.transfers)

    @property
    def busy(self) -> bool:
        """Whether something moves: a transfer that runs, or mail that is being read or written."""
        return any(each.state == "running" for each in self.transfers)

    @property
    def trace(self) -> tuple[object, ...]:
        """Changes whenever something happened."""
        done = tuple((each.transfer, each.state, each.bytes_done) for each in self.transfers)
        states = tuple(each.state for each in self.status.networks)
        told = (*states, self.status.sessions, self.status.pending, self.status.owed)
        return (*told, self.arrivals, done)


def once(
    home: Path | None = None,
    *,
    timeout: float = limits.ONCE_SECONDS,
    quiet: float = limits.ONCE_QUIET_SECONDS,
    passphrase_file: Path | None = None,
    seen: Callable[[Scene], None] = lambda _: None,
) -> OnceResult:
    """Run the node for one visit of at most ``timeout`` seconds; ``seen`` is told what it does.

    Raises AlreadyRunning, RendezvousUnreachable where it never got registered, and what ``daemon.start``
    raises. The node is down again whichever way this ends.
    """
    if not 0 < quiet <= timeout:
        raise InvalidInput("--quiet is more than 0, and no longer than --timeout")
    began = time.monotonic()
    ready = daemon.start(home, passphrase_file=passphrase_file)
    try:
        client = Client(home)
        first = _look(client)
        last, complete = _until_quiet(client, first, began + timeout, quiet, seen)
        if last.status.rendezvous_state != "registered" and first.status.rendezvous_state != "registered":
            raise ready.warning or RendezvousUnreachable(
                last.status.problem or "the rendezvous did not answer", hint="run comity doctor"
            )
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            daemon.stop(home)
    return OnceResult(
        hostname=last.status.hostname,
        address=last.status.address,
        seconds=round(time.monotonic() - began, 1),
        received=last.arrivals - first.arrivals,
        sent=_sent(last) - _sent(first),
        pending=last.status.pending,
        left=last.unfinished,
        owed=last.status.owed,
        complete=complete,
    )


def _until_quiet(
    client: Client, first: Scene, deadline: float, quiet: float, seen: Callable[[Scene], None]
) -> tuple[Scene, bool]:
    scene, changed = first, time.monotonic()
    while True:
        now = time.monotonic()
        if not scene.busy and now - changed >= quiet:
            return scene, scene.unfinished == 0 and scene.status.owed == 0
        if now >= deadline:
            return scene, False
        time.sleep(_POLL_SECONDS)
        before, scene = scene, _look(client)
        if scene.trace != before.trace:
            changed = time.monotonic()
            seen(scene)


def _look(client: Client) -> Scene:
    return Scene(
        node.status(client),
        exchange.transfers(client).transfers,
        exchange.received(client, ReceivedRequest()).arrivals,
    )


def _sent(scene: Scene) -> int:
    return sum(each.direction == "out" and each.state == "done" for each in scene.transfers)
