"""This node itself: ``status``, ``info``."""

from __future__ import annotations

from dataclasses import dataclass

from comity import __version__, control
from comity.clock import Clock
from comity.identity.card import Card
from comity.identity.fingerprint import Fingerprint
from comity.services.directory import DirectoryService
from comity.services.membership import Membership, Memberships
from comity.services.networks import NetworkService
from comity.services.session import SessionService
from comity.services.trust import TrustService
from comity.transport.interface import Network


@dataclass(frozen=True)
class NodeFacts:
    """What does not change while the daemon runs. ``started`` is on the monotonic clock, ``listen`` may be
    empty.
    """

    home: str
    pid: int
    started: float
    fingerprint: Fingerprint
    listen: str
    organization: str
    contact: str


class AboutService:
    """What there is to say of a rendezvous is said of the first one; ``networks`` have their own lines."""

    def __init__(
        self,
        facts: NodeFacts,
        *,
        memberships: Memberships,
        networks: NetworkService,
        network: Network,
        trust: TrustService,
        sessions: SessionService,
        directory: DirectoryService,
        clock: Clock,
    ) -> None:
        self._facts = facts
        self._memberships = memberships
        self._networks = networks
        self._network = network
        self._trust = trust
        self._sessions = sessions
        self._directory = directory
        self._clock = clock

    async def status(self) -> control.StatusResult:
        """Whether it runs and is registered, and how much it has to do."""
        facts, now = self._facts, self._clock.now()
        member = self._memberships.first
        presence, problem = member.presence, member.presence.problem
        waiting = [rel for rel in self._trust.relationships() if rel.incoming and rel.incoming.expires > now]
        return control.StatusResult(
            running=True,
            hostname=member.hostname,
            fingerprint=str(facts.fingerprint),
            address=presence.address,
            pid=facts.pid,
            card=str(self._card(member)),
            home=facts.home,
            version=__version__,
            rendezvous=member.place.join.authority,
            rendezvous_state=presence.state,
            problem=str(problem) if problem else "",
            listen=facts.listen,
            uptime_seconds=round(self._clock.monotonic() - facts.started, 3),
            sessions=len(self._sessions.views()),
            trusted=len(self._trust.trusted_peers()),
            pending=len(waiting),
            owed=self._trust.owed,
            networks=self._networks.list().networks,
        )

    async def info(self) -> control.InfoResult:
        """Who this node is, what it shows, and what was negotiated on each of its links."""
        facts, shown = self._facts, self._directory.visibility()
        member = self._memberships.first
        link, join = member.rendezvous.link, member.place.join
        return control.InfoResult(
            address=member.presence.address,
            hostname=member.hostname,
            fingerprint=str(facts.fingerprint),
            card=str(self._card(member)),
            organization=facts.organization,
            contact=facts.contact,
            public=shown.public,
            tags=shown.tags,
            rendezvous=join.authority,
            rendezvous_fingerprint=str(join.fingerprint),
            network=join.network,
            observed=member.presence.observed,
            candidates=self._network.candidates(),
            rendezvous_link=control.LinkView(link.remote, link.tls, link.cipher, link.group, link.via)
            if link
            else None,
            sessions=self._sessions.views(),
            networks=self._networks.list().networks,
        )

    def _card(self, member: Membership) -> Card:
        return Card(member.hostname, member.place.join.authority, self._facts.fingerprint)
