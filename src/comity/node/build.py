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
from comity.identity.card import Card, JoinUrl
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.node.assembly import assemble
from comity.node.config import Settings, read_passphrase
from comity.node.doctor import make_doctor
from comity.node.parts import Ground, Node
from comity.node.surroundings import look_around
from comity.protocol.statements import Predecessor
from comity.protocol.succession import Lineage, open_rotation
from comity.protocol.wire import decode
from comity.services.about import NodeFacts
from comity.services.doctor import DoctorService
from comity.services.logkey import certify, origin_of
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
from comity.transport.interface import Gate, PunchPost, Rendezvous, RendezvousListener
from comity.transport.peers import PeerNetwork
from comity.transport.rendezvous import RendezvousClient
from comity.transport.tls import Credentials
from comity.transport.way import Way

_INSTANCE_BYTES = 16


@dataclass(frozen=True)
class Built:
    """A node on its files and sockets. ``way`` is to be closed after the node, and ``db`` last."""

    node: Node
    doctor: DoctorService
    way: Way
    db: Database


def build(home: Home, settings: Settings) -> Built:
    """A node that is not yet started.

    Raises WrongPassphrase, NewerDatabase, HomeUnsafe, StorageUnusable, DiskFull, InvalidInput.
    """
    identity = FileKeyStore(home.identity_key).load(read_passphrase(settings.passphrase_file))
    marker = f"{identity.public.fingerprint}\n".encode("ascii")
    if not home.fingerprint.exists() or read_private(home.fingerprint, limits.KEY_FILE_BYTES) != marker:
        write_private(home.fingerprint, marker, replace=True)  # a rotation that was killed at its end
    settings = replace(settings, join=_followed(home, settings.join))
    db = open_node_database(home.database)
    try:
        clock, entropy = SystemClock(ClockMark(db).floor()), SystemEntropy()
        credentials = Credentials(identity, clock)
        instance = entropy.token(_INSTANCE_BYTES).hex()
        audit_key = load_audit_key(home.log_key, identity.public, origin_of(home.log_certificate))
        predecessor = _predecessor(home, settings, identity.public, clock.now())
        way = Way(settings.join.host, settings.join.port, settings.outlet)

        def rendezvous(
            listener: RendezvousListener, notary: Notary, sealing_key: Callable[[], Envelope]
        ) -> RendezvousClient:
            return RendezvousClient(
                settings.join,
                credentials,
                listener,
                sealing_key=sealing_key,
                register=notary.registration,
                hostname=settings.hostname,
                public=settings.public,
                tags=settings.tags,
                clock=clock,
                entropy=entropy,
                instance=instance,
                predecessor=predecessor,
                way=way,
                followed=lambda lineage: write_private(home.lineage, lineage.to_json(), replace=True),
            )

        networks: list[PeerNetwork] = []

        def network(rendezvous: Rendezvous, gate: Gate, punches: PunchPost) -> PeerNetwork:
            listen = settings.listen or None
            made = PeerNetwork(
                credentials,
                rendezvous,
                gate,
                clock,
                entropy,
                instance,
                listen,
                punches=punches if settings.punch else None,
                way=way,
            )
            networks.append(made)
            return made

        node = assemble(
            Ground(
                identity=identity,
                join=settings.join,
                predecessor=predecessor,
                claims=Claims(settings.hostname, settings.organization, settings.contact),
                facts=NodeFacts(
                    home=str(home.path),
                    pid=os.getpid(),
                    started=clock.monotonic(),
                    card=Card(settings.hostname, settings.join.authority, identity.public.fingerprint),
                    join=settings.join,
                    listen=settings.listen,
                    organization=settings.organization,
                    contact=settings.contact,
                ),
                shown=control.VisibilityResult(settings.hostname, settings.public, settings.tags),
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
                    settings.join, listening=listening, allowed=settings.private_networks
                ),
            )
        )
    except BaseException:
        db.close()
        raise
    return Built(node, make_doctor(node, networks[0], settings, clock), way, db)


def _predecessor(home: Home, settings: Settings, own: PublicKey, now: float) -> Predecessor | None:
    """The key before this one and its word, while that counts; None where there is no such thing."""
    if not home.rotation.exists():
        return None
    try:
        kept = read_private(home.rotation, limits.SUCCESSION_FILE_BYTES)
        said = decode(kept, Predecessor, limits.SUCCESSION_FILE_BYTES)
        open_rotation(said, own, rendezvous=settings.join.named, network=settings.join.network, now=now)
    except RemoteProtocolError:
        return None  # of another key, as of a rotation that was not completed, or too old
    return said


def _followed(home: Home, join: JoinUrl) -> JoinUrl:
    """The join URL with the newest key of the rendezvous that this node has been shown."""
    if not home.lineage.exists():
        return join
    try:
        lineage = Lineage.parse(read_private(home.lineage, limits.RENDEZVOUS_LINEAGE_BYTES))
        newest = lineage.follow(join.fingerprint, join.named)
    except RemoteProtocolError:
        return join  # of another rendezvous than the URL of now
    return replace(join, fingerprint=newest, first=join.named)
