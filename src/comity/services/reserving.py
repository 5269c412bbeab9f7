"""Slots in this node's mailbox for those it has dealt with, so that strangers can't fill them (SECURITY.md
rule 8); by that list the rendezvous also knows whom to tell that a key was retired.
"""

from __future__ import annotations

from contextlib import suppress

from comity import limits
from comity.errors import ComityError
from comity.identity.keys import PublicKey
from comity.storage.trust import TrustStore
from comity.transport.interface import Rendezvous


class Reserving:
    """Keeps a rendezvous's list what it should be: those who are met in ``realm``, and nobody else."""

    def __init__(self, store: TrustStore, rendezvous: Rendezvous, realm: str) -> None:
        self._store = store
        self._rendezvous = rendezvous
        self._realm = realm
        self._told: list[PublicKey] | None = None

    async def renew(self) -> None:
        """Hand the list over, for the whole of this registration. Raises what ``Rendezvous.reserve`` does."""
        self._told = None
        keys = self._keys()
        await self._rendezvous.reserve(keys)
        self._told = keys

    async def follow(self) -> None:
        """Hand it over where it has changed; where that fails, ``renew`` comes by and by."""
        if self._told is not None and self._told != self._keys():
            with suppress(ComityError):
                await self.renew()

    def _keys(self) -> list[PublicKey]:
        keys = [
            PublicKey.from_hex(rel.peer)
            for rel in self._store.all()
            if rel.dealt_with and rel.realm == self._realm
        ]
        return keys[-limits.RESERVED_SENDERS :]
