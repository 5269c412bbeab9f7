"""``comity doctor`` while the node runs: what the network tells, what this node knows, and one judgement.

It opens no connection itself: the probes come from ``transport``. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from comity import control
from comity.clock import rfc3339
from comity.diagnosis.facts import Failure, MappingFacts, NodeFacts, PathTrial, PeerFacts, WayFacts
from comity.diagnosis.verdict import judge
from comity.errors import ComityError, UnknownPeer
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.services.membership import Memberships
from comity.services.session import SessionService
from comity.services.trust import TrustService
from comity.services.trust.peers import KnownPeer
from comity.transport.interface import Network


@dataclass(frozen=True, kw_only=True)
class Probes:
    """The network's side of it. ``mapping`` asks the observers of now; ``listener`` why this machine's own
    candidates take no connection; ``survey`` tries every path to a peer.
    """

    way: Callable[[], Awaitable[WayFacts]]
    mapping: Callable[[], Awaitable[MappingFacts | None]]
    listener: Callable[[tuple[str, ...]], Awaitable[str]]
    survey: Callable[[PublicKey], Awaitable[tuple[PathTrial, ...]]]


class DoctorService:
    """``listen`` as the node was started with. Of several networks, one that it is not in now is told of."""

    def __init__(
        self,
        probes: Probes,
        *,
        listen: str,
        memberships: Memberships,
        network: Network,
        trust: TrustService,
        sessions: SessionService,
    ) -> None:
        self._probes = probes
        self._listen = listen
        self._memberships = memberships
        self._network = network
        self._trust = trust
        self._sessions = sessions

    async def examine(self, request: control.DoctorRequest) -> control.DoctorResult:
        """Every hop, and with ``peer`` the paths to it. What fails is in the result; it raises nothing."""
        way = await self._probes.way()
        mapping = await self._probes.mapping() if way.pinned else None
        peer = await self._peer(request.peer) if request.peer else None
        return judge(await self._node(), way, mapping, peer)

    async def _node(self) -> NodeFacts:
        first, candidates = self._memberships.first, self._network.candidates()
        lacking = (each for each in self._memberships if each.presence.state != "registered")
        member = next(lacking, first)
        presence = member.presence
        return NodeFacts(
            state="running",
            hostname=member.hostname,
            address=presence.address or "",
            registration=presence.state,
            problem=_failure(presence.problem),
            listen=self._listen,
            candidates=candidates,
            unheard=await self._probes.listener(candidates) if self._listen else "",
        )

    async def _peer(self, name: str) -> PeerFacts:
        shown = printable(name)
        try:
            known = await self._trust.resolve(name)
        except ComityError as error:
            return PeerFacts(name=shown, problem=_failure(error))
        session = self._sessions.view(known.key)
        online, last_seen = await self._record(known)
        facts = PeerFacts(
            name=shown,
            hostname=known.hostname,
            online=online,
            last_seen=last_seen,
            session=session.path if session else "",
        )
        if online is False and not session:
            return facts
        trials = await self._probes.survey(known.key)
        return PeerFacts(
            name=shown,
            hostname=known.hostname,
            online=online,
            last_seen=last_seen,
            session=facts.session,
            trials=trials,
        )

    async def _record(self, known: KnownPeer) -> tuple[bool | None, str]:
        """Whether the rendezvous sees it, and when it last did."""
        try:
            record = await self._memberships.of(known.key).rendezvous.resolve(key=known.key)
        except UnknownPeer:
            return False, ""
        except ComityError:
            return None, ""
        return record.online, rfc3339(record.last_seen)


def _failure(error: Exception | None) -> Failure | None:
    if error is None:
        return None
    if isinstance(error, ComityError):
        return Failure(error.code, printable(error.message), printable(error.hint))
    return Failure("", printable(str(error)))
