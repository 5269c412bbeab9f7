"""Every path to a peer tried at once, each by itself, to the end of TLS: the doctor's facts about a peer.

Nothing is said on a link that comes up; it is closed again. Which of them a dial would take is for the race.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from comity.diagnosis.facts import PathTrial
from comity.errors import ComityError, LinkLost
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.transport.bounds import Bounds
from comity.transport.channel import SecureChannel
from comity.transport.interface import PathName
from comity.transport.paths import Attempt, PathFinder
from comity.transport.tls import Credentials

_NOTHING: dict[PathName, str] = {
    "direct": "not tried: the peer told no address at which it listens",
    "punched": "not tried: it needs a session to agree on the moment, and rests for a while after a failure",
    "relay": "not tried: there is no rendezvous",
}


async def survey(
    finders: Sequence[PathFinder], credentials: Credentials, peer: PublicKey, bounds: Bounds
) -> tuple[PathTrial, ...]:
    """One trial a finder, in their order."""
    return tuple(await asyncio.gather(*(_path(finder, credentials, peer, bounds) for finder in finders)))


async def _path(finder: PathFinder, credentials: Credentials, peer: PublicKey, bounds: Bounds) -> PathTrial:
    name = finder.path
    attempts = finder.attempts(peer)
    if not attempts:
        return PathTrial(name, None, _NOTHING[name])
    tried = await asyncio.gather(*(_try(each, credentials, peer, bounds) for each in attempts))
    for ok, text in tried:
        if ok:
            return PathTrial(name, True, text)
    return PathTrial(name, False, "; ".join(text for _, text in tried))


async def _try(
    attempt: Attempt, credentials: Credentials, peer: PublicKey, bounds: Bounds
) -> tuple[bool, str]:
    began = time.monotonic()
    try:
        connected = await attempt.open()
        channel = await SecureChannel.connect(connected.sock, credentials, peer.fingerprint, bounds)
    except LinkLost as error:
        return False, printable(f"it connected, and then {error.message}")
    except (ComityError, OSError) as error:
        return False, printable(str(error))
    remote = channel.remote
    channel.dismiss()
    took = f"in {(time.monotonic() - began) * 1000:.0f} ms"
    if attempt.path == "punched":
        meeting = "with no NAT between" if connected.path == "direct" else "through the NATs"
        return True, f"met at {remote} by simultaneous open, {meeting}, {took}"
    return True, f"connected by {remote} {took}"
