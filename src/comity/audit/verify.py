"""Recompute a whole log from its entries, and hold it against the head that was signed.

It streams: O(log n) memory, each entry once. It checks every body against its commitment, every
commitment against the tree, and the tree against the checkpoint, and names the first entry that is not
what was logged. An erased entry counts by its commitment alone (SECURITY.md rule 20) and is counted apart,
for nothing here can tell why it was erased. It proves that what was signed is unchanged, not that
everything was logged, nor that nobody was shown another head: countersignatures are for that (rule 19).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from comity.audit.entry import COMMITMENT_BYTES, commitment, parse_entry
from comity.audit.merkle import Frontier, Node, NodeReader, leaf_hash
from comity.audit.note import Checkpoint, open_checkpoint
from comity.errors import AuditInvalid


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
) -> Verification:
    """Check the log ``origin``: all its entries in order, against the signed note ``checkpoint``.

    ``log_key`` is the log's Ed25519 key, 32 bytes, from a source that is not the log. Entries may go on
    after the checkpoint. ``nodes`` reads the stored tree, which is then compared as well; it is what lets a
    changed commitment be named. Raises only what ``entries`` and ``nodes`` raise, other than AuditInvalid.
    """
    tree, signed_size, erased = Frontier(), 0, 0

    def found(first_bad: int | None, problem: str | None) -> Verification:
        return Verification(tree.size, tree.root(), signed_size, erased, first_bad, problem)

    try:
        head = open_checkpoint(checkpoint, origin, log_key)
        _check_head(tree, head)
    except AuditInvalid as error:
        return found(None, error.message)
    for entry in entries:
        try:
            new = _check_entry(tree, entry, nodes)
        except AuditInvalid as error:
            return found(tree.size, f"entry {tree.size}: {error.message}")
        tree.append(new)
        erased += entry.body is None
        if tree.size == head.size:
            try:
                _check_head(tree, head)
            except AuditInvalid as error:
                return found(None, error.message)
            signed_size = head.size
    if tree.size < head.size:
        return found(tree.size, f"entry {tree.size}: missing, of the {head.size} that were signed")
    return found(None, None)


def _check_head(tree: Frontier, head: Checkpoint) -> None:
    if tree.size == head.size and tree.root() != head.root:
        raise AuditInvalid("the entries do not add up to the root that was signed")


def _check_entry(tree: Frontier, entry: StoredEntry, nodes: NodeReader | None) -> list[Node]:
    """The nodes that the next entry adds to the tree; AuditInvalid if it is not what was logged."""
    if entry.index != tree.size:
        raise AuditInvalid(f"missing: number {entry.index} stands in its place")
    if len(entry.commitment) != COMMITMENT_BYTES:
        raise AuditInvalid(f"its commitment is {len(entry.commitment)} bytes, not {COMMITMENT_BYTES}")
    if entry.salt is not None and entry.body is not None:
        if commitment(entry.salt, entry.body) != entry.commitment:
            raise AuditInvalid("its body is not the one that was committed to")
        parse_entry(entry.body)
    elif entry.salt is not None or entry.body is not None:
        raise AuditInvalid("only half of it was erased")
    new = tree.nodes_for(leaf_hash(entry.commitment))
    if nodes is not None:
        for level, index, value in new:
            if nodes(level, index) != value:
                raise AuditInvalid(f"it does not fit the stored tree at node ({level}, {index})")
    return new
