"""Every proof of every small tree, against the RFC's recursive definitions and against pymerkle."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    nodes_for_append,
    root,
    verify_consistency,
    verify_inclusion,
)
from comity.errors import AuditInvalid

MOST = 130
DATA = [b"entry %d" % number for number in range(MOST)]
LEAVES = [leaf_hash(data) for data in DATA]
NODES: dict[tuple[int, int], bytes] = {}


def read(level: int, index: int) -> bytes:
    return NODES[level, index]


for _size, _leaf in enumerate(LEAVES):
    for _level, _index, _value in nodes_for_append(_size, _leaf, read):
        assert (_level, _index) not in NODES, "a stored node never changes"
        NODES[_level, _index] = _value


# ── the definitions of RFC 9162 §2.1, word for word ───────────────────────────────────────────────────


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], known: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


SIZES = st.integers(1, MOST)
PLACES = SIZES.flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size)))
GROWTHS = SIZES.flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new)))
REAL_GROWTHS = st.integers(2, MOST).flatmap(lambda new: st.tuples(st.integers(1, new - 1), st.just(new)))


@given(st.integers(0, MOST))
def test_roots_are_as_defined(size: int) -> None:
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(frontier.nodes_for(leaf))
    assert root(size, read) == frontier.root() == mth(LEAVES[:size])
    assert frontier.size == size


@given(PLACES)
def test_inclusion_proofs_are_as_defined_and_verify(place: tuple[int, int]) -> None:
    index, size = place
    proof = inclusion_proof(index, size, read)
    assert proof == path(index, LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, root(size, read), proof)


@given(GROWTHS)
def test_consistency_proofs_are_as_defined_and_verify(growth: tuple[int, int]) -> None:
    old, new = growth
    proof = consistency_proof(old, new, read)
    assert proof == subproof(old, LEAVES[:new], True)
    verify_consistency(old, new, root(old, read), root(new, read), proof)


# ── what must not verify ──────────────────────────────────────────────────────────────────────────────


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def refuses_inclusion(leaf: bytes, index: int, size: int, top: bytes, proof: list[bytes]) -> None:
    with pytest.raises(AuditInvalid):
        verify_inclusion(leaf, index, size, top, proof)


def refuses_consistency(old: int, new: int, before: bytes, after: bytes, proof: list[bytes]) -> None:
    with pytest.raises(AuditInvalid):
        verify_consistency(old, new, before, after, proof)


@given(PLACES, st.data())
def test_any_changed_bit_breaks_an_inclusion_proof(place: tuple[int, int], data: st.DataObject) -> None:
    index, size = place
    hashes = [LEAVES[index], root(size, read), *inclusion_proof(index, size, read)]
    which = data.draw(st.integers(0, len(hashes) - 1))
    hashes[which] = flipped(hashes[which], data.draw(st.integers(0, 255)))
    refuses_inclusion(hashes[0], index, size, hashes[1], hashes[2:])


@given(PLACES, st.integers(0, MOST - 1))
def test_an_inclusion_proof_is_of_one_place(place: tuple[int, int], other: int) -> None:
    index, size = place
    if other != index:
        refuses_inclusion(LEAVES[index], other, size, root(size, read), inclusion_proof(index, size, read))


@given(PLACES, st.data())
def test_an_inclusion_proof_has_one_length(place: tuple[int, int], data: st.DataObject) -> None:
    index, size = place
    proof = inclusion_proof(index, size, read)
    top, leaf = root(size, read), LEAVES[index]
    at = data.draw(st.integers(0, len(proof)))
    refuses_inclusion(leaf, index, size, top, [*proof[:at], data.draw(st.sampled_from(LEAVES)), *proof[at:]])
    if proof:
        without = data.draw(st.integers(0, len(proof) - 1))
        refuses_inclusion(leaf, index, size, top, proof[:without] + proof[without + 1 :])


@given(REAL_GROWTHS, st.data())
def test_any_changed_bit_breaks_a_consistency_proof(growth: tuple[int, int], data: st.DataObject) -> None:
    old, new = growth
    hashes = [root(old, read), root(new, read), *consistency_proof(old, new, read)]
    which = data.draw(st.integers(0, len(hashes) - 1))
    hashes[which] = flipped(hashes[which], data.draw(st.integers(0, 255)))
    refuses_consistency(old, new, hashes[0], hashes[1], hashes[2:])


@given(REAL_GROWTHS, st.data())
def test_a_consistency_proof_has_one_length(growth: tuple[int, int], data: st.DataObject) -> None:
    old, new = growth
    proof = consistency_proof(old, new, read)
    before, after = root(old, read), root(new, read)
    at = data.draw(st.integers(0, len(proof)))
    longer = [*proof[:at], data.draw(st.sampled_from(LEAVES)), *proof[at:]]
    refuses_consistency(old, new, before, after, longer)
    without = data.draw(st.integers(0, len(proof) - 1))
    refuses_consistency(old, new, before, after, proof[:without] + proof[without + 1 :])


@given(REAL_GROWTHS, st.integers(1, MOST))
def test_a_consistency_proof_is_of_one_old_size(growth: tuple[int, int], other: int) -> None:
    old, new = growth
    if other != old:
        refuses_consistency(other, new, root(old, read), root(new, read), consistency_proof(old, new, read))


@given(REAL_GROWTHS, st.data())
def test_a_rewritten_log_has_no_consistency_proof(growth: tuple[int, int], data: st.DataObject) -> None:
    """The attack itself: history changed before ``old``, an honest proof made over the new tree."""
    old, new = growth
    rewritten = list(LEAVES[:new])
    rewritten[data.draw(st.integers(0, old - 1))] = leaf_hash(b"something else")
    refuses_consistency(old, new, mth(LEAVES[:old]), mth(rewritten), subproof(old, rewritten, True))


def test_an_inner_node_is_no_leaf() -> None:
    """A proof that starts further up hashes to the root as well; only its length gives it away."""
    refuses_inclusion(NODES[1, 0], 0, 8, root(8, read), inclusion_proof(0, 8, read)[1:])


def test_a_proof_in_a_larger_tree_is_none_in_a_smaller() -> None:
    """The same hashes in the same order, with sizes that make the path shorter than it is."""
    refuses_inclusion(LEAVES[7], 3, 4, root(8, read), inclusion_proof(7, 8, read))
    refuses_consistency(3, 4, root(7, read), root(8, read), consistency_proof(7, 8, read))


HASHES = st.binary(min_size=32, max_size=32) | st.binary(max_size=40)
NUMBERS = st.integers(-2, 2**41) | st.integers(0, 10)


@given(HASHES, NUMBERS, NUMBERS, HASHES, st.lists(HASHES, max_size=50))
def test_nothing_but_audit_invalid_comes_out_of_the_verifiers(
    one: bytes, small: int, large: int, two: bytes, proof: list[bytes]
) -> None:
    with contextlib.suppress(AuditInvalid):
        verify_inclusion(one, small, large, two, proof)
    with contextlib.suppress(AuditInvalid):
        verify_consistency(small, large, one, two, proof)


# ── an independent implementation ─────────────────────────────────────────────────────────────────────


def test_pymerkle_agrees() -> None:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for data in DATA:
        tree.append_entry(data)
    for size in range(1, MOST + 1):
        assert tree.get_root(size) == root(size, read)
        for index in {0, size // 3, size // 2, size - 1}:
            theirs = tree.prove_inclusion(index + 1, size)
            assert theirs.path[1:] == inclusion_proof(index, size, read)
            verify_inclusion(theirs.path[0], index, size, tree.get_root(size), theirs.path[1:])
        for old in {1, size // 3, size // 2, size - 1, size} - {0}:
            proof = consistency_proof(old, size, read)
            verify_consistency(old, size, tree.get_root(old), tree.get_root(size), proof)
