"""What a node remembers of a line of charter versions, as frozen values (stored by ``storage.charter``).

Parties are fingerprints. What a version says is the business of ``policy.charter``: here is only what its
signed life turns on. Envelopes are kept beside, as they were signed.
"""

from __future__ import annotations

import msgspec


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """One version: digests, who has to sign by when (seconds UTC), and the policy that it compiles to."""

    digest: str
    lineage: str
    predecessor: str | None
    version: int
    parties: tuple[str, ...]
    accept_by: int
    until: int
    policy: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """``signed``: whose signatures are held here. ``complete``: all of them came in time, since ``at``.

    ``void``: it can't become complete here any more, whatever comes.
    """

    terms: Terms
    signed: tuple[str, ...] = ()
    complete: bool = False
    void: bool = False
    at: int = 0


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the line, said by the party ``by``; ``charter`` is the version that was in force here."""

    by: str
    at: int
    reason: str
    charter: str | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """All versions with the same first one, as the node ``own`` knows them."""

    lineage: str
    own: str
    versions: tuple[Version, ...] = ()
    ending: Ending | None = None

    def find(self, digest: str) -> Version | None:
        """The version with this digest."""
        return next((one for one in self.versions if one.terms.digest == digest), None)

    @property
    def latest(self) -> Version | None:
        """The newest version that all its parties signed, also after the end."""
        complete = [one for one in self.versions if one.complete]
        return max(complete, key=lambda one: one.terms.version, default=None)

    @property
    def in_force(self) -> Terms | None:
        """The terms that operations happen under now; its window is the policy's business."""
        latest = self.latest
        return None if latest is None or self.ending is not None else latest.terms

    def governs(self, party: str) -> bool:
        """Whether this node ever stood under a version with that party: from then on no charter means no."""
        return any(one.complete and party in one.terms.parties for one in self.versions)
