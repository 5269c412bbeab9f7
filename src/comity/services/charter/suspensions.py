"""Suspensions: this node or a partner does nothing with the other until a person lifts it.

A rule of the charter or a person begins one; only a person ends it, on the side that began it. Both sides are
told, both have it on record, and both refuse meanwhile, each by itself. Only what carries these statements
goes on: the session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from comity import limits
from comity.clock import rfc3339
from comity.control import SuspensionView
from comity.errors import ComityError, NothingPending
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.policy.charter.ruling import Reason
from comity.protocol.charter.machine import CharterRefused
from comity.protocol.charter.statements import CharterSuspension
from comity.services.trust.ledger import Ledger
from comity.storage.charter import CharterStore, Suspension

log = logging.getLogger("comity.charter")

#: The clause of what a person here decides.
BY_HAND = "suspension"


class Suspensions:
    """``cut`` ends every link with these parties but the sessions; ``changed`` is called after a commit."""

    def __init__(
        self,
        ledger: Ledger,
        store: CharterStore,
        cut: Callable[[Iterable[str]], int],
        changed: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._cut = cut
        self._changed = changed

    def met(self, peer: PublicKey, lineage: str, charter: str, reason: Reason) -> None:
        """A rule was met. Where that can't be stored, the cause is in the log and the rule is met again."""
        try:
            self.begin(peer, lineage, charter, reason)
        except ComityError as error:
            log.error("suspension not stored", extra={"fields": {"code": error.code, "why": error}})  # noqa: TRY400  no bug of ours: the disk

    def begin(self, peer: PublicKey, lineage: str, charter: str, reason: Reason) -> None:
        """Suspend ``peer``; nothing where it is suspended already."""
        party = str(peer.fingerprint)
        if any(one.by == "us" for one in self._store.suspensions(party)):
            return
        with self._ledger.db.transaction():
            statement = self._say(peer, lineage, charter, reason.clause, reason.text, "suspended")
            self._store.suspend(self._new(party, "us", lineage, charter, reason.clause, reason.text))
            self._record("charter.suspended", peer, "us", charter, reason.clause, reason.text, statement)
            self._follow(party)

    def lift(self, peer: PublicKey, reason: str) -> SuspensionView:
        """A person here lets it go on; NothingPending where this node suspended nothing."""
        party = str(peer.fingerprint)
        stood = next((one for one in self._store.suspensions(party) if one.by == "us"), None)
        if stood is None:
            raise NothingPending(
                "this node has not suspended that peer", hint="run comity charter status to see who has"
            )
        with self._ledger.db.transaction():
            statement = self._say(peer, stood.lineage, stood.charter, stood.clause, reason, "lifted")
            self._store.lift(party, "us")
            self._record("charter.resumed", peer, "us", stood.charter, stood.clause, reason, statement)
            self._follow(party)
        return self.view(stood)

    def heard(self, sender: PublicKey, said: CharterSuspension) -> None:
        """A peer suspends us, or lifts that."""
        party = str(sender.fingerprint)
        line = self._store.line(said.lineage)
        if line is None or not line.governs(party):
            raise CharterRefused("a suspension names a charter that is not in force with its signer")
        if said.state == "suspended":
            self._store.suspend(
                self._new(party, "them", said.lineage, said.charter, said.clause, said.reason)
            )
        else:
            self._store.lift(party, "them")
        kind = "charter.suspended" if said.state == "suspended" else "charter.resumed"
        self._record(kind, sender, "them", said.charter, said.clause, said.reason, None)
        self._follow(party)

    def views(self) -> tuple[SuspensionView, ...]:
        """Those that stand."""
        return tuple(self.view(one) for one in self._store.suspensions())

    def view(self, stored: Suspension) -> SuspensionView:
        names = {
            str(PublicKey.from_hex(rel.peer).fingerprint): rel.hostname for rel in self._ledger.store.all()
        }
        return SuspensionView(
            peer=names.get(stored.peer, ""),
            fingerprint=stored.peer,
            by=stored.by,
            clause=printable(stored.clause),
            reason=printable(stored.reason),
            charter=stored.charter,
            at=rfc3339(stored.at),
        )

    def _new(self, party: str, by: str, lineage: str, charter: str, clause: str, reason: str) -> Suspension:
        return Suspension(party, by, lineage, charter, clause, reason, int(self._ledger.clock.now()))

    def _say(self, peer: PublicKey, lineage: str, charter: str, clause: str, reason: str, state: str) -> str:
        said = self._ledger.notary.make(
            CharterSuspension,
            peer,
            limits.CHARTER_STATEMENT_LIFETIME,
            lineage=lineage,
            charter=charter,
            clause=clause,
            reason=reason[: limits.CLAIM_BYTES],
            state=state,
        )
        return self._ledger.owe(peer, said).digest

    def _record(
        self,
        kind: str,
        peer: PublicKey,
        by: str,
        charter: str,
        clause: str,
        reason: str,
        statement: str | None,
    ) -> None:
        self._ledger.audit.append(
            kind,
            peer=peer,
            digest=charter,
            reasons=(reason,),
            by=by,
            clause=clause,
            statement=statement,
        )

    def _follow(self, party: str) -> None:
        def cut() -> None:
            self._cut((party,))
            self._changed()

        self._ledger.db.after_commit(cut)
