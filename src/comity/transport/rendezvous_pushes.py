"""What the rendezvous pushes, handed to the listener one at a time and in order, through a bounded queue.

A listener may be slow, and it asks the rendezvous for things itself while it handles a push, so nothing here
ever keeps the connection from being read: what doesn't fit is left out. Kept mail has room for a whole
mailbox, so that neither a flood of signals nor mail that stays unread displaces it. Where it doesn't fit all
the same, what comes after it is left out too, since a sender's mail is read in order; it comes again at the
next connection, so ``hand_out`` ends this one once the letters were worked off. A listener's failure is
logged, and the next push is handed out.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn

from comity import limits
from comity.errors import RendezvousUnreachable
from comity.identity.keys import PublicKey
from comity.protocol.registry import Mail, Registered, RelayOffer, Retired
from comity.transport.interface import RendezvousListener

log = logging.getLogger("comity.transport")

Push = Registered | Mail | RelayOffer | Retired


class Pushes:
    """The pushes of one connection."""

    def __init__(self, listener: RendezvousListener) -> None:
        self._listener = listener
        self._queue: asyncio.Queue[Push] = asyncio.Queue()  # ``put`` holds it to its two bounds
        self._letters = 0  # kept mail in it
        self._missed = False

    def put(self, push: Push) -> None:
        """Take what was pushed, or leave it out where as much of its kind waits already."""
        if _is_kept(push):
            if self._missed or self._letters >= limits.MAIL_PER_RECIPIENT:
                self._missed = True
                return
            self._letters += 1
        elif self._queue.qsize() - self._letters >= limits.RENDEZVOUS_PUSHES:
            return  # a signal or an offer is lost then, as it would be to a node that is away
        self._queue.put_nowait(push)

    async def hand_out(self) -> NoReturn:
        """Hand out for ever; RendezvousUnreachable once no letter waits and some were left out."""
        while True:
            push = await self._queue.get()
            self._letters -= _is_kept(push)
            try:
                async with asyncio.timeout(limits.DELIVER_SECONDS):
                    await self._hand(push)
            except Exception:
                log.exception(
                    "a push of the rendezvous could not be handled: %s", type(push).__name__.lower()
                )
            if self._missed and not self._letters:
                raise RendezvousUnreachable("more mail came at once than fits; the rest is fetched again")

    async def _hand(self, push: Push) -> None:
        match push:
            case Registered():
                await self._listener.registered(push)
            case Mail():
                await self._listener.mail(push)
            case RelayOffer():
                await self._listener.relay_offered(push)
            case Retired():
                await self._listener.retired(PublicKey.from_hex(push.key), push.retirement)


def _is_kept(push: Push) -> bool:
    return isinstance(push, Mail) and push.keep
