"""``network join``, ``list``, ``leave``: taking part in one more network, or in one less, while the node
runs.

A network that takes the node in, or can't be reached yet, is written into the configuration; one that
refuses is not. Leaving ends what runs there and revokes nothing (docs: decision 17).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from comity import control, limits
from comity.errors import ComityError, InvalidInput, NameTaken, RendezvousIdentityMismatch
from comity.identity.card import Card
from comity.identity.keys import PublicKey
from comity.identity.place import Place
from comity.services.audit import AuditService
from comity.services.directory import ConfigFile
from comity.services.membership import Membership, Memberships
from comity.services.session import SessionService
from comity.services.trust import KnownPeer, TrustService
from comity.storage.places import new_place, places_of, with_place, without_place


class NetworkService:
    """``admit`` makes a membership that is ready to run; ``own`` is this node's key."""

    def __init__(
        self,
        memberships: Memberships,
        admit: Callable[[Place], Membership],
        *,
        trust: TrustService,
        sessions: SessionService,
        config: ConfigFile,
        audit: AuditService,
        own: PublicKey,
    ) -> None:
        self._memberships = memberships
        self._admit = admit
        self._trust = trust
        self._sessions = sessions
        self._config = config
        self._audit = audit
        self._own = own
        self._changing = asyncio.Lock()

    def list(self) -> control.NetworkMembershipsResult:
        """Every network, the first first."""
        trusted = Counter(known.realm for known in self._trust.trusted_peers())
        views = (self.view(member, trusted[str(member.realm)]) for member in self._memberships)
        return control.NetworkMembershipsResult(tuple(views))

    async def join(self, request: control.NetworkJoinRequest) -> control.NetworkMembership:
        """Become a member of one more; returns once it has taken this node in, or after ``wait_seconds``.

        InvalidInput, InvalidJoinUrl; and with nothing changed what it refuses with: NameTaken, NotAdmitted,
        KeyRetired, RendezvousIdentityMismatch.
        """
        if not 0 <= request.wait_seconds <= limits.HOUR:
            raise InvalidInput("a registration is waited for from 0 seconds to an hour")
        async with self._changing:
            before = self._config.read_config()
            place = new_place(places_of(before), request.join, request.name, request.hostname)
            if any(place.name == each.name for each in self._memberships):
                raise InvalidInput(
                    f"a network is called {place.name} already", hint="choose another name with --name"
                )
            member = self._admit(place)
            if self._memberships.at(member.realm) is not None:
                raise InvalidInput("this node is a member of that network", hint="run comity network list")
            self._memberships.add(member)
            try:
                refused = await _settled(member, request.wait_seconds)
                if isinstance(refused, NameTaken):
                    raise NameTaken(refused.message, hint="choose another name there with --hostname")
                if refused is not None:
                    raise refused
                self._audit.append(
                    "network.joined", hostname=member.hostname, reasons=(f"{place.name}: {member.realm}",)
                )
                self._config.write_config(with_place(before, place))
            except BaseException:
                await self._memberships.remove(member)
                raise
            partners = self._partners(member)  # of a network that was left, and joined again
            for known in partners:
                self._sessions.peer_trusted(known.key)
            return self.view(member, len(partners))

    async def leave(self, request: control.NetworkLeaveRequest) -> control.NetworkLeaveResult:
        """Be a member of one less; InvalidInput where it is the only one, or there is none of that name."""
        async with self._changing:
            member = self._memberships.named(request.name)
            config = without_place(self._config.read_config(), request.name)
            partners = self._partners(member)
            self._audit.append(
                "network.left", hostname=member.hostname, reasons=(f"{member.name}: {member.realm}",)
            )
            self._config.write_config(config)
            await self._memberships.remove(member)
            closed = sum(self._sessions.peer_ended(known.key) for known in partners)
            return control.NetworkLeaveResult(
                name=member.name,
                rendezvous=member.rendezvous.authority,
                network=member.realm.network,
                resting=len(partners),
                sessions_closed=closed,
            )

    def _partners(self, member: Membership) -> Sequence[KnownPeer]:
        realm = str(member.realm)
        return [known for known in self._trust.trusted_peers() if known.realm == realm]

    def view(self, member: Membership, trusted: int) -> control.NetworkMembership:
        """One as people see it, with so many agreements in force."""
        presence, join = member.presence, member.place.join
        problem = presence.problem
        return control.NetworkMembership(
            name=member.name,
            rendezvous=join.authority,
            network=join.network,
            rendezvous_fingerprint=str(join.fingerprint),
            hostname=member.hostname,
            card=str(Card(member.hostname, join.authority, self._own.fingerprint)),
            address=presence.address,
            state=presence.state,
            problem=str(problem) if problem else "",
            trusted=trusted,
        )


async def _settled(member: Membership, seconds: float) -> ComityError | None:
    """Wait for the registration; what it was refused with for good."""
    presence = member.presence
    try:
        async with asyncio.timeout(seconds):
            while presence.state == "connecting":
                if isinstance(presence.problem, RendezvousIdentityMismatch):
                    return presence.problem
                await presence.changed.wait()
    except TimeoutError:
        return None
    problem = presence.problem
    return problem if presence.state == "refused" and isinstance(problem, ComityError) else None
