"""How the services of a node hang together, whatever adapters they stand on.

``build`` brings sockets and files, simulations bring networks in memory; the wiring is this one. It holds no
logic.
"""

from __future__ import annotations

from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.place import Place
from comity.node.admission import Admission, Switchboard, realm_of
from comity.node.evidence import assemble_evidence
from comity.node.parts import Ground, Node
from comity.policy.operation import Standing
from comity.protocol.candidates import Surroundings
from comity.protocol.hello import ECHO_PORT
from comity.protocol.observing import choose_observers
from comity.protocol.realm import Realm
from comity.protocol.statements import Reachability
from comity.services.about import AboutService
from comity.services.audit import AuditService
from comity.services.charter.ground import charter_ground
from comity.services.charter.service import CharterService
from comity.services.directory import DirectoryService
from comity.services.echo import echo
from comity.services.events import EventsService
from comity.services.events import Surroundings as EventsSurroundings
from comity.services.exchange import ExchangeService
from comity.services.exchange import Surroundings as ExchangeSurroundings
from comity.services.forwarding import ForwardingService
from comity.services.forwarding import Surroundings as ForwardingSurroundings
from comity.services.gate import GuardedGate
from comity.services.membership import Membership, Memberships
from comity.services.networks import NetworkService
from comity.services.notary import Notary
from comity.services.session import Herald, PunchDesk, SessionService
from comity.services.settled import Settled
from comity.services.trust import TrustService
from comity.services.trust.delivery import Delivery
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import PeerBook
from comity.storage.events import EventStore
from comity.storage.exchange import ExchangeStore
from comity.storage.forwarding import ExposureStore
from comity.storage.sendqueue import SendQueue
from comity.storage.trust import TrustStore


def assemble(ground: Ground) -> Node:
    """Wire a node; nothing is opened, nothing runs yet."""
    identity, clock, entropy, db = ground.identity, ground.clock, ground.entropy, ground.db
    own, home = identity.public, realm_of(ground.places[0])
    store = TrustStore(db, str(home))
    memberships = Memberships(store)
    notary = Notary(identity, home.rendezvous, home.network, store, clock, entropy, memberships.realms)
    audit = AuditService(db, ground.audit_key, clock, entropy)
    settled = Settled(db, audit)
    book = PeerBook(store, memberships, own, clock)
    admission = Admission(ground=ground, store=store, notary=notary, audit=audit, settled=settled, book=book)
    for place in ground.places:
        memberships.add(admission.make(place))

    def standing(peer: PublicKey) -> Standing | None:
        return trust.standing(peer)

    under = charter_ground(db, own, clock, lambda *met: charters.suspensions.met(*met), book.former)
    guard = ground.guard(standing, audit, clock, under.governance)
    gate = GuardedGate(lambda peer: book.known(peer) is not None, guard, clock)

    def surroundings() -> Surroundings:
        return ground.surroundings(network.candidates())

    def observers() -> tuple[str, ...]:
        member = next((each for each in memberships if each.presence.observers), memberships.first)
        link = member.rendezvous.link
        return choose_observers(
            member.presence.observers, link.remote if link and not link.via else "", surroundings()
        )

    punches = PunchDesk(notary, lambda: sessions, surroundings, observers, clock)
    network = ground.network(memberships, gate, punches)
    herald = Herald(network, notary, memberships, surroundings, clock)
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
        own_address=memberships.own_address,
        hostname=memberships.hostname,
    )
    delivery = Delivery(store, memberships, sessions)
    trust = TrustService(ledger, book, delivery, memberships, sessions)
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
        memberships=memberships,
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

    async def reachable(peer: PublicKey, envelope: Envelope, _: Realm) -> None:
        await sessions.reachable(peer, envelope)

    memberships.on(Reachability, reachable)
    network.serve(ECHO_PORT, echo)
    board = Switchboard(
        store=store, network=network, gate=gate, trust=trust, sessions=sessions, directory=directory
    )
    for member in memberships:
        board.connect(member)

    def admit(place: Place) -> Membership:
        made = admission.make(place)
        board.connect(made)
        return made

    networks = NetworkService(
        memberships, admit, trust=trust, sessions=sessions, config=ground.config, audit=audit, own=own
    )
    about = AboutService(
        ground.facts,
        memberships=memberships,
        networks=networks,
        network=network,
        trust=trust,
        sessions=sessions,
        directory=directory,
        clock=clock,
    )
    return Node(
        memberships=memberships,
        networks=networks,
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
