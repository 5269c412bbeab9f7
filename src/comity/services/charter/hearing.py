"""What peers say about charters: parts of one, signatures and ends that they hand on, suspensions, statements
about what became of artifacts.

Each is handled in the transaction that spends its sequence. What is wrong is refused for good: the sender is
told by nothing but its own records, and the refusal is on record here.
"""

from __future__ import annotations

import base64
import binascii

from comity import limits
from comity.errors import InvalidCharter, RemoteProtocolError
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.policy.charter.canonical import charter_digest
from comity.protocol.charter.machine import CharterRefused
from comity.protocol.charter.statements import (
    CharterAttestation,
    CharterEnd,
    CharterNote,
    CharterPart,
    CharterSignature,
    CharterSuspension,
)
from comity.protocol.statements import PairStatement, payload_type
from comity.services.charter.library import read
from comity.services.charter.registrar import Registrar, read_end, read_signature
from comity.services.charter.suspensions import Suspensions
from comity.services.charter.winding_up import WindingUp
from comity.services.trust.ledger import Ledger
from comity.storage.charter import CharterStore


class Hearing:
    """``hear`` is given to ``TrustService.carry``."""

    def __init__(
        self,
        ledger: Ledger,
        store: CharterStore,
        registrar: Registrar,
        suspensions: Suspensions,
        winding_up: WindingUp,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._registrar = registrar
        self._suspensions = suspensions
        self._winding_up = winding_up

    def hear(self, sender: PublicKey, statement: PairStatement, envelope: Envelope) -> None:
        """One statement of ``sender`` that was found fresh and addressed to us. RemoteProtocolError."""
        match statement:
            case CharterPart():
                self._part(sender, statement)
            case CharterNote():
                self._note(sender, statement)
            case CharterSuspension():
                self._suspensions.heard(sender, statement)
            case CharterAttestation():
                self._winding_up.heard(sender, statement, envelope)
            case _:
                raise CharterRefused("a statement of that type has no place here")

    def _part(self, sender: PublicKey, said: CharterPart) -> None:
        party = str(sender.fingerprint)
        if said.part > said.parts:
            raise CharterRefused("a part of a charter is numbered beyond the last")
        if self._store.holding(said.charter) is not None:
            return  # it was proposed before
        try:
            data = base64.b64decode(said.data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise CharterRefused("a part of a charter is not base64") from error
        pieces = self._store.put_part(party, said.charter, said.part, said.parts, data)
        if sum(map(len, pieces.values())) > limits.CHARTER_BYTES:
            self._store.drop_parts(party)
            raise CharterRefused(f"the charter that is proposed has more than {limits.CHARTER_BYTES} bytes")
        if len(pieces) < said.parts:
            return
        self._store.drop_parts(party)
        canonical = b"".join(pieces[number] for number in sorted(pieces))
        if charter_digest(canonical) != said.charter:
            raise CharterRefused("the parts of the charter do not make what they were said to be parts of")
        try:
            volume = read(canonical)
        except (InvalidCharter, RemoteProtocolError) as error:
            raise CharterRefused(f"the charter that is proposed is none: {error.message}") from error
        self._registrar.propose(volume, by=party)

    def _note(self, sender: PublicKey, said: CharterNote) -> None:
        envelope = Envelope.from_json(said.statement.encode())
        bearer = str(sender.fingerprint)
        if envelope.payload_type == payload_type(CharterSignature):
            self._registrar.signature(envelope, read_signature(self._ledger, envelope), bearer=bearer)
        elif envelope.payload_type == payload_type(CharterEnd):
            self._registrar.end(envelope, read_end(self._ledger, envelope), bearer=bearer)
        else:
            raise CharterRefused("a note carries something that is neither a signature nor an end")
