"""Charters as they are read and asked: from a digest to its text, its terms and its policy, kept at hand.

What is compiled is compared with what was signed: a program that makes another policy of the same charter
must not enforce it (SECURITY.md rule 16). It changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from comity.clock import from_rfc3339
from comity.errors import InvalidCharter, LocalProtocolError
from comity.policy.charter.canonical import charter_digest, from_canonical
from comity.policy.charter.evaluate import CedarPolicy
from comity.policy.charter.model import Charter
from comity.protocol.charter.terms import Terms
from comity.storage.charter import CharterStore

_AT_HAND = 64


@dataclass(frozen=True)
class Volume:
    """One charter, read. ``policy`` can be asked."""

    terms: Terms
    charter: Charter
    canonical: bytes
    policy: CedarPolicy


def read(canonical: bytes) -> Volume:
    """RemoteProtocolError where it is no charter; InvalidCharter where it contradicts itself."""
    charter = from_canonical(canonical)
    try:
        policy = CedarPolicy(charter)
    except LocalProtocolError as error:
        raise InvalidCharter(f"the charter cannot be enforced: {error.message}") from error
    digest = charter_digest(canonical)
    terms = Terms(
        digest=digest,
        lineage=charter.lineage or digest,
        predecessor=charter.predecessor,
        version=charter.version,
        parties=tuple(party.fingerprint for party in charter.parties),
        accept_by=from_rfc3339(charter.accept_by),
        until=from_rfc3339(charter.window.until),
        policy=policy.compiled.digest,
    )
    return Volume(terms, charter, canonical, policy)


class Library:
    """The charters that this node has bytes of."""

    def __init__(self, store: CharterStore) -> None:
        self._store = store
        self._at_hand: OrderedDict[str, Volume] = OrderedDict()

    def get(self, digest: str) -> Volume:
        """The charter with this digest; LocalProtocolError where it is not here."""
        found = self._at_hand.get(digest)
        if found is None:
            canonical = self._store.canonical(digest)
            if canonical is None:
                raise LocalProtocolError(f"the charter {digest} is not here")
            found = self._at_hand[digest] = read(canonical)
            while len(self._at_hand) > _AT_HAND:
                self._at_hand.popitem(last=False)
        self._at_hand.move_to_end(digest)
        return found

    def enforceable(self, terms: Terms) -> Volume | None:
        """The charter of ``terms``, if it still compiles to the policy that was signed."""
        found = self.get(terms.digest)
        return found if found.terms.policy == terms.policy else None
