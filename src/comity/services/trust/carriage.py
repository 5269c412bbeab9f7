"""What peers say about other things than trust, and that trust carries: in order, each statement once.

A statement is handled in the transaction that spends its sequence. What its handler refuses with
RemoteProtocolError is refused for good, and its sequence spent all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from comity.errors import RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.protocol.statements import PairStatement, payload_type
from comity.protocol.trust.machine import TrustRefused
from comity.services.trust.ledger import Ledger

#: Handles one statement that was found fresh and addressed to us.
Handler = Callable[[PublicKey, PairStatement, Envelope], None]


class Carriage:
    """``dealt_with``: whether this node has ever had to do with a key; no other one is heard."""

    def __init__(self, ledger: Ledger, dealt_with: Callable[[PublicKey], bool]) -> None:
        self._ledger = ledger
        self._dealt_with = dealt_with
        self._handlers: dict[str, tuple[type[PairStatement], Handler]] = {}

    def add(self, kinds: Iterable[type[PairStatement]], handler: Handler) -> None:
        """Give statements of these types to ``handler``."""
        for kind in kinds:
            self._handlers[payload_type(kind)] = kind, handler

    def kind(self, envelope: Envelope) -> type[PairStatement] | None:
        """The type of what is in the envelope, if it is carried."""
        found = self._handlers.get(envelope.payload_type)
        return found[0] if found else None

    def read(self, sender: PublicKey, envelope: Envelope) -> bool:
        """Handle it, if it is carried. RemoteProtocolError where it is refused."""
        found = self._handlers.get(envelope.payload_type)
        if found is None:
            return False
        kind, handler = found
        if not self._dealt_with(sender):
            raise TrustRefused(f"a {kind.TYPE} came from a key that this node has never dealt with")
        try:
            with self._ledger.db.transaction():
                handler(sender, self._ledger.notary.read(envelope, kind, sender), envelope)
        except RemoteProtocolError:
            self._ledger.notary.read(envelope, kind, sender)
            raise
        return True
