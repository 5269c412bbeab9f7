"""The Merkle tree of RFC 9162 §2.1: its hashes, and the proofs that a log only ever grew.

Only complete subtrees are stored: node (level, index) is the hash over the leaves from
``index << level`` up to ``(index + 1) << level``, so a stored node never changes, and an append adds
the new leaf and the subtrees that it completes. Every other hash is computed from those, in O(log n)
reads. Where the nodes live is the reader's business; nothing here keeps or fetches them.

Hashes are 32 bytes of SHA-256, sizes are at most ``limits.AUDIT_TREE_SIZE``. What our own code asks
wrongly (a proof outside the tree) raises LocalProtocolError; what somebody else claims wrongly raises
AuditInvalid. The verifiers return nothing and raise, so that a result cannot be left unread.

A root does not commit to the size of its tree: sizes must come from a signed checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from comity import limits
from comity.errors import AuditInvalid, LocalProtocolError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves, RFC 9162 §2.1.1."""

NodeReader = Callable[[int, int], bytes]
"""The stored hash of node (level, index); raises AuditInvalid for one that is missing."""

Node = tuple[int, int, bytes]
"""A node to store: level, index, hash."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of the leaf that holds ``data``, any number of bytes (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node over two hashes (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def nodes_for_append(size: int, leaf: bytes, read: NodeReader) -> list[Node]:
    """What a tree of ``size`` leaves must store for one more: the leaf, then the subtrees it completes.

    ``leaf`` is the new leaf's *hash* (``leaf_hash(data)``), not its data. Levels ascend from 0.
    """
    _ask(0 <= size < limits.AUDIT_TREE_SIZE, f"a tree of {size} leaves takes no more")
    _ask(len(leaf) == HASH_BYTES, f"a leaf hash is {HASH_BYTES} bytes, not {len(leaf)}")
    level, index, value = 0, size, leaf
    nodes = [(level, index, value)]
    while index & 1:
        value = node_hash(_read(read, level, index - 1), value)
        level, index = level + 1, index >> 1
        nodes.append((level, index, value))
    return nodes


def root(size: int, read: NodeReader) -> bytes:
    """The root over the first ``size`` leaves: MTH(D_n) of RFC 9162 §2.1.1."""
    _ask(0 <= size <= limits.AUDIT_TREE_SIZE, f"no tree has {size} leaves")
    return _range_hash(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """PATH(index, D_size) of RFC 9162 §2.1.3.1: the siblings on the way up, the leaf's own first."""
    _ask(0 <= index < size <= limits.AUDIT_TREE_SIZE, f"leaf {index} is not in a tree of {size}")
    start, end = 0, size
    siblings: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return [_range_hash(*sibling, read) for sibling in reversed(siblings)]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """PROOF(old, D_new) of RFC 9162 §2.1.4.1; empty where there is nothing to prove (0, or the same)."""
    _ask(0 <= old <= new <= limits.AUDIT_TREE_SIZE, f"a tree of {new} does not extend one of {old}")
    if old == 0:
        return []
    start, end = 0, new
    ranges: list[tuple[int, int]] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # else the last range is the whole old tree, whose root the verifier has already
        ranges.append((start, end))
    return [_range_hash(*item, read) for item in reversed(ranges)]


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check that ``leaf`` (a leaf hash) is number ``index`` of the ``size`` leaves under ``root``.

    RFC 9162 §2.1.3.2. Returns nothing; raises AuditInvalid when the proof does not show it.
    """
    _claim(0 <= index < size <= limits.AUDIT_TREE_SIZE, f"leaf {index} is not in a tree of {size}")
    _claim_hashes(leaf, root, *proof)
    place, last, value = index, size - 1, leaf
    for sibling in proof:
        _claim(last > 0, "inclusion proof is too long")
        if place & 1 or place == last:
            value = node_hash(sibling, value)
            while place and not place & 1:  # levels at which the right edge has no sibling
                place, last = place >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        place, last = place >> 1, last >> 1
    _claim(last == 0, "inclusion proof is too short")
    _claim(value == root, "inclusion proof leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the ``new`` leaves under ``new_root`` begin with the ``old`` ones under ``old_root``.

    RFC 9162 §2.1.4.2, and every tree extends the empty one (C2SP tlog-witness: old size 0, no proof),
    which says nothing about ``new_root``. Returns nothing; raises AuditInvalid.
    """
    _claim(0 <= old <= new <= limits.AUDIT_TREE_SIZE, f"a tree of {new} does not extend one of {old}")
    _claim_hashes(old_root, new_root, *proof)
    if old in (0, new):
        _claim(not proof, "consistency proof is too long")
        _claim(old_root == (new_root if old == new else EMPTY_ROOT), "the old root is another one")
        if old == new == 0:
            _claim(new_root == EMPTY_ROOT, "an empty tree has another root")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    _claim(bool(path), "consistency proof is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_value = new_value = path[0]
    for sibling in path[1:]:
        _claim(last > 0, "consistency proof is too long")
        if place & 1 or place == last:
            old_value = node_hash(sibling, old_value)
            new_value = node_hash(sibling, new_value)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new_value = node_hash(new_value, sibling)
        place, last = place >> 1, last >> 1
    _claim(last == 0, "consistency proof is too short")
    _claim(old_value == old_root, "consistency proof leads to another old root")
    _claim(new_value == new_root, "consistency proof leads to another new root")


class Frontier:
    """A tree that is only appended to, in O(log n) memory: it keeps one complete subtree per level."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: dict[int, bytes] = {}

    @classmethod
    def resume(cls, size: int, read: NodeReader) -> Frontier:
        """The tree of ``size`` leaves whose complete subtrees ``read`` holds, to go on from."""
        _ask(0 <= size <= limits.AUDIT_TREE_SIZE, f"no tree has {size} leaves")
        tree = cls()
        tree.size = size
        for level in range(size.bit_length()):
            if size >> level & 1:
                tree._peaks[level] = _read(read, level, (size >> level) - 1)
        return tree

    def nodes_for(self, leaf: bytes) -> list[Node]:
        """What ``append`` of this leaf hash would add; nothing is added yet."""
        return nodes_for_append(self.size, leaf, self._read)

    def append(self, nodes: Sequence[Node]) -> None:
        """Add the leaf whose ``nodes_for`` this is."""
        level, _, value = nodes[-1]
        self._peaks[level] = value  # those merged into it stay, and are replaced before their level is read
        self.size += 1

    def root(self) -> bytes:
        return root(self.size, self._read)

    def _read(self, level: int, index: int) -> bytes:
        return self._peaks[level]  # the only node of its level that appending and the root ever read


def _split(width: int) -> int:
    """The largest power of two smaller than ``width``, which is 2 or more."""
    return 1 << (width - 1).bit_length() - 1


def _range_hash(start: int, end: int, read: NodeReader) -> bytes:
    """MTH over the leaves [start, end), where RFC 9162's splits lead: start is aligned to the width."""
    peaks = _peaks(start, end)
    level, index = next(peaks)
    value = _read(read, level, index)
    for level, index in peaks:
        value = node_hash(_read(read, level, index), value)
    return value


def _peaks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees that make up [start, end), the smallest, which is the rightmost, first."""
    while end > start:
        width = end - start
        level = (width & -width).bit_length() - 1
        end -= 1 << level
        yield level, end >> level


def _read(read: NodeReader, level: int, index: int) -> bytes:
    value = read(level, index)
    _claim(len(value) == HASH_BYTES, f"tree node ({level}, {index}) is {len(value)} bytes")
    return value


def _ask(condition: bool, message: str) -> None:
    if not condition:
        raise LocalProtocolError(message)


def _claim(condition: bool, message: str) -> None:
    if not condition:
        raise AuditInvalid(message)


def _claim_hashes(*values: bytes) -> None:
    for value in values:
        _claim(len(value) == HASH_BYTES, f"a tree hash is {HASH_BYTES} bytes, not {len(value)}")
