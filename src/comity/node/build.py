"""The one place that picks concrete adapters: files, sockets, the system's clock and randomness.

It opens the home's files and hands everything to ``assembly``, which wires it; it holds no logic. Who calls
it has checked the home and holds its lease.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from comity import control, limits
from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.errors import RemoteProtocolError
from comity.identity.card import JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.place import Place
from comity.node.admission import realm_of
from comity.node.assembly import assemble
from comity.node.config import Settings, read_passphrase
from comity.node.doctor import make_doctor
from comity.node.parts import Ground, Node
from comity.node.surroundings import look_around
from comity.protocol.realm import Realm
from comity.protocol.statements import Predecessor
from comity.protocol.succession import Lineage, open_rotation
from comity.protocol.wire import decode
from comity.services.about import NodeFacts
from comity.services.doctor import DoctorService
from comity.services.logkey import certify, origin_of
from comity.services.membership import Memberships
from comity.services.notary import Notary
from comity.services.trust.ledger import Claims
from comity.storage.blobs import FileBlobStore
from comity.storage.clockmark import ClockMark
from comity.storage.database import Database
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.logkey import load_audit_key
from comity.storage.private import read_private, write_private
from comity.storage.schema import open_node_database
from comity.transport.interface import Gate, PunchPost, RendezvousListener
from comity.transport.peers import PeerNetwork
from comity.transport.rendezvous import RendezvousClient
from comity.transport.tls import Credentials
from comity.transport.way import Way

_INSTANCE_BYTES = 16


@dataclass(frozen=True)
class Built:
    """A node on its files and sockets. ``ways`` are to be closed after the node, and ``db`` last."""

    node: Node
    doctor: DoctorService
    ways: dict[Realm, Way]
    db: Database

    def close_ways(self) -> None:
        """Let go of what the ways to the rendezvous hold."""
        for way in self.ways.values():
            way.close()


def build(home: Home, settings: Settings) -> Built:
    """A node that is not yet started.

    Raises WrongPassphrase, NewerDatabase, HomeUnsafe, StorageUnusable, DiskFull, InvalidInput.
    """
    identity = FileKeyStore(home.identity_key).load(read_passphrase(settings.passphrase_file))
    marker = f"{identity.public.fingerprint}\n".encode("ascii")
    if not home.fingerprint.exists() or read_private(home.fingerprint, limits.KEY_FILE_BYTES) != marker:
        write_private(home.fingerprint, marker, replace=True)  # a rotation that was killed at its end
    places = [replace(place, join=_followed(home, place.join)) for place in settings.places]
    settings = replace(settings, places=tuple(places))
    db = open_node_database(home.database)
    try:
        clock, entropy = SystemClock(ClockMark(db).floor()), SystemEntropy()
        credentials = Credentials(identity, clock)
        instance = entropy.token(_INSTANCE_BYTES).hex()
        audit_key = load_audit_key(home.log_key, identity.public, origin_of(home.log_certificate))
        ways: dict[Realm, Way] = {}
        shown = control.VisibilityResult(settings.hostname, settings.public, settings.tags)

        def rendezvous(
            place: Place,
            hostname: str,
            listener: RendezvousListener,
            notary: Notary,
            sealing_key: Callable[[], Envelope],
        ) -> RendezvousClient:
            join = place.join
            if realm_of(place) in ways:  # it was left, and is joined again
                ways[realm_of(place)].close()
            way = ways[realm_of(place)] = Way(join.host, join.port, settings.outlet(join))
            kept = home.lineage if place == settings.places[0] else home.lineage_of(str(join.named))
            return RendezvousClient(
                join,
                credentials,
                listener,
                sealing_key=sealing_key,
                register=notary.registration,
                hostname=hostname,
                public=settings.public,
                tags=settings.tags,
                clock=clock,
                entropy=entropy,
                instance=instance,
                predecessor=predecessor(place),
                way=way,
                followed=lambda lineage: write_private(kept, lineage.to_json(), replace=True),
            )

        def predecessor(place: Place) -> Predecessor | None:
            return _predecessor(home, place, identity.public, clock.now())

        networks: list[PeerNetwork] = []

        def network(memberships: Memberships, gate: Gate, punches: PunchPost) -> PeerNetwork:
            listen = settings.listen or None
            made = PeerNetwork(
                credentials,
                memberships,
                gate,
                clock,
                entropy,
                instance,
                listen,
                punches=punches if settings.punch else None,
                way=lambda peer: ways[memberships.of(peer).realm],
            )
            networks.append(made)
            return made

        node = assemble(
            Ground(
                identity=identity,
                places=settings.places,
                predecessor=predecessor,
                claims=Claims(settings.hostname, settings.organization, settings.contact),
                facts=NodeFacts(
                    home=str(home.path),
                    pid=os.getpid(),
                    started=clock.monotonic(),
                    fingerprint=identity.public.fingerprint,
                    listen=settings.listen,
                    organization=settings.organization,
                    contact=settings.contact,
                ),
                shown=shown,
                clock=clock,
                entropy=entropy,
                db=db,
                audit_key=audit_key,
                log_certificate=lambda notary: certify(
                    home.log_certificate, audit_key, notary, clock, entropy
                ),
                witnesses=settings.witnesses,
                blobs=FileBlobStore(home.incoming, home.received),
                exchange=settings.exchange,
                config=home,
                rendezvous=rendezvous,
                network=network,
                surroundings=lambda listening: look_around(
                    [place.join for place in settings.places],
                    listening=listening,
                    allowed=settings.private_networks,
                ),
            )
        )
    except BaseException:
        db.close()
        raise
    return Built(node, make_doctor(node, networks[0], settings, clock), ways, db)


def _predecessor(home: Home, place: Place, own: PublicKey, now: float) -> Predecessor | None:
    """The key before this one and its word, while that counts there; None where there is no such thing."""
    realm = realm_of(place)
    for file in home.rotations:
        try:
            kept = read_private(file, limits.SUCCESSION_FILE_BYTES)
            said = decode(kept, Predecessor, limits.SUCCESSION_FILE_BYTES)
            open_rotation(said, own, rendezvous=realm.rendezvous, network=realm.network, now=now)
        except RemoteProtocolError:
            continue  # too old, of another key (a rotation that was not completed), or for another network
        return said
    return None


def _followed(home: Home, join: JoinUrl) -> JoinUrl:
    """The join URL with the newest key of the rendezvous that this node has been shown."""
    for file in (home.lineage_of(str(join.named)), home.lineage):
        if not file.exists():
            continue
        try:
            lineage = Lineage.parse(read_private(file, limits.RENDEZVOUS_LINEAGE_BYTES))
            newest = lineage.follow(join.fingerprint, join.named)
        except RemoteProtocolError:
            continue  # of another rendezvous than the URL of now
        join = replace(join, fingerprint=newest, first=join.named)
    return join
