"""The log's side: have the head of this node's log countersigned by one partner.

What comes back is believed only as far as signatures go: a cosignature has to verify under the key that the
partner's identity certifies, and a claim that this log contradicts itself has to come with a head that this
log's own key signed. If such a head is not in the log, the log was cut, restored from a backup or replaced:
that is kept, and ``audit verify`` fails from then on.
"""

from __future__ import annotations

import asyncio
import logging

from comity import limits
from comity.audit.cosignature import verify_cosignature
from comity.audit.note import Checkpoint, open_checkpoint
from comity.audit.witnessing import Submission
from comity.errors import AuditInvalid, LinkLost, PeerRefused, RemoteProtocolError, TimedOut
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol import witness
from comity.protocol.hello import WITNESS_PORT
from comity.protocol.logkeys import open_log_key
from comity.services.witnessing.surroundings import SERVICE, Surroundings
from comity.storage.witness import KeptConflict

log = logging.getLogger("comity.witness")


class LogContradicted(AuditInvalid):
    """A partner holds a head that this log's key signed, and this log doesn't pass through it."""

    code = "audit_contradicted"
    default_hint = "keep a copy of the home folder as it is; was it restored from a backup?"


class Asking:
    """``ask`` is one round with one partner."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._certificate = around.certificate.to_json().decode()

    async def ask(self, peer: PublicKey) -> int:
        """The size that it has countersigned now.

        Raises what ``Network.dial`` raises, Denied, PeerRefused with its reason, RemoteProtocolError,
        AuditInvalid for a cosignature that is none, LogContradicted, LinkLost, TimedOut.
        """
        try:
            async with asyncio.timeout(limits.WITNESS_TIMEOUT):
                return await self._ask(peer)
        except TimeoutError:
            raise TimedOut("the partner did not countersign in time") from None

    async def _ask(self, peer: PublicKey) -> int:
        around = self._around
        head, note = around.audit.head()
        old = min(around.store.last_cosigned(peer), head.size)
        around.guard.require(Operation(kind="connect", peer=peer, service=SERVICE))
        for _ in range(2):  # the second time from where the witness says that it is
            around.store.asked(peer, head.size, head.root)
            submission = Submission(old, around.audit.consistency(old, head.size), note)
            match await self._said(peer, submission):
                case witness.Cosigned() as answer:
                    return self._countersigned(peer, head, note, answer)
                case witness.Outdated(size=size, note=theirs):
                    # A head that is none of this log is handed in all the same: then the partner knows, too.
                    old = min(self._held(theirs).size, head.size) if size else 0
                case witness.Contradicted(note=theirs, reason=reason):
                    self._ours(peer, theirs, note)
                    raise RemoteProtocolError(f"the partner claims a contradiction that is none: {reason}")
                case witness.Refused(reason=reason):
                    raise PeerRefused(f"the partner countersigned nothing: {reason}")
        raise RemoteProtocolError("the partner does not say where it is")

    async def _said(self, peer: PublicKey, submission: Submission) -> witness.Answer:
        asked = witness.AddCheckpoint(certificate=self._certificate, submission=submission.text().decode())
        async with await self._around.network.dial(peer, WITNESS_PORT, purpose=SERVICE) as stream:
            await stream.send(witness.encode_message(asked))
            body = await stream.receive()
        if body is None:
            raise LinkLost("the partner ended the stream without an answer")
        return witness.parse_answer(body)

    def _countersigned(self, peer: PublicKey, head: Checkpoint, note: bytes, answer: witness.Cosigned) -> int:
        around, line, certificate = self._around, answer.line.encode(), answer.certificate.encode()
        now = around.clock.now()
        certified = open_log_key(certificate, peer, now)
        seen, at = verify_cosignature(note + line, certified.origin, certified.key)
        if seen != head or at > now + limits.CLOCK_SKEW:
            raise AuditInvalid("the partner's cosignature is of another head, or from the future")
        with around.db.transaction():
            before = around.store.last_cosigned(peer)
            around.store.cosigned(peer, head.size, at, line, certificate)
            if head.size > before:
                around.audit.append(
                    "witness.countersigned", peer=peer, digest=f"sha256:{head.root.hex()}", size=head.size
                )
        return head.size

    def _held(self, theirs: str) -> Checkpoint:
        """A head of this log that a partner holds; AuditInvalid where this log's key did not sign it."""
        key = self._around.audit.key
        return open_checkpoint(theirs.encode(), key.origin, key.public)

    def _ours(self, peer: PublicKey, theirs: str, note: bytes) -> int:
        """The size of a head that the partner holds, if it is one of this log. LogContradicted where it was
        signed by this log's key, and is not; AuditInvalid where it was not signed by it.
        """
        around, held = self._around, self._held(theirs)
        size = self._held(note.decode()).size
        if held.size <= size and around.audit.root(held.size) == held.root:
            return held.size
        name = around.trust.hostname(peer)
        why = f"{name} countersigned {held.size} entries that this log, with {size}, does not begin with"
        kept = KeptConflict(
            around.own,
            note,
            theirs.encode(),
            "rollback" if held.size > size else "equivocation",
            why,
            int(around.clock.now()),
            self._certificate.encode(),
        )
        with around.db.transaction():
            if around.store.keep(kept):
                around.audit.append(
                    "log.contradicted",
                    peer=peer,
                    reasons=(why,),
                    digest=f"sha256:{held.root.hex()}",
                    size=size,
                    signed_size=held.size,
                )
                log.error("this node's audit log contradicts what it signed", extra={"fields": {"why": why}})
        raise LogContradicted(why)
