"""The tree's edges: what is asked or claimed wrongly, and the largest size."""

from __future__ import annotations

import hashlib

import pytest

from comity import limits
from comity.audit.merkle import (
    EMPTY_ROOT,
    Node,
    NodeReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    nodes_for_append,
    root,
    verify_consistency,
    verify_inclusion,
)
from comity.errors import AuditInvalid, LocalProtocolError

LEAF = leaf_hash(b"the same")
MOST = limits.AUDIT_TREE_SIZE


def uniform() -> NodeReader:
    """A tree of any size whose leaves are all the same: one hash for each level."""
    levels = [LEAF]
    for _ in range(MOST.bit_length()):
        levels.append(node_hash(levels[-1], levels[-1]))
    return lambda level, _index: levels[level]


def refuse(level: int, index: int) -> bytes:
    raise AuditInvalid(f"node ({level}, {index}) is missing")


def test_leaf_and_node_hashes_are_of_rfc_9162() -> None:
    assert leaf_hash(b"data") == hashlib.sha256(b"\x00data").digest()
    assert node_hash(b"l" * 32, b"r" * 32) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()


@pytest.mark.parametrize("size", [MOST, MOST - 1, MOST // 2 + 1, 3 * MOST // 4, 0x5555555555])
def test_the_largest_trees_are_proved_in_few_reads(size: int) -> None:
    read = uniform()
    reads: list[tuple[int, int]] = []

    def counted(level: int, index: int) -> bytes:
        assert (index + 1) << level <= size, "only complete subtrees are stored"
        reads.append((level, index))
        return read(level, index)

    top = root(size, counted)
    for index in (0, 1, size // 3, size - 1):
        verify_inclusion(LEAF, index, size, top, inclusion_proof(index, size, counted))
    for old in (1, 2, size // 3, size // 2, size - 1, size):
        verify_consistency(old, size, root(old, counted), top, consistency_proof(old, size, counted))
    assert len(reads) < 2000


def test_an_append_to_a_large_tree_reads_one_node_a_level() -> None:
    read = uniform()
    nodes: list[Node] = nodes_for_append(MOST - 1, LEAF, read)
    assert [(level, index) for level, index, _ in nodes] == [
        (level, (MOST - 1) >> level) for level in range(41)
    ]
    assert nodes[-1][2] == root(MOST, read)


def test_an_append_to_an_even_tree_reads_nothing() -> None:
    assert nodes_for_append(6, LEAF, refuse) == [(0, 6, LEAF)]


def test_the_empty_tree_reads_nothing() -> None:
    assert root(0, refuse) == EMPTY_ROOT
    assert consistency_proof(0, 5, refuse) == []
    assert consistency_proof(5, 5, refuse) == []


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0), (0, MOST + 1)])
def test_inclusion_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(LocalProtocolError):
        inclusion_proof(index, size, uniform())
    with pytest.raises(AuditInvalid):
        verify_inclusion(LEAF, index, size, LEAF, [])


@pytest.mark.parametrize(("old", "new"), [(-1, 4), (5, 4), (0, MOST + 1)])
def test_consistency_outside_the_tree(old: int, new: int) -> None:
    with pytest.raises(LocalProtocolError):
        consistency_proof(old, new, uniform())
    with pytest.raises(AuditInvalid):
        verify_consistency(old, new, LEAF, LEAF, [])


@pytest.mark.parametrize("size", [-1, MOST + 1])
def test_no_tree_has_such_a_size(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        root(size, uniform())


@pytest.mark.parametrize(("size", "leaf"), [(-1, LEAF), (MOST, LEAF), (0, b"data"), (0, b"")])
def test_what_cannot_be_appended(size: int, leaf: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        nodes_for_append(size, leaf, uniform())


def test_a_stored_node_of_another_length_is_refused() -> None:
    with pytest.raises(AuditInvalid, match="31 bytes"):
        root(1, lambda _level, _index: bytes(31))
    with pytest.raises(AuditInvalid, match="33 bytes"):
        nodes_for_append(1, LEAF, lambda _level, _index: bytes(33))


def test_hashes_of_another_length_are_refused() -> None:
    with pytest.raises(AuditInvalid):
        verify_inclusion(b"", 0, 1, b"", [])
    with pytest.raises(AuditInvalid):
        verify_inclusion(LEAF, 0, 2, node_hash(LEAF, b"x"), [b"x"])
    with pytest.raises(AuditInvalid):
        verify_consistency(1, 1, b"x", b"x", [])


def test_every_tree_extends_the_empty_one() -> None:
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 3, EMPTY_ROOT, LEAF, [])
    for old, new, old_root, new_root, proof in (
        (0, 3, LEAF, LEAF, []),
        (0, 3, EMPTY_ROOT, LEAF, [LEAF]),
        (0, 0, LEAF, LEAF, []),
        (0, 0, EMPTY_ROOT, LEAF, []),
    ):
        with pytest.raises(AuditInvalid):
            verify_consistency(old, new, old_root, new_root, proof)


def test_a_tree_is_consistent_with_itself_alone() -> None:
    verify_consistency(3, 3, LEAF, LEAF, [])
    with pytest.raises(AuditInvalid):
        verify_consistency(3, 3, LEAF, EMPTY_ROOT, [])
    with pytest.raises(AuditInvalid):
        verify_consistency(3, 3, LEAF, LEAF, [LEAF])


def test_a_consistency_proof_cannot_be_empty() -> None:
    with pytest.raises(AuditInvalid, match="too short"):
        verify_consistency(3, 4, LEAF, LEAF, [])
    with pytest.raises(AuditInvalid, match="too short"):
        verify_consistency(2, 4, LEAF, LEAF, [])
