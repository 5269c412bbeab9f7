"""The tree's published answers: Certificate Transparency's eight leaves, and the example of RFC 9162 §2.1.5.

Leaves, roots and proofs are those of certificate-transparency's merkle_tree_test.cc, which its Go, C++ and
Python implementations share.
"""

from __future__ import annotations

import pytest

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

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


class Stored:
    """The nodes of a tree, kept in memory."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        for size, data in enumerate(leaves):
            for level, index, value in nodes_for_append(size, leaf_hash(data), self):
                self.nodes[level, index] = value

    def __call__(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


TREE = Stored(LEAVES)


@pytest.mark.parametrize("size", range(9))
def test_roots(size: int) -> None:
    assert root(size, TREE).hex() == ROOTS[size]
    frontier = Frontier()
    for data in LEAVES[:size]:
        frontier.append(frontier.nodes_for(leaf_hash(data)))
    assert frontier.root().hex() == ROOTS[size]


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == ROOTS[0]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion(index: int, size: int) -> None:
    proof = inclusion_proof(index, size, TREE)
    assert [value.hex() for value in proof] == INCLUSION[index, size]
    verify_inclusion(leaf_hash(LEAVES[index]), index, size, bytes.fromhex(ROOTS[size]), proof)


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency(old: int, new: int) -> None:
    proof = consistency_proof(old, new, TREE)
    assert [value.hex() for value in proof] == CONSISTENCY[old, new]
    verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), proof)


def test_the_example_of_rfc_9162() -> None:
    """§2.1.5, with its letters: seven leaves, and the trees of three, four and six before."""
    data = [b"d%d" % number for number in range(7)]
    a, b, c, d, e, f, j = (leaf_hash(item) for item in data)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, ell = node_hash(g, h), node_hash(i, j)
    tree = Stored(data)
    assert root(7, tree) == node_hash(k, ell)
    assert root(3, tree) == node_hash(g, c)
    assert root(4, tree) == k
    assert root(6, tree) == node_hash(k, i)
    assert inclusion_proof(0, 7, tree) == [b, h, ell]
    assert inclusion_proof(3, 7, tree) == [c, g, ell]
    assert inclusion_proof(4, 7, tree) == [f, j, k]
    assert inclusion_proof(6, 7, tree) == [i, k]
    assert consistency_proof(3, 7, tree) == [c, d, g, ell]
    assert consistency_proof(4, 7, tree) == [ell]
    assert consistency_proof(6, 7, tree) == [i, j, k]
