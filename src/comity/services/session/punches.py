"""The words of a simultaneous open between two nodes: signed here, carried by their session, checked there.

Whoever may say them has an agreement and a session, which names one key: a punch needs no rendezvous. What a
peer tells of where it is goes through rule 9's filter before the network hears of it (SECURITY.md rule 9).
Aiming and answering is ``transport.punch``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from comity import limits
from comity.clock import Clock
from comity.errors import PeerUnreachable, RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.candidates import Surroundings
from comity.protocol.punching import places
from comity.protocol.statements import Punch, open_statement, payload_type
from comity.services.notary import Notary
from comity.transport.interface import PunchEar, PunchWord

log = logging.getLogger("comity.session")

PUNCH = payload_type(Punch)


class Sessions(Protocol):
    """What it needs of the sessions."""

    def path(self, peer: PublicKey) -> str | None:
        """The path of the standing session."""

    async def tell(self, peer: PublicKey, envelope: Envelope) -> bool:
        """Hand a statement over the session; whether the peer took it."""


class PunchDesk:
    """``interface.PunchPost``. ``surroundings`` and ``observers`` are asked anew each time: machines move."""

    def __init__(
        self,
        notary: Notary,
        sessions: Callable[[], Sessions],
        surroundings: Callable[[], Surroundings],
        observers: Callable[[], tuple[str, ...]],
        clock: Clock,
    ) -> None:
        self._notary = notary
        self._sessions = sessions
        self._surroundings = surroundings
        self._observers = observers
        self._clock = clock
        self._ear: PunchEar | None = None
        self._seen: dict[PublicKey, int] = {}

    def ready(self, peer: PublicKey) -> bool:
        return self._sessions().path(peer) is not None

    def listen(self, ear: PunchEar) -> None:
        self._ear = ear

    def observers(self) -> tuple[str, ...]:
        return self._observers()

    async def send(self, peer: PublicKey, word: PunchWord) -> None:
        envelope = self._notary.pair(
            Punch,
            peer,
            limits.PUNCH_LIFETIME,
            call=word.call,
            step=word.step,
            local=word.local,
            observed=word.observed,
        )
        if not await self._sessions().tell(peer, envelope):
            raise PeerUnreachable("the peer does not take part in a simultaneous open")

    def heard(self, sender: PublicKey, envelope: Envelope) -> None:
        """Take a word of an approved peer; RemoteProtocolError where it is none, or not new."""
        realm = self._notary.realm_of(sender)
        statement = open_statement(
            envelope,
            Punch,
            issuer=sender,
            rendezvous=realm.rendezvous,
            network=realm.network,
            now=self._clock.now(),
        )
        if statement.subject != self._notary.public.hex:
            raise RemoteProtocolError("a punch is addressed to another key")
        if not self.ready(sender):
            raise RemoteProtocolError("a punch came from a key without a session")
        if statement.sequence <= self._seen.get(sender, 0):
            raise RemoteProtocolError("a punch came after a newer one")
        self._seen[sender] = statement.sequence
        where, filtered = places(statement.local, statement.observed, self._surroundings())
        for refused in filtered.refused:
            shown = printable(refused.text, 80)
            about = {"peer": sender.fingerprint.short, "place": shown, "reason": refused.reason}
            log.debug("place refused", extra={"fields": about})
        if self._ear is not None:
            word = PunchWord(statement.call, statement.step, statement.local, statement.observed)
            self._ear(sender, word, where)
