"""How one more network is wired to a node: its client, its mailbox, and what happens when either has news.

Called for each network of the configuration, and again for one that is joined while the node runs. It holds
no logic; nothing is connected yet when it returns.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.errors import RemoteProtocolError
from comity.identity.keys import PublicKey
from comity.identity.place import Place
from comity.node.parts import Ground, RunningNetwork
from comity.protocol.realm import Realm
from comity.protocol.registry import RelayOffer
from comity.services.audit import AuditService
from comity.services.courier import Courier
from comity.services.directory import DirectoryService
from comity.services.gate import GuardedGate
from comity.services.membership import Membership
from comity.services.notary import Notary
from comity.services.presence import Presence
from comity.services.reserving import Reserving
from comity.services.sealing import SealingCertificate
from comity.services.session import SessionService
from comity.services.settled import Settled
from comity.services.trust import TrustService
from comity.services.trust.peers import PeerBook
from comity.storage.sealing import SealingKeyStore
from comity.storage.trust import TrustStore
from comity.transport.rendezvous_keeper import FINAL


def realm_of(place: Place) -> Realm:
    """Where a join URL leads: the rendezvous by its first key, as statements name it."""
    return Realm(place.join.named, place.join.network)


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What every membership of a node is made of."""

    ground: Ground
    store: TrustStore
    notary: Notary
    audit: AuditService
    settled: Settled
    book: PeerBook

    def make(self, place: Place) -> Membership:
        """A membership that is told nothing yet."""
        ground, realm = self.ground, realm_of(place)
        notary, presence = self.notary.at(realm), Presence(FINAL)
        sealing = SealingKeyStore(ground.db)
        certificate = SealingCertificate(sealing, notary, self.settled, ground.clock)
        hostname = place.hostname or ground.claims.hostname

        def elsewhere(peer: PublicKey) -> bool:
            known = self.book.known(peer)
            return known is not None and known.realm != str(realm)

        client = ground.rendezvous(place, hostname, presence, notary, certificate)
        courier = Courier(
            client, notary, self.store, sealing, self.audit, ground.clock, ground.entropy, elsewhere
        )
        return Membership(
            place=place,
            realm=realm,
            hostname=hostname,
            presence=presence,
            rendezvous=client,
            courier=courier,
            certificate=certificate,
            reserving=Reserving(self.store, client, str(realm)),
            predecessor=ground.predecessor(place),
        )


@dataclass(frozen=True, kw_only=True)
class Switchboard:
    """Who is told what a membership hears."""

    store: TrustStore
    network: RunningNetwork
    gate: GuardedGate
    trust: TrustService
    sessions: SessionService
    directory: DirectoryService

    def connect(self, member: Membership) -> None:
        """Before the membership runs."""
        realm = str(member.realm)

        def met_here(peer: PublicKey) -> bool:
            return self.store.realm_of(peer) == realm

        async def offered(offer: RelayOffer) -> None:
            """Only from those who are met here: another rendezvous could ask by this whom we work with."""
            try:
                peer = PublicKey.from_hex(offer.peer)
            except RemoteProtocolError:
                peer = None
            if peer is not None and not met_here(peer):
                where = member.rendezvous.authority
                self.gate.refused(peer, where, "relay_not_approved", "this key is not approved here")
                return
            await self.network.relay_offered(offer)

        async def retired(key: PublicKey, retirement: str) -> None:
            await self.trust.retiring.told(key, retirement, member.realm)

        async def registered() -> None:
            await self.sessions.registered(met_here)

        async def again() -> None:
            await self.trust.registered(member)

        async def renew() -> None:
            if member.certificate.stale:
                self.directory.republish(member)

        member.presence.connect(
            mail=member.courier.opened,
            offer=offered,
            retired=retired,
            registered=[registered],
            again=[again, renew],
        )
