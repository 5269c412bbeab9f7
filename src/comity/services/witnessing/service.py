"""When partners are asked to countersign, and what people are shown of it.

Each chosen partner is asked as soon as a session with it stands, then hourly, and shortly after a transfer or
an act on an agreement; after a failure with growing pauses. Countersigning adds entries to both logs; those
wait for the next hour, so that two logs never keep each other busy.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from comity import limits
from comity.audit.anchor import write_anchor
from comity.audit.note import Checkpoint, open_checkpoint
from comity.clock import rfc3339
from comity.control.audit import (
    AuditCheckpoint,
    AuditCheckpointRequest,
    AuditWitnessesResult,
    ConflictView,
    WitnessView,
)
from comity.errors import ComityError, InvalidInput
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.protocol.hello import WITNESS_PORT
from comity.services.audit.checking import Witnessed
from comity.services.trust import KnownPeer
from comity.services.witnessing.answering import Answering, certified_of
from comity.services.witnessing.asking import Asking
from comity.services.witnessing.surroundings import Surroundings

log = logging.getLogger("comity.witness")

#: What is worth a countersignature of its own: entries of kinds that begin so.
_WEIGHTY = ("exchange.", "agreement.", "charter.", "suspension.")


@dataclass
class _Plan:
    """When a partner may be asked, by the monotonic clock: in any case at ``next``, and where something
    weighty happened from ``soon`` on.
    """

    next: float = 0.0
    soon: float = 0.0
    wanted: bool = False
    failures: int = 0


class WitnessService:
    """``run`` is its life."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._asking = Asking(around)
        self._answering = Answering(around)
        self._plans: dict[PublicKey, _Plan] = {}
        self._wake = asyncio.Event()
        self._places = asyncio.Semaphore(limits.WITNESSES_AT_ONCE)
        around.network.serve(WITNESS_PORT, self._answering.answer)
        around.audit.watch(self._happened)

    async def run(self) -> None:
        """Ask whoever is due, until cancelled."""
        while True:
            await asyncio.gather(*(self._try(peer) for peer in self._due()))
            self._wake.clear()
            hurried = any(plan.wanted for plan in self._plans.values())
            pause = limits.WITNESS_SETTLE if hurried else limits.WITNESS_CHECK_EVERY
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(limits.WITNESS_SETTLE)  # what belongs together is countersigned together

    # ── when ──────────────────────────────────────────────────────────────────────────────────────────

    def _happened(self, kind: str) -> None:
        if kind.startswith(_WEIGHTY):
            for plan in self._plans.values():
                plan.wanted = True
            self._wake.set()

    def _due(self) -> list[PublicKey]:
        around, now = self._around, self._around.clock.monotonic()
        chosen = {known.key for known in around.trust.trusted_peers() if self._chosen(known)}
        self._plans = {peer: self._plans.get(peer) or _Plan() for peer in chosen}
        return [
            peer
            for peer, plan in self._plans.items()
            if (now >= plan.next or (plan.wanted and now >= plan.soon)) and around.sessions.tunnel(peer)
        ]

    def _chosen(self, known: KnownPeer) -> bool:
        names = self._around.chosen
        return not names or known.hostname in names or str(known.key.fingerprint) in names

    async def _try(self, peer: PublicKey) -> None:
        plan = self._plans[peer]
        async with self._places:
            plan.wanted = False
            try:
                await self._asking.ask(peer)
            except ComityError as error:
                plan.wanted, plan.failures = True, plan.failures + 1
                pause = limits.WITNESS_RETRY_FIRST * 2 ** min(plan.failures - 1, 16)
                plan.next = plan.soon = self._around.clock.monotonic() + min(pause, limits.WITNESS_EVERY)
                fields = {"peer": self._around.trust.hostname(peer), "code": error.code, "why": error}
                log.warning("not countersigned", extra={"fields": fields})
            except Exception:
                log.exception("countersigning failed")
                plan.next = plan.soon = self._around.clock.monotonic() + limits.WITNESS_EVERY
            else:
                plan.failures = 0
                now = self._around.clock.monotonic()
                plan.next, plan.soon = now + limits.WITNESS_EVERY, now + limits.WITNESS_LEAST

    # ── what people and other services see ────────────────────────────────────────────────────────────

    def heads(self) -> tuple[Witnessed, ...]:
        """What this log has to pass through: the greatest head that each partner countersigned, and any that
        a partner holds and this log doesn't.
        """
        around, key = self._around, self._around.audit.key
        found = [
            Witnessed(head.size, head.root, around.trust.hostname(head.witness))
            for head in around.store.latest()
        ]
        for kept in around.store.conflicts():
            if kept.owner == around.own:
                held = open_checkpoint(kept.signed, key.origin, key.public)
                found.append(Witnessed(held.size, held.root, "a partner"))
        return tuple(found)

    def witnesses(self) -> tuple[WitnessView, ...]:
        """Partners that countersigned this log, or are to."""
        around = self._around
        latest = {head.witness: head for head in around.store.latest()}
        asked = [known.key for known in around.trust.trusted_peers() if self._chosen(known)]
        views = []
        for peer in dict.fromkeys([*latest, *asked]):
            head = latest.get(peer)
            views.append(self._view(peer, head.size if head else 0, head.at if head else 0))
        return tuple(sorted(views, key=lambda view: view.hostname))

    def conflicts(self) -> tuple[ConflictView, ...]:
        """Logs that contradict themselves, this node's own among them."""
        return tuple(
            ConflictView(
                hostname=self._name(kept.owner),
                fingerprint=str(kept.owner.fingerprint),
                kind=kept.kind,
                why=kept.why,
                at=rfc3339(kept.at),
                signed=kept.signed.decode(),
                shown=kept.shown.decode(),
            )
            for kept in self._around.store.conflicts()
        )

    def overview(self) -> AuditWitnessesResult:
        """Both sides of countersigning."""
        around = self._around
        conflicts = self.conflicts()
        own = str(around.own.fingerprint)
        return AuditWitnessesResult(
            size=around.audit.size,
            witnesses=self.witnesses(),
            countersigned=tuple(
                self._view(kept.owner, kept.size, kept.at) for kept in around.store.all_signed()
            ),
            conflicts=conflicts,
            problem=next((one.why for one in conflicts if one.fingerprint == own), ""),
        )

    def checkpoint(self, request: AuditCheckpointRequest) -> AuditCheckpoint:
        """The latest head of a partner's log that this node countersigned; ``request.peer`` is a
        fingerprint.
        """
        wanted = Fingerprint.parse(request.peer)
        kept = next((one for one in self._around.store.all_signed() if one.owner.fingerprint == wanted), None)
        if kept is None:
            raise InvalidInput(
                "this node has not countersigned that partner's log yet", hint="run comity audit witnesses"
            )
        head = Checkpoint(certified_of(kept).origin, kept.size, kept.root)
        note = kept.note + self._answering.line(head, kept.at)
        certificate = self._around.certificate.to_json()
        return AuditCheckpoint(
            content=write_anchor(note, kept.certificate, certificate),
            hostname=self._around.trust.hostname(kept.owner),
            fingerprint=str(wanted),
            size=kept.size,
            root=kept.root.hex(),
            at=rfc3339(kept.at),
        )

    def _name(self, owner: PublicKey) -> str:
        return "this node" if owner == self._around.own else self._around.trust.hostname(owner)

    def _view(self, peer: PublicKey, size: int, at: int) -> WitnessView:
        return WitnessView(
            hostname=self._around.trust.hostname(peer),
            fingerprint=str(peer.fingerprint),
            size=size,
            at=rfc3339(at) if at else "",
        )
