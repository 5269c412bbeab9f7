"""This node itself: ``status``, ``info``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comity import __version__, control
from comity.clock import Clock
from comity.identity.card import Card, JoinUrl
from comity.services.directory import DirectoryService
from comity.services.presence import Presence
from comity.services.session import SessionService
from comity.services.trust import TrustService
from comity.transport.interface import LinkInfo, Network


@dataclass(frozen=True)
class NodeFacts:
    """What does not change while the daemon runs. ``started`` is on the monotonic clock, ``listen`` may be
    empty.
    """

    home: str
    pid: int
    started: float
    card: Card
    join: JoinUrl
    listen: str
    organization: str
    contact: str


class AboutService:
    """``rendezvous_link`` tells how the connection to the rendezvous runs, if there is one."""

    def __init__(
        self,
        facts: NodeFacts,
        *,
        presence: Presence,
        rendezvous_link: Callable[[], LinkInfo | None],
        network: Network,
        trust: TrustService,
        sessions: SessionService,
        directory: DirectoryService,
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._presence = presence
        self._rendezvous_link = rendezvous_link
        self._network = network
        self._trust = trust
        self._sessions = sessions
        self._directory = directory
        self._clock = clock

    async def status(self) -> control.StatusResult:
        """Whether it runs and is registered, and how much it has to do."""
        facts, now = self._facts, self._clock.now()
        problem = self._presence.problem
        waiting = [rel for rel in self._trust.relationships() if rel.incoming and rel.incoming.expires > now]
        return control.StatusResult(
            running=True,
            hostname=facts.card.hostname,
            fingerprint=str(facts.card.fingerprint),
            address=self._presence.address,
            pid=facts.pid,
            card=str(facts.card),
            home=facts.home,
            version=__version__,
            rendezvous=facts.join.authority,
            rendezvous_state=self._presence.state,
            problem=str(problem) if problem else "",
            listen=facts.listen,
            uptime_seconds=round(self._clock.monotonic() - facts.started, 3),
            sessions=len(self._sessions.views()),
            trusted=len(self._trust.trusted_peers()),
            pending=len(waiting),
            owed=self._trust.owed,
        )

    async def info(self) -> control.InfoResult:
        """Who this node is, what it shows, and what was negotiated on each of its links."""
        facts, shown = self._facts, self._directory.visibility()
        link = self._rendezvous_link()
        return control.InfoResult(
            address=self._presence.address,
            hostname=facts.card.hostname,
            fingerprint=str(facts.card.fingerprint),
            card=str(facts.card),
            organization=facts.organization,
            contact=facts.contact,
            public=shown.public,
            tags=shown.tags,
            rendezvous=facts.join.authority,
            rendezvous_fingerprint=str(facts.join.fingerprint),
            network=facts.join.network,
            observed=self._presence.observed,
            candidates=self._network.candidates(),
            rendezvous_link=control.LinkView(link.remote, link.tls, link.cipher, link.group, link.via)
            if link
            else None,
            sessions=self._sessions.views(),
        )
