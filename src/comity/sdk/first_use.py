"""Trust on first use: which key a rendezvous shows, for whoever has no join URL that says which it must be.

Whoever is in the way can answer at that moment, and only then: what is found has to be kept and pinned. A
join URL leaves nothing to trust, so this is for programs that were written for servers without fingerprints.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from comity import limits
from comity.clock import SystemClock
from comity.errors import (
    IdentityMismatch,
    LinkLost,
    PeerUnreachable,
    RemoteProtocolError,
    RendezvousUnreachable,
    TimedOut,
)
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.sdk.home import locate
from comity.storage.config import Config
from comity.storage.outlet import find_outlet
from comity.transport.bounds import Bounds
from comity.transport.introduction import look
from comity.transport.tls import Credentials
from comity.transport.way import Way


def first_use(
    host: str, port: int, *, home: Path | None = None, environ: Mapping[str, str] = os.environ
) -> JoinUrl:
    """The join URL of whatever answers at ``host:port``, by the way that the home's settings name.

    RendezvousUnreachable where nothing does, or nothing that is a rendezvous; InvalidInput.
    """
    nobody = Identity.generate()  # what is looked at learns nothing of who looks
    join = JoinUrl(host, port, fingerprint=nobody.public.fingerprint)
    place = locate(home)
    config = place.read_config() if place.initialised else Config(hostname="none", join=str(join))
    way = Way(host, port, find_outlet(join, environ, config))
    return JoinUrl(host, port, fingerprint=asyncio.run(_look(way, nobody)))


async def _look(way: Way, nobody: Identity) -> Fingerprint:
    credentials = Credentials(nobody, SystemClock())
    try:
        sock = await way.open(limits.CONNECT_TIMEOUT)
        return (await look(sock, credentials, Bounds())).fingerprint
    except (PeerUnreachable, LinkLost, TimedOut, RemoteProtocolError, IdentityMismatch) as error:
        raise RendezvousUnreachable(f"{way.authority}: {error.message}") from error
