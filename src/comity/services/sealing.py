"""The certificate of this node's sealing key, as the registry shows it: signed once a key, renewed in time.

The keys are ``storage.sealing``'s, which begins a new one before the old one ends (SECURITY.md rule 4).
"""

from __future__ import annotations

import hashlib

from comity.clock import Clock
from comity.identity.envelope import Envelope
from comity.services.notary import Notary
from comity.services.settled import Settled
from comity.storage.sealing import SealingKeyStore


class SealingCertificate:
    """Called for the current certificate: the same envelope until the key changes."""

    def __init__(self, keys: SealingKeyStore, notary: Notary, settled: Settled, clock: Clock) -> None:
        self._keys = keys
        self._notary = notary
        self._settled = settled
        self._clock = clock
        self._signed: tuple[int, Envelope] | None = None

    def __call__(self) -> Envelope:
        current = self._keys.current(self._clock.now())
        if self._signed is None or self._signed[0] != current.sequence:
            envelope = self._notary.sealing_key(current.key.public, current.sequence, current.expires)
            digest = hashlib.sha256(current.key.public).hexdigest()
            self._settled.key("sealing", f"{current.sequence} sha256:{digest}")
            self._signed = current.sequence, envelope
        return self._signed[1]

    @property
    def stale(self) -> bool:
        """Whether the certificate that was asked for last is not the current one any more."""
        signed = self._signed
        return signed is not None and self._keys.current(self._clock.now()).sequence != signed[0]
