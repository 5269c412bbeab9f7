"""Which charter a person means: by digest, by the first digits of it, or by title."""

from __future__ import annotations

from comity.errors import AmbiguousPeer, NothingPending
from comity.protocol.charter.terms import Line, Version
from comity.services.charter.library import Library
from comity.services.charter.views import state
from comity.storage.charter import CharterStore

_SHORTEST = 8  # digits of a digest that may stand for it here; what is signed is bound by all of them


class Catalogue:
    """The versions that this node knows."""

    def __init__(self, store: CharterStore, library: Library) -> None:
        self._store = store
        self._library = library

    def find(self, text: str) -> tuple[Line, Version]:
        """The version that ``text`` names; of equal titles the one in force, or the newest.

        NothingPending, AmbiguousPeer.
        """
        every = [(line, version) for line in self._store.lines() for version in line.versions]
        digits = text.removeprefix("sha256:")
        named = [
            (line, version)
            for line, version in every
            if len(digits) >= _SHORTEST and version.terms.digest.removeprefix("sha256:").startswith(digits)
        ]
        if len(named) == 1:
            return named[0]
        titled = [pair for pair in every if self._library.get(pair[1].terms.digest).charter.title == text]
        if len(named) > 1 or len({line.lineage for line, _ in titled}) > 1:
            raise AmbiguousPeer(
                "several charters are called that",
                hint="name it by more of its digest: comity charter status",
            )
        if not titled:
            raise NothingPending("no such charter is known here", hint="run comity charter status")
        force = [pair for pair in titled if state(*pair) == "in_force"]
        return force[0] if force else max(titled, key=lambda pair: pair[1].terms.version)

    def version(self, digest: str) -> Version:
        """The version with this digest; NothingPending."""
        line = self._store.holding(digest)
        version = line.find(digest) if line else None
        if version is None:
            raise NothingPending("no such charter is known here", hint="run comity charter status")
        return version
