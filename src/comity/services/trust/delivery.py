"""The outbox: statements owed to peers, handed over by session where one stands, else left in the mailbox.

A statement is owed from the transaction that signed it until a peer took it over a session or the rendezvous
has committed it, so that kill -9 loses none; per peer, order is kept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from comity import control, limits
from comity.errors import ComityError, RendezvousUnreachable, TimedOut
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.storage.trust import OutboxItem, TrustStore


class Sessions(Protocol):
    """What trust needs of the standing sessions (``services.session``)."""

    def peer_trusted(self, peer: PublicKey) -> None:
        """Keep a session with this peer from now on."""

    def peer_ended(self, peer: PublicKey) -> int:
        """End the session and every other link with this peer at once; how many there were."""

    def cut(self, peer: PublicKey) -> int:
        """End every link with this peer but the session's at once; how many there were."""

    def view(self, peer: PublicKey) -> control.SessionView | None:
        """The standing session, if there is one."""

    async def tell(self, peer: PublicKey, envelope: Envelope) -> bool:
        """Hand a statement over the session; whether the peer took it."""

    async def wait_up(self, peer: PublicKey, timeout: float) -> bool:
        """Whether a session stands within ``timeout`` seconds."""


class Post(Protocol):
    """Where mail goes out (``services.membership``)."""

    async def send(
        self,
        peer: PublicKey,
        envelope: Envelope,
        *,
        keep: bool,
        message_id: bytes | None = None,
        realm: str | None = None,
    ) -> bool:
        """Post a statement in a realm; whether the peer is online."""


@dataclass(frozen=True)
class Flushed:
    """``problem`` is the first one met, None when nothing is left. ``reached``: something was handed over,
    and none of it only to a mailbox whose owner is away.
    """

    problem: ComityError | None
    reached: bool


class Delivery:
    """Empties the outbox whenever it is told to."""

    def __init__(self, store: TrustStore, post: Post, sessions: Sessions) -> None:
        self._store = store
        self._post = post
        self._sessions = sessions
        self._busy: dict[PublicKey, asyncio.Lock] = {}

    async def flush(self, only: PublicKey | None = None, realm: str | None = None) -> Flushed:
        """Try all that is owed, or what is owed to one peer, or in one realm."""
        problem: ComityError | None = None
        online: list[bool] = []
        owed = {
            item.peer: item.realm
            for item in reversed(self._store.outbox())
            if only in (None, item.peer) and realm in (None, item.realm)
        }
        down: set[str] = set()
        for peer, where in reversed(owed.items()):
            if where in down:
                continue
            failure = await self._empty(peer, online)
            problem = problem or failure
            if isinstance(failure, RendezvousUnreachable | TimedOut):
                down.add(where)
        return Flushed(problem, problem is None and bool(online) and all(online))

    async def _empty(self, peer: PublicKey, online: list[bool]) -> ComityError | None:
        """Hand over what is owed to one peer, in order; why not, where it stops."""
        # A lock for each, so that no peer's slowness is another's.
        async with self._busy.setdefault(peer, asyncio.Lock()):
            for item in self._store.outbox():
                if item.peer != peer:
                    continue
                try:
                    async with asyncio.timeout(limits.HANDSHAKE_TIMEOUT):
                        envelope = Envelope.from_json(item.envelope)
                        online.append(await self._hand_over(item, envelope))
                except TimeoutError:
                    return RendezvousUnreachable("the rendezvous did not answer in time")
                except ComityError as error:
                    return error
                self._store.delivered(item)
        return None

    async def _hand_over(self, item: OutboxItem, envelope: Envelope) -> bool:
        """Whether the peer was there to take it."""
        if await self._sessions.tell(item.peer, envelope):
            return True
        return await self._post.send(
            item.peer, envelope, keep=True, message_id=item.message_id, realm=item.realm
        )
