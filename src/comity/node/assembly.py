"""How the services of a node hang together, whatever adapters they stand on.

``build`` brings sockets and files, simulations bring networks in memory; the wiring is this one. It holds no
logic.
"""

from __future__ import annotations

from comity.identity.keys import PublicKey
from comity.node.evidence import assemble_evidence
from comity.node.parts import Ground, Node
from comity.policy.operation import Standing
from comity.protocol.candidates import Surroundings
from comity.protocol.hello import ECHO_PORT
from comity.protocol.observing import choose_observers
from comity.protocol.statements import Reachability
from comity.services.about import AboutService
from comity.services.audit import AuditService
from comity.services.charter.ground import charter_ground
from comity.services.charter.service import CharterService
from comity.services.courier import Courier
from comity.services.directory import DirectoryService
from comity.services.echo import echo
from comity.services.events import EventsService
from comity.services.events import Surroundings as EventsSurroundings
from comity.services.exchange import ExchangeService
from comity.services.exchange import Surroundings as ExchangeSurroundings
from comity.services.forwarding import ForwardingService
from comity.services.forwarding import Surroundings as ForwardingSurroundings
from comity.services.gate import GuardedGate
from comity.services.notary import Notary
from comity.services.presence import Presence
from comity.services.sealing import SealingCertificate
from comity.services.session import Herald, PunchDesk, SessionService
from comity.services.settled import Settled
from comity.services.trust import TrustService
from comity.services.trust.delivery import Delivery
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import PeerBook
from comity.storage.events import EventStore
from comity.storage.exchange import ExchangeStore
from comity.storage.forwarding import ExposureStore
from comity.storage.sealing import SealingKeyStore
from comity.storage.sendqueue import SendQueue
from comity.storage.trust import TrustStore
from comity.transport.rendezvous_keeper import FINAL


def assemble(ground: Ground) -> Node:
    """Wire a node; nothing is opened, nothing runs yet."""
    identity, clock, entropy, db, join = ground.identity, ground.clock, ground.entropy, ground.db, ground.join
    own = identity.public
    store = TrustStore(db, f"{join.named}/{join.network}")
    notary = Notary(identity, join.named, join.network, store, clock, entropy)
    audit = AuditService(db, ground.audit_key, clock, entropy)
    sealing = SealingKeyStore(db)
    settled = Settled(db, audit)
    certificate = SealingCertificate(sealing, notary, settled, clock)
    presence = Presence(FINAL)
    rendezvous = ground.rendezvous(presence, notary, certificate)
    courier = Courier(rendezvous, notary, store, sealing, audit, clock, entropy)
    book = PeerBook(store, rendezvous, courier, own, clock)

    def standing(peer: PublicKey) -> Standing | None:
        return trust.standing(peer)

    under = charter_ground(db, own, clock, lambda *met: charters.suspensions.met(*met), book.former)
    guard = ground.guard(standing, audit, clock, under.governance)
    gate = GuardedGate(lambda peer: book.known(peer) is not None, guard, clock)

    def surroundings() -> Surroundings:
        return ground.surroundings(network.candidates())

    def observers() -> tuple[str, ...]:
        link = rendezvous.link
        return choose_observers(
            presence.observers, link.remote if link and not link.via else "", surroundings()
        )

    punches = PunchDesk(notary, lambda: sessions, surroundings, observers, clock)
    network = ground.network(rendezvous, gate, punches)
    herald = Herald(network, notary, courier, surroundings, clock)
    sessions = SessionService(
        network=network,
        herald=herald,
        punches=punches,
        guard=guard,
        audit=audit,
        own=own,
        clock=clock,
        entropy=entropy,
    )
    ledger = Ledger(
        db=db,
        store=store,
        notary=notary,
        peers=book,
        sessions=sessions,
        guard=guard,
        audit=audit,
        clock=clock,
        entropy=entropy,
        claims=ground.claims,
        own_address=presence.own_address,
    )
    delivery = Delivery(store, courier, sessions)
    trust = TrustService(ledger, book, delivery, courier, sessions, rendezvous, ground.predecessor)
    trust.impersonated = under.governance.impersonated
    charters = CharterService(
        ledger=ledger,
        peers=book,
        trust=trust,
        delivery=delivery,
        sessions=sessions,
        ground=under,
        guard=guard,
    )
    exchange = ExchangeService(
        ExchangeSurroundings(
            network=network,
            trust=trust,
            guard=guard,
            audit=audit,
            notary=notary,
            db=db,
            store=ExchangeStore(db),
            queue=SendQueue(db),
            sessions=sessions,
            blobs=ground.blobs,
            clock=clock,
            entropy=entropy,
            rules=ground.exchange,
        )
    )
    events = EventsService(
        EventsSurroundings(
            own=own,
            network=network,
            trust=trust,
            sessions=sessions,
            guard=guard,
            audit=audit,
            db=db,
            store=EventStore(db),
            clock=clock,
            entropy=entropy,
        )
    )
    evidence = assemble_evidence(
        own=own,
        claims=ground.claims,
        network=network,
        trust=trust,
        charters=charters,
        sessions=sessions,
        guard=guard,
        audit=audit,
        db=db,
        certificate=ground.log_certificate(notary),
        chosen=ground.witnesses,
        clock=clock,
    )
    forwarding = ForwardingService(
        ForwardingSurroundings(
            network=network,
            trust=trust,
            guard=guard,
            audit=audit,
            db=db,
            store=ExposureStore(db),
            clock=clock,
            entropy=entropy,
        )
    )
    directory = DirectoryService(
        network=network,
        rendezvous=rendezvous,
        trust=trust,
        book=book,
        sessions=sessions,
        guard=guard,
        config=ground.config,
        shown=ground.shown,
        settled=settled,
        own=own,
        clock=clock,
    )
    about = AboutService(
        ground.facts,
        presence=presence,
        rendezvous_link=lambda: rendezvous.link,
        network=network,
        trust=trust,
        sessions=sessions,
        directory=directory,
        clock=clock,
    )

    async def renew() -> None:
        if certificate.stale:
            directory.republish()

    courier.on(Reachability, sessions.reachable)
    network.serve(ECHO_PORT, echo)
    presence.connect(
        mail=courier.opened,
        offer=network.relay_offered,
        retired=trust.retiring.told,
        registered=[sessions.registered],
        again=[trust.registered, renew],
    )
    return Node(
        presence=presence,
        rendezvous=rendezvous,
        network=network,
        notary=notary,
        audit=audit,
        evidence=evidence,
        guard=guard,
        settled=settled,
        sessions=sessions,
        trust=trust,
        charters=charters,
        exchange=exchange,
        events=events,
        forwarding=forwarding,
        directory=directory,
        about=about,
    )
