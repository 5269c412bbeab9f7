"""The write side of charters: takes a step of the machine, stores it, and does what follows.

Everything runs in the caller's transaction: line, bytes, signed statement, what is owed to others and audit
entries are one commit. Links are cut once all of it is durable: streams begin anew under the new terms, or
not at all (SECURITY.md rule 18).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from comity import limits
from comity.clock import rfc3339
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.charter import machine
from comity.protocol.charter.machine import CharterRefused
from comity.protocol.charter.statements import CharterEnd, CharterSignature, claimed_issuer
from comity.protocol.charter.terms import Line, Terms
from comity.services.charter.library import Library, Volume
from comity.services.charter.post import Post
from comity.services.trust.ledger import Ledger
from comity.storage.charter import CharterStore, StoredStatement

#: Ends every link with these parties but the sessions; how many there were.
Cut = Callable[[Iterable[str]], int]


class Registrar:
    """See the module. ``changed`` is called after each commit."""

    def __init__(
        self,
        ledger: Ledger,
        store: CharterStore,
        library: Library,
        post: Post,
        cut: Cut,
        changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._library = library
        self._post = post
        self._cut = cut
        self._changed = changed
        self._own = str(ledger.notary.public.fingerprint)

    def propose(self, volume: Volume, *, by: str) -> None:
        """A version is here, brought by ``by`` (a fingerprint). CharterRefused."""
        terms = volume.terms
        line = self._store.line(terms.lineage)
        if line is None:
            self._check_room(by)
            line = Line(lineage=terms.lineage, own=self._own)
        self._store.put_version(
            terms.digest, terms.lineage, volume.canonical, at=int(self._ledger.clock.now()), by=by
        )
        self._take(line, machine.Proposed(terms, ours=by == self._own), by)
        for text in self._store.take_early(terms.digest):
            self._try_early(text, by)

    def signature(self, envelope: Envelope, said: CharterSignature, *, bearer: str) -> None:
        """A verified signature, brought by ``bearer``; kept for later where its charter has not come yet."""
        signer = PublicKey.from_hex(said.issuer)
        line = self._store.holding(said.charter)
        text = envelope.to_json().decode()
        if line is None:
            self._store.keep_early(bearer, said.charter, envelope.digest, text, limits.CHARTER_EARLY)
            return
        version = line.find(said.charter)
        terms = version.terms if version else None
        if terms is None or (said.lineage, said.predecessor, said.version) != (
            terms.lineage,
            terms.predecessor,
            terms.version,
        ):
            raise CharterRefused("the signature names another line, predecessor or version than its charter")
        party = str(signer.fingerprint)
        statement = StoredStatement(
            digest=envelope.digest,
            kind=said.TYPE,
            charter=said.charter,
            lineage=said.lineage,
            signer=party,
            subject="",
            at=said.issued,
            envelope=text,
        )
        event = machine.Signed(said.charter, said.policy, party, said.issued)
        self._take(line, event, bearer, signer=signer, statement=statement)

    def end(self, envelope: Envelope, said: CharterEnd, *, bearer: str) -> None:
        """A verified end, brought by ``bearer``."""
        signer = PublicKey.from_hex(said.issuer)
        line = self._store.line(said.lineage)
        if line is None:
            raise CharterRefused("the end is for a charter that is not known here")
        statement = StoredStatement(
            digest=envelope.digest,
            kind=said.TYPE,
            charter=said.charter,
            lineage=said.lineage,
            signer=str(signer.fingerprint),
            subject="",
            at=said.issued,
            envelope=envelope.to_json().decode(),
        )
        event = machine.Ended(str(signer.fingerprint), said.reason)
        self._take(line, event, bearer, signer=signer, statement=statement)

    def lapse(self) -> None:
        """Void what was not signed in time; forget proposals that nobody here ever signed."""
        for line in self._store.lines():
            self._take(line, machine.Passed(), self._own)
            left = self._store.line(line.lineage)
            if left is not None and all(one.void and self._own not in one.signed for one in left.versions):
                self._store.drop_line(line.lineage)

    # ── the step ──────────────────────────────────────────────────────────────────────────────────────

    def _take(
        self,
        line: Line,
        event: machine.Event,
        bearer: str,
        *,
        signer: PublicKey | None = None,
        statement: StoredStatement | None = None,
    ) -> None:
        now = self._ledger.clock.now()
        after, effects = machine.handle(line, event, now)
        if after != line or self._store.line(line.lineage) is None:
            self._store.put_line(after, int(now))
        if effects and statement is not None:
            self._store.put_statement(statement)
        for effect in effects:
            self._follow(effect, bearer, signer, statement)
        if effects:
            self._ledger.db.after_commit(self._changed)

    def _follow(
        self,
        effect: machine.Effect,
        bearer: str,
        signer: PublicKey | None,
        statement: StoredStatement | None,
    ) -> None:
        name = statement.digest if statement else None
        match effect:
            case machine.News(terms):
                by = "us" if bearer == self._own else "them"
                title = self._library.get(terms.digest).charter.title
                self._record("charter.proposed", terms, by=by, title=title)
            case machine.Held(terms, by):
                self._signed(terms, by, signer, name)
                if statement is not None and self._store.brought_by(terms.digest) == self._own:
                    self._hand_on(statement.envelope, terms.parties, {by})
            case machine.InForce(terms, before):
                title = self._library.get(terms.digest).charter.title
                self._record("charter.in_force", terms, title=title, until=rfc3339(terms.until))
                self._cut_later({*terms.parties, *(before.parties if before else ())})
            case machine.Void(terms):
                self._record("charter.void", terms)
            case machine.Over(terms, ending):
                by = "us" if ending.by == self._own else "them"
                parties = self._parties(statement.lineage if statement else "")
                for key in self._post.partners(parties, past=True).values():
                    self._ledger.audit.append(
                        "charter.ended",
                        peer=key,
                        digest=terms.digest if terms else None,
                        by=by,
                        lineage=statement.lineage if statement else None,
                        reason=ending.reason,
                        statement=name,
                    )
                if statement is not None:
                    self._hand_on(statement.envelope, parties, {ending.by, bearer}, past=True)
                self._cut_later(parties)

    def _record(self, kind: str, terms: Terms, **detail: Any) -> None:
        """One entry for each party whose key is known here, so that each one's export has it."""
        for key in self._post.partners(terms.parties, past=True).values():
            self._ledger.audit.append(
                kind, peer=key, digest=terms.digest, version=terms.version, lineage=terms.lineage, **detail
            )

    def _signed(self, terms: Terms, by: str, signer: PublicKey | None, statement: str | None) -> None:
        ours = by == self._own
        self._ledger.audit.append(
            "charter.signed",
            peer=None if ours else signer,
            digest=terms.digest,
            by="us" if ours else "them",
            version=terms.version,
            lineage=terms.lineage,
            policy=terms.policy,
            statement=statement,
        )

    def _hand_on(self, envelope: str, parties: Iterable[str], known: set[str], *, past: bool = False) -> None:
        for party, key in self._post.partners(parties, past=past).items():
            if party not in known:
                self._post.owe_note(key, envelope)

    def _parties(self, lineage: str) -> set[str]:
        """Every party of whatever this node has signed of a line, or was proposed of it."""
        line = self._store.line(lineage)
        versions = line.versions if line else ()
        return {party for one in versions for party in one.terms.parties} - {self._own}

    def _cut_later(self, parties: Iterable[str]) -> None:
        others = set(parties) - {self._own}

        def cut() -> None:
            self._cut(others)

        self._ledger.db.after_commit(cut)

    def _try_early(self, text: str, bearer: str) -> None:
        envelope = Envelope.from_json(text.encode())
        said = read_signature(self._ledger, envelope)
        try:
            self.signature(envelope, said, bearer=bearer)
        except CharterRefused as error:
            reasons = (error.code, error.message)
            self._ledger.audit.append("charter.refused", digest=said.charter, reasons=reasons)

    def _check_room(self, by: str) -> None:
        waiting = [
            line
            for line in self._store.lines()
            if line.ending is None and not any(self._own in one.signed for one in line.versions)
        ]
        if by != self._own and len(waiting) >= limits.CHARTER_LINES_OPEN:
            raise CharterRefused("too many charters wait for an answer here already")


def read_signature(ledger: Ledger, envelope: Envelope) -> CharterSignature:
    """The signature in an envelope, verified; RemoteProtocolError. Whoever made it names itself: whether it
    is a party is the machine's question.
    """
    return ledger.notary.declared(envelope, CharterSignature, claimed_issuer(envelope.payload))


def read_end(ledger: Ledger, envelope: Envelope) -> CharterEnd:
    """As ``read_signature``."""
    return ledger.notary.declared(envelope, CharterEnd, claimed_issuer(envelope.payload))
