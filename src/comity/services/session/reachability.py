"""Where peers can be dialled: telling them our candidates, and learning theirs (SECURITY.md rule 9).

Every Reachability statement is signed and fresh, comes from an approved peer, and is filtered before the
network hears of it. Their numbers are counted and checked apart from those of the statements about trust:
reachability may travel by session while an older approval is still on its way by mail, must not make that one
look replayed, and may be lost without a gap.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError, RateLimited, RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.policy.allowance import Allowance
from comity.protocol.candidates import Surroundings, filter_candidates
from comity.protocol.statements import Reachability, open_statement, payload_type
from comity.services.notary import Notary
from comity.transport.interface import Network

log = logging.getLogger("comity.session")

REACHABILITY = payload_type(Reachability)


class Post(Protocol):
    """What it needs of ``services.courier``."""

    async def send(self, peer: PublicKey, envelope: Envelope, *, keep: bool) -> bool:
        """Post a statement; whether the peer is online."""


@dataclass(frozen=True)
class News:
    """``changed``: the peer gave addresses to dial that it had not given before; ``answer``: it asks for
    ours.
    """

    changed: bool
    answer: bool


class Herald:
    """``surroundings`` is asked anew each time: machines move."""

    def __init__(
        self,
        network: Network,
        notary: Notary,
        post: Post,
        surroundings: Callable[[], Surroundings],
        clock: Clock,
    ) -> None:
        self._network = network
        self._notary = notary
        self._post = post
        self._surroundings = surroundings
        self._clock = clock
        self._seen: dict[PublicKey, int] = {}
        self._places: dict[PublicKey, tuple[str, ...]] = {}
        self._allowances: dict[PublicKey, Allowance] = {}

    @property
    def dialable(self) -> bool:
        """Whether this node has any address to tell."""
        return bool(self._network.candidates())

    def statement(self, peer: PublicKey, *, answer: bool) -> Envelope:
        """Where this node can be dialled now; ``answer`` asks the peer for the same."""
        candidates = self._network.candidates()[: limits.CANDIDATES]
        return self._notary.pair(
            Reachability, peer, limits.REACHABILITY_LIFETIME, candidates=candidates, answer=answer
        )

    async def try_send(self, peer: PublicKey, *, answer: bool) -> None:
        """Tell a peer through the rendezvous, if both are there now; else it hears of us by a dial."""
        try:
            async with asyncio.timeout(limits.HANDSHAKE_TIMEOUT):
                await self._post.send(peer, self.statement(peer, answer=answer), keep=False)
        except RateLimited:
            await asyncio.sleep(limits.RECONNECT_FIRST)
        except (TimeoutError, ComityError) as error:
            log.debug("peer not told", extra={"fields": {"peer": peer.fingerprint.short, "why": error}})

    async def announce(self, peers: Sequence[PublicKey]) -> None:
        """``try_send`` to each of these, a few at a time."""
        waiting = iter(peers)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(limits.SESSION_SIGNALS, len(peers))):
                tasks.create_task(self._announce(waiting))

    def learn(self, sender: PublicKey, envelope: Envelope) -> News:
        """Take a statement of an approved peer; RemoteProtocolError where it is not one, or not new."""
        realm = self._notary.realm_of(sender)
        statement = open_statement(
            envelope,
            Reachability,
            issuer=sender,
            rendezvous=realm.rendezvous,
            network=realm.network,
            now=self._clock.now(),
        )
        if statement.subject != self._notary.public.hex:
            raise RemoteProtocolError("reachability is addressed to another key")
        if statement.sequence <= self._seen.get(sender, 0):
            raise RemoteProtocolError("reachability came after a newer one")
        self._seen[sender] = statement.sequence
        if not self._allowed(sender):
            raise RemoteProtocolError("reachability comes too often")
        filtered = filter_candidates(statement.candidates, self._surroundings())
        for refused in filtered.refused:
            shown = printable(refused.text, 80)
            about = {"peer": sender.fingerprint.short, "candidate": shown, "reason": refused.reason}
            log.info("candidate refused", extra={"fields": about})
        # Not beyond its usual life, whatever it claims.
        expires = min(statement.expires, self._clock.now() + limits.REACHABILITY_LIFETIME)
        self._network.learn(sender, filtered.accepted, expires)
        changed = not set(filtered.accepted) <= set(self._places.get(sender, ()))
        self._places[sender] = filtered.accepted
        return News(changed=changed, answer=statement.answer)

    def forget(self, peer: PublicKey) -> None:
        """The agreement is over: nothing of where the peer was is kept."""
        self._places.pop(peer, None)
        self._allowances.pop(peer, None)
        self._network.learn(peer, (), 0.0)

    def _allowed(self, sender: PublicKey) -> bool:
        """Each new statement may make this node dial eight addresses."""
        now = self._clock.monotonic()
        fresh = Allowance(limits.REACHABILITY_BURST, limits.REACHABILITY_PER_SECOND, now)
        return self._allowances.setdefault(sender, fresh).take(now)

    async def _announce(self, peers: Iterator[PublicKey]) -> None:
        for peer in peers:
            await self.try_send(peer, answer=True)
