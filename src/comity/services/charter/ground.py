"""What the charters of a node stand on: their stores, their texts, and what the guard asks."""

from __future__ import annotations

from dataclasses import dataclass

from comity.clock import Clock
from comity.identity.keys import PublicKey
from comity.services.charter.governance import Former, Governance, Suspend
from comity.services.charter.library import Library
from comity.storage.charter import CharterStore
from comity.storage.database import Database
from comity.storage.usage import UsageStore


@dataclass(frozen=True)
class CharterGround:
    """One node's."""

    store: CharterStore
    usage: UsageStore
    library: Library
    governance: Governance


def charter_ground(
    db: Database, own: PublicKey, clock: Clock, suspend: Suspend, former: Former
) -> CharterGround:
    """Over ``db``; ``suspend`` is called when a rule of a charter is met, ``former`` tells old names."""
    store, usage = CharterStore(db), UsageStore(db)
    library = Library(store)
    governance = Governance(db, store, usage, library, own, clock, suspend, former)
    return CharterGround(store, usage, library, governance)
