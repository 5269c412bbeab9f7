"""Recompute a whole log from its entries, and hold it against the head that was signed.

It streams: O(log n) memory, each entry once. It checks every body against its commitment, every
commitment against the tree, and the tree against the checkpoint, and names the first entry that is not
what was logged. An erased entry counts by its commitment alone (SECURITY.md rule 20), and only where a later
entry of kind ``REDACTED`` names it. ``anchors`` are heads that somebody else countersigned: the tree has to
pass through each. Without them it proves that what was signed is unchanged, not that nobody was shown another
head (rule 19); and never that everything was logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from comity.audit.entry import COMMITMENT_BYTES, Entry, commitment, parse_entry
from comity.audit.merkle import Frontier, Node, NodeReader, leaf_hash
from comity.audit.note import Checkpoint, open_checkpoint
from comity.errors import AuditInvalid

REDACTED = "audit.redacted"
"""The kind of the entry that records an erasure; ``detail["index"]`` is the entry that was erased."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row of the log: ``salt`` and ``body`` are both there, or both erased (None)."""

    index: int
    salt: bytes | None
    body: bytes | None
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. ``problem`` is None when the log holds; it reads as an error's message does.

    ``size`` and ``root`` are of the entries that were checked and hold, which is the whole log unless
    there is a problem. ``signed_size`` of them are what the checkpoint covers (0 if it is not the log's).
    ``erased`` of them have no body any more. ``first_bad`` is the index of the first entry that is wrong or
    missing, or None where the problem has no single place.
    """

    size: int
    root: bytes
    signed_size: int
    erased: int
    first_bad: int | None
    problem: str | None

    @property
    def valid(self) -> bool:
        return self.problem is None


def verify_log(
    entries: Iterable[StoredEntry],
    checkpoint: bytes,
    *,
    origin: str,
    log_key: bytes,
    nodes: NodeReader | None = None,
    since: int = 0,
    anchors: Mapping[int, bytes] | None = None,
) -> Verification:
    """Check the log ``origin``: its entries in order, against the signed note ``checkpoint``.

    ``log_key`` is the log's Ed25519 key, 32 bytes, from a source that is not the log. Entries may go on
    after the checkpoint. ``nodes`` reads the stored tree, which is then compared as well; it is what lets a
    changed commitment be named. ``since``: the first of ``entries`` has this index, and what precedes it is
    taken from ``nodes``. ``anchors``: roots by size that the log must have. Raises only what ``entries`` and
    ``nodes`` raise, other than AuditInvalid.
    """
    return _Examination(origin, log_key, nodes, dict(anchors or {})).examine(entries, checkpoint, since)


class _Examination:
    """One verification under way."""

    def __init__(
        self, origin: str, log_key: bytes, nodes: NodeReader | None, anchors: dict[int, bytes]
    ) -> None:
        self._origin = origin
        self._log_key = log_key
        self._nodes = nodes
        self._anchors = anchors
        self._tree = Frontier()
        self._signed_size = 0
        self._erased = 0
        self._unexplained: set[int] = set()

    def examine(self, entries: Iterable[StoredEntry], checkpoint: bytes, since: int) -> Verification:
        try:
            head = open_checkpoint(checkpoint, self._origin, self._log_key)
            if since and self._nodes is not None:
                self._tree = Frontier.resume(since, self._nodes)
            self._pass(head)
        except AuditInvalid as error:
            return self._found(None, error.message)
        for entry in entries:
            try:
                new = self._next(entry)
            except AuditInvalid as error:
                return self._found(self._tree.size, f"entry {self._tree.size}: {error.message}")
            self._tree.append(new)
            try:
                self._pass(head)
            except AuditInvalid as error:
                return self._found(None, error.message)
        return self._end(head)

    def _end(self, head: Checkpoint) -> Verification:
        size = self._tree.size
        if size < head.size:
            return self._found(size, f"entry {size}: missing, of the {head.size} that were signed")
        longest = max(self._anchors, default=0)
        if size < longest:
            return self._found(size, f"entry {size}: missing, of the {longest} that were countersigned")
        if self._unexplained:
            first = min(self._unexplained)
            return self._found(first, f"entry {first}: erased, and no entry records that it was")
        return self._found(None, None)

    def _found(self, first_bad: int | None, problem: str | None) -> Verification:
        return Verification(
            self._tree.size, self._tree.root(), self._signed_size, self._erased, first_bad, problem
        )

    def _pass(self, head: Checkpoint) -> None:
        """Hold the tree, as it now is, against the heads that are known of this size."""
        anchor = self._anchors.get(self._tree.size)
        if anchor is not None and self._tree.root() != anchor:
            raise AuditInvalid(
                f"the first {self._tree.size} entries are not those that were countersigned: "
                "this is another log, or an entry before was replaced"
            )
        _check_head(self._tree, head)
        if self._tree.size == head.size:
            self._signed_size = head.size

    def _next(self, stored: StoredEntry) -> list[Node]:
        """The nodes that the next entry adds; AuditInvalid if it is not what was logged."""
        new, entry = _check_entry(self._tree, stored, self._nodes)
        if entry is None:
            self._erased += 1
            self._unexplained.add(stored.index)
        elif entry.kind == REDACTED:
            erased = entry.detail.get("index")
            if isinstance(erased, int):
                self._unexplained.discard(erased)
        return new


def _check_head(tree: Frontier, head: Checkpoint) -> None:
    if tree.size == head.size and tree.root() != head.root:
        raise AuditInvalid("the entries do not add up to the root that was signed")


def _check_entry(
    tree: Frontier, entry: StoredEntry, nodes: NodeReader | None
) -> tuple[list[Node], Entry | None]:
    """The nodes that the next entry adds to the tree, and what it says (None: erased)."""
    if entry.index != tree.size:
        raise AuditInvalid(f"missing: number {entry.index} stands in its place")
    if len(entry.commitment) != COMMITMENT_BYTES:
        raise AuditInvalid(f"its commitment is {len(entry.commitment)} bytes, not {COMMITMENT_BYTES}")
    said = None
    if entry.salt is not None and entry.body is not None:
        if commitment(entry.salt, entry.body) != entry.commitment:
            raise AuditInvalid("its body is not the one that was committed to")
        said = parse_entry(entry.body)
    elif entry.salt is not None or entry.body is not None:
        raise AuditInvalid("only half of it was erased")
    new = tree.nodes_for(leaf_hash(entry.commitment))
    if nodes is not None:
        for level, index, value in new:
            if nodes(level, index) != value:
                raise AuditInvalid(f"it does not fit the stored tree at node ({level}, {index})")
    return new, said
