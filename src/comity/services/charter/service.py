"""The operations of a charter's signed life.

Propose and sign say something to the other parties, end stops everything. What the machine decides is in
``protocol.charter``, how it is stored in ``registrar``, what time does in ``clockwork``.
"""

from __future__ import annotations

from collections.abc import Iterable

from comity import control, limits
from comity.errors import InvalidInput, NothingPending, RequestChanged, UntrustedPeer
from comity.identity.keys import PublicKey
from comity.policy.charter.ruling import Reason
from comity.policy.charter.show import show
from comity.protocol.charter.machine import may_sign
from comity.protocol.charter.statements import PAIR_TYPES, CharterEnd, CharterSignature
from comity.services.charter.catalogue import Catalogue
from comity.services.charter.clockwork import Clockwork
from comity.services.charter.explaining import Explainer
from comity.services.charter.ground import CharterGround
from comity.services.charter.hearing import Hearing
from comity.services.charter.library import Volume, read
from comity.services.charter.post import Post
from comity.services.charter.registrar import Registrar
from comity.services.charter.suspensions import BY_HAND, Suspensions
from comity.services.charter.views import Views, state
from comity.services.charter.winding_up import WindingUp
from comity.services.guard import Guard
from comity.services.trust import TrustService
from comity.services.trust.delivery import Delivery, Sessions
from comity.services.trust.ledger import Ledger
from comity.services.trust.peers import PeerBook


