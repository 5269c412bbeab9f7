"""What is left to do after a charter's end: which artifacts passed, what is owed about each, and statements.

Whoever was given an artifact owes the giver a signed statement of what became of it, within the days that the
charter names. A statement proves that it was said, and not that it is so (SECURITY.md rule 20).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from comity import limits
from comity.clock import rfc3339
from comity.control import CharterAttestRequest, CharterExchanged, CharterOwed
from comity.errors import InvalidInput, NothingPending
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.charter.machine import CharterRefused
from comity.protocol.charter.statements import CharterAttestation, Disposed
from comity.protocol.charter.terms import Line
from comity.services.charter.library import Library
from comity.services.charter.post import Post
from comity.services.trust.ledger import Ledger
from comity.storage.charter import CharterStore, StoredStatement
from comity.storage.usage import ChartedTransfer, Disposal, UsageStore

_DAY = 86400
_METHODS = ("clear", "purge", "destroy", "none")
_DISPOSITIONS = ("deleted", "returned", "retained")


@dataclass(frozen=True)
class _Passed:
    giver: str
    taker: str
    stored: ChartedTransfer


class WindingUp:
    """The end's book-keeping. It enforces nothing: the guard refuses what comes after the end."""

    def __init__(
        self, ledger: Ledger, store: CharterStore, usage: UsageStore, library: Library, post: Post
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._usage = usage
        self._library = library
        self._post = post
        self._own = str(ledger.notary.public.fingerprint)

    def exchanged(self, line: Line) -> tuple[CharterExchanged, ...]:
        """What passed under a line, the oldest first."""
        names = self.names(line)
        return tuple(
            CharterExchanged(
                giver=names.get(one.giver, one.giver),
                taker=names.get(one.taker, one.taker),
                name=printable(one.stored.name, limits.FILE_NAME_BYTES),
                digest=one.stored.digest,
                bytes=one.stored.bytes,
                at=rfc3339(one.stored.at),
                charter=one.stored.charter,
                state=one.stored.state,
            )
            for one in self._passed(line)
        )

    def owed(self, line: Line) -> tuple[CharterOwed, ...]:
        """Every statement that the end makes due, with what was stated; none before the end.

        Artifacts that a holder received more than once count once.
        """
        latest = line.latest
        over = self._over_since(line)
        if latest is None or over is None:
            return ()
        names = self.names(line)
        days = self._library.get(latest.terms.digest).charter.exit.statements_within_days
        said = {(one.holder, one.giver, one.digest): one for one in self._usage.disposals(line.lineage)}
        found = {}
        for one in self._whole(line):
            key = (one.taker, one.giver, one.stored.digest)
            stated = said.get(key)
            found[key] = CharterOwed(
                party=names.get(one.taker, one.taker),
                fingerprint=one.taker,
                giver=names.get(one.giver, one.giver),
                by="us" if one.taker == self._own else "them",
                digest=one.stored.digest,
                name=printable(one.stored.name, limits.FILE_NAME_BYTES),
                bytes=one.stored.bytes,
                due=rfc3339(over + days * _DAY),
                disposition=stated.disposition if stated else "",
                statement=stated.statement if stated else "",
            )
        return tuple(found.values())

    def attest(self, line: Line, request: CharterAttestRequest) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Sign what became of what we were given; digests of statements and artifacts.

        InvalidInput, NothingPending. In a transaction of its own.
        """
        _check(request)
        latest = line.latest
        if latest is None:
            raise NothingPending("that charter was never in force here", hint="run comity charter status")
        wanted = set(request.digests)
        names = self.names(line)
        due: dict[str, dict[str, None]] = {}
        for one in self._passed(line) if wanted else self._whole(line):
            stated = not wanted and self._stated(line, one)
            if one.taker != self._own or stated or (wanted and one.stored.digest not in wanted):
                continue
            if request.to is None or request.to in (names.get(one.giver), one.giver):
                due.setdefault(one.giver, {})[one.stored.digest] = None
        missing = wanted - {digest for digests in due.values() for digest in digests}
        if missing:
            raise InvalidInput(f"{min(missing)} was not received under that charter")
        if not due:
            raise NothingPending("there is nothing to state", hint="run comity charter status")
        keys = self._post.partners(due, past=True)
        if set(due) - set(keys):
            raise NothingPending("there is no agreement with whom it is owed to", hint="run comity trust")
        statements = []
        with self._ledger.db.transaction():
            for giver, digests in due.items():
                for some in _portions(list(digests)):
                    statements.append(self._say(line, keys[giver], giver, some, request))
        return tuple(statements), tuple(digest for digests in due.values() for digest in digests)

    def heard(self, sender: PublicKey, said: CharterAttestation, envelope: Envelope) -> None:
        """A peer states what became of what we gave it. CharterRefused where it was given nothing such."""
        line = self._store.line(said.lineage)
        party = str(sender.fingerprint)
        if line is None or not line.governs(party):
            raise CharterRefused("a statement about artifacts names a charter that is not known here")
        given = {one.stored.digest for one in self._passed(line) if one.taker == party}
        for item in said.items:
            if item.digest not in given:
                raise CharterRefused("a statement is about an artifact that its signer was not given")
        self._keep(line, sender, party, self._own, said, envelope, "them")

    def names(self, line: Line) -> dict[str, str]:
        """The parties of a line by fingerprint."""
        return {
            party.fingerprint: party.name
            for version in line.versions
            for party in self._library.get(version.terms.digest).charter.parties
        }

    def _whole(self, line: Line) -> Iterable[_Passed]:
        return (one for one in self._passed(line) if one.stored.state == "consumed")

    def _passed(self, line: Line) -> Iterable[_Passed]:
        for stored in self._usage.transfers(line.lineage):
            out = stored.direction == "out"
            giver, taker = (self._own, stored.peer) if out else (stored.peer, self._own)
            yield _Passed(giver, taker, stored)

    def _over_since(self, line: Line) -> int | None:
        """When the line ended, or its last window did."""
        if line.ending is not None:
            return line.ending.at
        latest = line.latest
        now = self._ledger.clock.now()
        return latest.terms.until if latest is not None and latest.terms.until <= now else None

    def _stated(self, line: Line, one: _Passed) -> bool:
        return any(
            (said.holder, said.giver, said.digest) == (one.taker, one.giver, one.stored.digest)
            for said in self._usage.disposals(line.lineage)
        )

    def _say(
        self, line: Line, peer: PublicKey, giver: str, digests: list[str], request: CharterAttestRequest
    ) -> str:
        items = tuple(
            msgspec.convert({"digest": one, "disposition": request.disposition}, Disposed) for one in digests
        )
        said = self._ledger.notary.make(
            CharterAttestation,
            peer,
            limits.CHARTER_STATEMENT_LIFETIME,
            lineage=line.lineage,
            items=items,
            method=request.method,
            backups=request.backups,
            derivatives=request.derivatives,
            exceptions=request.exceptions,
            attested_by=request.attested_by,
        )
        envelope = self._ledger.owe(peer, said)
        self._keep(line, peer, self._own, giver, said, envelope, "us")
        return envelope.digest

    def _keep(
        self,
        line: Line,
        peer: PublicKey,
        holder: str,
        giver: str,
        said: CharterAttestation,
        envelope: Envelope,
        by: str,
    ) -> None:
        latest = line.latest
        charter = latest.terms.digest if latest else line.lineage
        self._store.put_statement(
            StoredStatement(
                digest=envelope.digest,
                kind=said.TYPE,
                charter=charter,
                lineage=line.lineage,
                signer=holder,
                subject=giver,
                at=said.issued,
                envelope=envelope.to_json().decode(),
            )
        )
        for item in said.items:
            self._usage.dispose(
                Disposal(
                    line.lineage, holder, giver, item.digest, item.disposition, envelope.digest, said.issued
                )
            )
        self._ledger.audit.append(
            "charter.attested",
            peer=peer,
            digest=charter,
            by=by,
            lineage=line.lineage,
            items=len(said.items),
            disposition=said.items[0].disposition,
            method=said.method,
            statement=envelope.digest,
        )


def _check(request: CharterAttestRequest) -> None:
    if request.disposition not in _DISPOSITIONS:
        raise InvalidInput(f"{request.disposition} is none of {', '.join(_DISPOSITIONS)}")
    if request.method not in _METHODS:
        raise InvalidInput(f"{request.method} is none of {', '.join(_METHODS)} (NIST SP 800-88)")
    if (request.disposition == "deleted") == (request.method == "none"):
        raise InvalidInput(
            "a deletion names its method, and nothing else has one",
            hint="--method clear, purge or destroy, as NIST SP 800-88 defines them",
        )
    for text in (request.backups, request.derivatives, request.exceptions):
        if len(text) > limits.CHARTER_TEXT_CHARS:
            raise InvalidInput(f"a text is longer than {limits.CHARTER_TEXT_CHARS} characters")


def _portions(digests: list[str]) -> Iterable[list[str]]:
    size = limits.CHARTER_ATTESTED
    return (digests[at : at + size] for at in range(0, len(digests), size))
