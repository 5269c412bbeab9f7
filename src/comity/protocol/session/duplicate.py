"""Two sessions with one peer: which one stays (docs: protocol, "Session")."""

from __future__ import annotations

from dataclasses import dataclass

from comity.identity.keys import PublicKey
from comity.protocol.paths import path_rank


@dataclass(frozen=True)
class Contender:
    """One session: whose key was the TLS client's, how it runs (both known alike at both ends), and which
    start of the peer's daemon is at the other end. ``upgrade``: its dialler has a session, and wants a better
    path for it.
    """

    client: PublicKey
    path: str
    instance: str
    upgrade: bool = False


def outranks(new: Contender, old: Contender) -> bool:
    """Whether ``new`` replaces ``old`` with the same peer. Both sides answer alike, so exactly one stays.

    A restarted peer's session replaces that of the daemon it was; a dialler that comes again has lost its
    first, or found a better path; and of two sides that dialled at once the better path stays, else the
    smaller key's.
    """
    if new.instance != old.instance:
        return True
    if new.client == old.client and not new.upgrade:
        return True
    if new.path != old.path:
        return path_rank(new.path) < path_rank(old.path)
    return new.client < old.client