class CharterService:
    """See the module. Operations take and return control types."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        peers: PeerBook,
        trust: TrustService,
        delivery: Delivery,
        sessions: Sessions,
        ground: CharterGround,
        guard: Guard,
    ) -> None:
        store, usage, library = ground.store, ground.usage, ground.library
        self._ledger = ledger
        self._peers = peers
        self._delivery = delivery
        self._sessions = sessions
        self._store = store
        self._library = library
        self._governance = ground.governance
        self._own = str(ledger.notary.public.fingerprint)
        self._cuts = 0
        self._catalogue = Catalogue(store, library)
        self._clockwork = Clockwork(ledger, store, library, delivery)
        self.post = Post(ledger, peers)
        news = self._clockwork.news
        self._registrar = Registrar(ledger, store, library, self.post, self.cut, news)
        self.suspensions = Suspensions(ledger, store, self.cut, news)
        self.winding_up = WindingUp(ledger, store, usage, library, self.post)
        self._views = Views(store, usage, library, self.winding_up, self._own, ledger.clock)
        hearing = Hearing(ledger, store, self._registrar, self.suspensions, self.winding_up)
        self.explainer = Explainer(guard, peers, library, ledger.claims.hostname, ledger.clock)
        trust.carry(PAIR_TYPES, hearing.hear)

    async def run(self) -> None:
        """Until cancelled."""
        await self._clockwork.run(self._registrar.lapse, self.cut)

    def cut(self, parties: Iterable[str]) -> int:
        """End every link with these parties but the sessions'; how many there were."""
        closed = sum(self._sessions.cut(key) for key in self.post.partners(parties, past=True).values())
        self._cuts += closed
        return closed

    # ── propose, read, sign ───────────────────────────────────────────────────────────────────────────

    async def propose(self, request: control.CharterProposeRequest) -> control.CharterProposeResult:
        """Hand a version to every other party; again, where it was proposed before, with all signatures.

        InvalidCharter, UntrustedPeer where there is no agreement with a party, CharterRefused.
        """
        volume = read(request.canonical.encode())
        partners = self._partners(volume)
        self.post.among(partners.values())
        with self._ledger.db.transaction():
            self._registrar.propose(volume, by=self._own)
            for key in partners.values():
                self.post.owe_charter(key, volume.terms.digest, volume.canonical)
            for held in self._store.statements(
                lineage=volume.terms.lineage, kind=CharterSignature.TYPE, charter=volume.terms.digest
            ):
                for party, key in partners.items():
                    if party != held.signer:
                        self.post.owe_note(key, held.envelope)
        await self._deliver(partners.values())
        names = [party.name for party in volume.charter.parties if party.fingerprint in partners]
        return control.CharterProposeResult(
            digest=volume.terms.digest,
            title=volume.charter.title,
            version=volume.terms.version,
            lineage=volume.terms.lineage,
            policy=volume.terms.policy,
            told=tuple(names),
        )

    def read(self, request: control.CharterReadRequest) -> control.CharterReadResult:
        """A charter in plain language, and what signing it would sign. NothingPending, AmbiguousPeer."""
        line, version = self._catalogue.find(request.charter)
        volume = self._library.get(version.terms.digest)
        return control.CharterReadResult(
            digest=version.terms.digest,
            title=volume.charter.title,
            version=volume.charter.version,
            state=state(line, version),
            policy=volume.terms.policy,
            lines=show(volume.canonical),
            payload=_payload(volume),
            canonical=volume.canonical.decode(),
        )

    async def sign(self, request: control.CharterSignRequest) -> control.CharterSignResult:
        """Agree to exactly the charter and the policy that were shown. RequestChanged, CharterRefused."""
        line, version = self._catalogue.find(request.charter)
        volume = self._library.get(version.terms.digest)
        if (request.charter, request.policy) != (version.terms.digest, volume.terms.policy):
            raise RequestChanged(
                "the charter or its policy is not what was shown", hint="run comity charter sign again"
            )
        if volume.terms.policy != version.terms.policy:
            raise RequestChanged("this program makes another policy of the charter than before")
        if len(request.signed_by.encode()) > limits.CLAIM_BYTES:
            raise InvalidInput(f"a name is longer than {limits.CLAIM_BYTES} bytes")
        digest = version.terms.digest
        if self._own in version.signed:
            raise InvalidInput("this node has signed that charter already", hint="run comity charter status")
        partners = self.post.partners(version.terms.parties)
        among = self.post.among(partners.values())
        with self._ledger.db.transaction():
            may_sign(line, digest, self._ledger.clock.now())
            said, envelope = self._ledger.notary.declare(
                CharterSignature, among, **_payload(volume), signed_by=request.signed_by
            )
            for key in partners.values():
                self.post.owe_note(key, envelope)
            self._registrar.signature(envelope, said, bearer=self._own)
        await self._deliver(partners.values())
        after = self._catalogue.version(digest)
        names = {party.fingerprint: party.name for party in volume.charter.parties}
        missing = [names[party] for party in after.terms.parties if party not in after.signed]
        return control.CharterSignResult(
            digest=digest,
            title=volume.charter.title,
            version=volume.terms.version,
            statement=envelope.digest,
            in_force=after.complete,
            missing=tuple(missing),
        )

    def status(self, request: control.CharterStatusRequest) -> control.CharterStatusResult:
        """Every version that is known here, or the one that is named, and who is suspended."""
        if request.charter is not None:
            found = [self._catalogue.find(request.charter)]
        else:
            found = [(line, version) for line in self._store.lines() for version in line.versions]
        views = tuple(self._views.view(line, version) for line, version in found)
        return control.CharterStatusResult(charters=views, suspensions=self.suspensions.views())

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────

    async def end(self, request: control.CharterEndRequest) -> control.CharterEndResult:
        """End the whole line, for good: refused here from the commit on, the other parties are told.

        Also how a proposal is turned down. NothingPending, AmbiguousPeer, CharterRefused.
        """
        if len(request.reason.encode()) > limits.CLAIM_BYTES:
            raise InvalidInput(f"the reason is longer than {limits.CLAIM_BYTES} bytes")
        line, version = self._catalogue.find(request.charter)
        if line.ending is not None:
            raise InvalidInput("that charter has ended already", hint="run comity charter status")
        version = line.latest or version
        parties = {party for one in line.versions for party in one.terms.parties} - {self._own}
        partners = self.post.partners(parties, past=True)
        before, among = self._cuts, next(iter(partners.values()), self._ledger.notary.public)
        with self._ledger.db.transaction():
            said, envelope = self._ledger.notary.declare(
                CharterEnd, among, lineage=line.lineage, charter=version.terms.digest, reason=request.reason
            )
            self._registrar.end(envelope, said, bearer=self._own)
        closed = self._cuts - before
        await self._deliver(partners.values())
        after = self._store.line(line.lineage) or line
        names = self.winding_up.names(after)
        return control.CharterEndResult(
            digest=version.terms.digest,
            title=self._library.get(version.terms.digest).charter.title,
            lineage=line.lineage,
            statement=envelope.digest,
            links_closed=closed,
            told=tuple(sorted(names.get(party, party) for party in partners)),
            exchanged=self.winding_up.exchanged(after),
            owed=self.winding_up.owed(after),
        )

    async def attest(self, request: control.CharterAttestRequest) -> control.CharterAttestResult:
        """State what became of what was received. InvalidInput, NothingPending."""
        line, version = self._catalogue.find(request.charter)
        version = line.latest or version
        statements, attested = self.winding_up.attest(line, request)
        await self._delivery.flush()
        return control.CharterAttestResult(
            digest=version.terms.digest,
            title=self._library.get(version.terms.digest).charter.title,
            statements=statements,
            attested=attested,
            owed=tuple(one for one in self.winding_up.owed(line) if not one.settled),
        )

    # ── suspensions ───────────────────────────────────────────────────────────────────────────────────

    async def suspend(self, request: control.CharterSuspendRequest) -> control.SuspensionView:
        """A person here stops everything with a peer. NothingPending where no charter is in force with it."""
        peer = (await self._peers.trusted(request.peer)).key
        _check_reason(request.reason)
        charter = next(iter(self._governance.in_force(peer)), None)
        if charter is None:
            raise NothingPending(
                "no charter is in force with that peer", hint="run comity revoke to end the agreement"
            )
        lineage = self._library.get(charter).terms.lineage
        self.suspensions.begin(peer, lineage, charter, Reason(BY_HAND, request.reason))
        await self._delivery.flush(peer)
        party = str(peer.fingerprint)
        ours = (one for one in self._store.suspensions(party) if one.by == "us")
        return self.suspensions.view(next(ours))

    async def lift(self, request: control.CharterLiftRequest) -> control.SuspensionView:
        """A person here lets it go on. NothingPending where this node suspended nothing."""
        _check_reason(request.reason)
        peer = (await self._peers.trusted(request.peer)).key
        lifted = self.suspensions.lift(peer, request.reason)
        await self._delivery.flush(peer)
        return lifted

    def _partners(self, volume: Volume) -> dict[str, PublicKey]:
        """The other parties. The proposer needs an agreement with each: it hands on what they sign."""
        others = [party for party in volume.charter.parties if party.fingerprint != self._own]
        if len(others) == len(volume.charter.parties):
            raise InvalidInput("this node is no party of that charter", hint="compare comity card with it")
        partners = self.post.partners(party.fingerprint for party in others)
        missing = [party.name for party in others if party.fingerprint not in partners]
        if missing:
            raise UntrustedPeer(
                f"there is no agreement with {', '.join(missing)}, and who proposes has one with every party",
                hint=f'run comity handshake {missing[0]} "WHY", or let another party propose it',
            )
        for party in others:
            known = self._peers.known(partners[party.fingerprint])
            if known is not None and known.hostname != party.name:
                raise InvalidInput(
                    f"the key of {party.name} in the charter is {known.hostname}'s",
                    hint="name parties as comity peers does",
                )
        return partners

    async def _deliver(self, peers: Iterable[PublicKey]) -> None:
        for peer in peers:
            await self._delivery.flush(peer)


def _payload(volume: Volume) -> dict[str, object]:
    """What a signature says, but for who, when and its nonce."""
    terms = volume.terms
    return {
        "charter": terms.digest,
        "schema": volume.charter.schema,
        "policy": terms.policy,
        "lineage": terms.lineage,
        "predecessor": terms.predecessor,
        "version": terms.version,
    }


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason.encode()) > limits.CLAIM_BYTES:
        raise InvalidInput(f"a reason of at most {limits.CLAIM_BYTES} bytes is needed")
