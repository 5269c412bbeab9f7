"""The witness: port 445, where partners hand in their logs' heads.

In this order, in one transaction: open the head under the log key that the partner's identity certifies, hold
it against the last one that was signed, keep the new one. Only then is it signed, so that after a crash the
next head is judged by this one. What contradicts is kept with both of the partner's signatures, on record and
in the log, and nothing is signed.
"""

from __future__ import annotations

import asyncio
import logging

from comity import limits
from comity.audit.cosignature import cosign
from comity.audit.note import Checkpoint
from comity.audit.witnessing import Accepted, Conflict, Outdated, judge, parse_submission
from comity.errors import AuditInvalid, ComityError, RateLimited, RemoteProtocolError, TimedOut
from comity.identity.keys import PublicKey
from comity.protocol import witness
from comity.protocol.logkeys import Certified, open_log_key
from comity.services.allowances import Allowances
from comity.services.refusals import Refusals
from comity.services.witnessing.surroundings import Surroundings
from comity.storage.witness import KeptConflict, WitnessedLog
from comity.transport.interface import Stream

log = logging.getLogger("comity.witness")


class Answering:
    """``answer`` serves one stream."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._name = around.audit.key.origin
        self._certificate = around.certificate.to_json().decode()
        self._allowances = Allowances(
            lambda _: True, limits.WITNESS_BURST, limits.WITNESS_PER_SECOND, around.clock
        )
        self._refusals = Refusals("witness.refused", around.audit, around.clock, lambda _: True)

    async def answer(self, stream: Stream) -> None:
        """One question, one answer. TimedOut where no question comes."""
        async with stream:
            try:
                async with asyncio.timeout(limits.WITNESS_TIMEOUT):
                    body = await stream.receive()
            except TimeoutError:
                raise TimedOut("the peer opened a stream for its log's head and sent none") from None
            if body is not None:
                await stream.send(witness.encode_message(self._said(stream.peer, body)))

    def _said(self, peer: PublicKey, body: bytes) -> witness.Answer:
        try:
            if not self._allowances.take(peer):
                raise RateLimited("heads come faster than they are signed")
            return self._judged(peer, witness.parse_request(body))
        except (AuditInvalid, RemoteProtocolError, RateLimited) as error:
            self._refusals.record(peer, error)
            return witness.Refused(reason=error.message[: limits.CLAIM_BYTES])
        except ComityError as error:  # it can't be kept: then nothing is signed
            log.error("head not signed", extra={"fields": {"code": error.code, "why": error}})  # noqa: TRY400  no bug of ours: the disk
            return witness.Refused(reason="the node cannot keep what it signs now")

    def _last_signed(self, peer: PublicKey) -> WitnessedLog | None:
        """A log goes on where its node's key was rotated, and so does what was signed of it."""
        last = self._around.store.last_signed(peer)
        former = self._around.trust.predecessor(peer) if last is None else None
        return last if former is None else self._around.store.last_signed(former)

    def _judged(self, peer: PublicKey, asked: witness.AddCheckpoint) -> witness.Answer:
        around, certificate = self._around, asked.certificate.encode()
        now = int(around.clock.now())
        certified = open_log_key(certificate, peer, now)
        submission = parse_submission(asked.submission.encode())
        with around.db.transaction():
            last = self._last_signed(peer)
            signed = None if last is None else Checkpoint(certified.origin, last.size, last.root)
            found = judge(submission, signed, origin=certified.origin, log_key=certified.key)
            match found:
                case Outdated():
                    note = "" if last is None else last.note.decode()
                    return witness.Outdated(size=found.last.size, note=note)
                case Conflict():
                    return self._contradicted(peer, found, submission.note, last, certificate)
                case Accepted(head):
                    at = now if last is None else max(now, last.at)
                    around.store.sign(
                        WitnessedLog(peer, head.size, head.root, at, submission.note, certificate)
                    )
                    if last is None or head.size > last.size:
                        around.audit.append(
                            "witness.signed", peer=peer, digest=f"sha256:{head.root.hex()}", size=head.size
                        )
        # What is signed is durable: the transaction is over.
        return witness.Cosigned(certificate=self._certificate, line=self.line(head, at).decode())

    def line(self, head: Checkpoint, at: int) -> bytes:
        """This node's cosignature of a head that is kept; the same bytes each time."""
        return cosign(head, self._name, self._around.audit.key.private, at)

    def _contradicted(
        self,
        peer: PublicKey,
        found: Conflict,
        note: bytes,
        last: WitnessedLog | None,
        certificate: bytes,
    ) -> witness.Contradicted:
        around = self._around
        signed = b"" if last is None else last.note
        kept = KeptConflict(peer, note, signed, found.kind, found.why, int(around.clock.now()), certificate)
        if around.store.keep(kept):
            around.audit.append(
                "witness.conflict",
                peer=peer,
                reasons=(found.why,),
                digest=f"sha256:{found.head.root.hex()}",
                what=found.kind,
                size=found.head.size,
                signed_size=found.last.size,
            )
            fields = {"peer": around.trust.hostname(peer), "kind": found.kind, "why": found.why}
            log.error("a partner's audit log contradicts itself", extra={"fields": fields})
        return witness.Contradicted(
            kind=found.kind, reason=found.why[: limits.CLAIM_BYTES], note=signed.decode()
        )


def certified_of(kept: WitnessedLog) -> Certified:
    """Whose log key a kept head is signed by; its certificate was in force when it was kept."""
    return open_log_key(kept.certificate, kept.owner, None)
