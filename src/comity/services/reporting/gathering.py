"""One partner's entries of a period, sorted into what was agreed, what passed, and what did not.

It reads entries and decides nothing about them; each keeps its index, by which it can be proved. Entries that
carry others on, such as sessions and countersignatures, are only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from comity import limits
from comity.audit import merkle
from comity.audit.entry import Entry
from comity.audit.period import Period
from comity.audit.verify import REDACTED, StoredEntry
from comity.clock import rfc3339
from comity.control.report import (
    ReportAct,
    ReportFlow,
    ReportProof,
    ReportRefusal,
    ReportTally,
)
from comity.errors import TooLarge
from comity.services.audit.reading import Filter
from comity.storage.audit import AuditReader

#: Kinds that tell of the partnership itself: their first word.
_ACTS = frozenset(
    {
        "handshake",
        "approval",
        "rejection",
        "revocation",
        "agreement",
        "charter",
        "identity",
        "expose",
        "key",
        "audit",
    }
)
_PASSED = frozenset(
    {
        "exchange.sent",
        "exchange.received",
        "events.sent",
        "events.published",
        "events.stored",
        "forward.closed",
    }
)
_FAILED = frozenset(
    {
        "exchange.failed",
        "exchange.cancelled",
        "exchange.interrupted",
        "witness.conflict",
        "log.contradicted",
        "peer.untrusted",
    }
)
_OUT = frozenset({"exchange.sent", "events.sent", "events.published"})


@dataclass
class Gathered:
    """``size`` and ``root`` are of the log that ``proofs`` lead to."""

    size: int
    root: bytes
    acts: list[ReportAct] = field(default_factory=list)
    flows: list[ReportFlow] = field(default_factory=list)
    refusals: list[ReportRefusal] = field(default_factory=list)
    tallies: list[ReportTally] = field(default_factory=list)
    proofs: list[ReportProof] = field(default_factory=list)
    entries: int = 0
    erased: int = 0


def gather(reader: AuditReader, peer: str, period: Period, most: int = limits.REPORT_ENTRIES) -> Gathered:
    """Everything about the fingerprint ``peer`` in the period.

    TooLarge where there is more than ``most``; AuditInvalid where the log can't be read.
    """
    size = reader.size()
    found = Gathered(size, merkle.root(size, reader.node))
    counts: Counter[tuple[str, str, str]] = Counter()
    for stored, entry in Filter(peer, None, None, period).entries(reader):
        if entry is None or stored.index >= size:
            continue
        found.entries += 1
        if entry.decision is not None:
            counts[entry.operation or "", _text(entry, "service"), entry.decision] += 1
        if not _sorted(found, stored, entry):
            continue
        if len(found.proofs) == most:
            raise TooLarge(
                f"the period has more than {most} entries to report",
                hint="report a shorter period, with --from and --to",
            )
        _prove(found, reader.node, stored)
    operations = sorted({(operation, service) for operation, service, _ in counts})
    found.tallies = [
        ReportTally(*pair, allowed=counts[*pair, "allow"], denied=counts[*pair, "deny"])
        for pair in operations
    ]
    return found


def _sorted(found: Gathered, stored: StoredEntry, entry: Entry) -> bool:
    """Put it where it belongs; whether it is in the report, then."""
    at, index = rfc3339(entry.at / 1000), stored.index
    if entry.kind in _PASSED:
        found.flows.append(_flow(index, at, entry))
    elif entry.kind in _FAILED or entry.kind.endswith(".refused") or entry.decision == "deny":
        unrecorded = entry.detail.get("unrecorded")
        found.refusals.append(
            ReportRefusal(
                index=index,
                at=at,
                kind=entry.kind,
                operation=entry.operation or "",
                what=_what(entry),
                reasons=entry.reasons,
                unrecorded=unrecorded if isinstance(unrecorded, int) else 0,
            )
        )
    elif entry.kind.partition(".")[0] in _ACTS:
        found.erased += entry.kind == REDACTED
        found.acts.append(ReportAct(index, at, entry.kind, entry.digest, dict(entry.detail), entry.reasons))
    else:
        return False
    return True


def _flow(index: int, at: str, entry: Entry) -> ReportFlow:
    return ReportFlow(
        index=index,
        at=at,
        kind=entry.kind,
        direction="both" if entry.kind == "forward.closed" else "out" if entry.kind in _OUT else "in",
        what=_what(entry),
        bytes=_bytes(entry),
        digest=entry.digest,
        receipt=_text(entry, "receipt") or None,
        manifest=_text(entry, "manifest") or None,
        agreement=_text(entry, "agreement") or None,
    )


def _what(entry: Entry) -> str:
    detail = entry.detail
    if "port" in detail:
        return f"port {detail['port']}"
    if "events" in detail:
        return f"{detail['events']} × {_text(entry, 'topic')}"
    return _text(entry, "name") or _text(entry, "topic") or _text(entry, "service")


def _bytes(entry: Entry) -> int | None:
    counts = [entry.detail.get(name) for name in ("bytes", "bytes_sent", "bytes_received")]
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else None


def _text(entry: Entry, name: str) -> str:
    value = entry.detail.get(name)
    return value if isinstance(value, str) else ""


def _prove(found: Gathered, read: Callable[[int, int], bytes], stored: StoredEntry) -> None:
    path = merkle.inclusion_proof(stored.index, found.size, read)
    leaf = merkle.leaf_hash(stored.commitment)
    found.proofs.append(ReportProof(stored.index, leaf.hex(), tuple(value.hex() for value in path)))
