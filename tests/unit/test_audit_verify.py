"""A whole log: every way to change it is found, and the entry named where it can be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity.audit.entry import Entry, commitment, encode_entry
from comity.audit.merkle import EMPTY_ROOT, leaf_hash, nodes_for_append, root
from comity.audit.note import Checkpoint, sign_checkpoint, sign_note
from comity.audit.verify import REDACTED, StoredEntry, Verification, verify_log
from comity.errors import AuditInvalid

ORIGIN = "hospital-a.example/audit"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()


def entry_at(index: int, redacts: int | None = None) -> StoredEntry:
    kind, detail = ("test", index) if redacts is None else (REDACTED, redacts)
    body = encode_entry(Entry(at=index, kind=kind, detail={"index": detail}))
    salt = hashlib.sha256(b"salt %d" % index).digest()
    return StoredEntry(index, salt, body, commitment(salt, body))


class Log:
    """A log as storage keeps it: rows, nodes, and a checkpoint."""

    def __init__(self, size: int, signed: int | None = None, redacted: tuple[int, ...] = ()) -> None:
        self.entries = [entry_at(index) for index in range(size)]
        for index in redacted:
            self.entries.append(entry_at(size, index))
            self.change(index, salt=None, body=None)
            size += 1
        self.nodes: dict[tuple[int, int], bytes] = {}
        for entry in self.entries:
            self.store(entry)
        self.signed = size if signed is None else signed
        self.head = Checkpoint(ORIGIN, self.signed, root(self.signed, self.read))
        self.note = sign_checkpoint(self.head, KEY)

    def store(self, entry: StoredEntry) -> None:
        for level, index, value in nodes_for_append(entry.index, leaf_hash(entry.commitment), self.read):
            self.nodes[level, index] = value

    def read(self, level: int, index: int) -> bytes:
        try:
            return self.nodes[level, index]
        except KeyError:
            raise AuditInvalid(f"node ({level}, {index}) is missing") from None

    def change(self, index: int, **changes: Any) -> None:
        self.entries[index] = replace(self.entries[index], **changes)

    def rewrite(self, index: int, text: str) -> None:
        """The whole entry, consistently: body, salt and commitment."""
        body = encode_entry(Entry(at=index, kind="test", detail={"text": text}))
        self.entries[index] = StoredEntry(index, bytes(32), body, commitment(bytes(32), body))

    def verify(self, *, with_nodes: bool = False) -> Verification:
        nodes = self.read if with_nodes else None
        return verify_log(iter(self.entries), self.note, origin=ORIGIN, log_key=PUBLIC, nodes=nodes)


@pytest.mark.parametrize("with_nodes", [False, True])
@pytest.mark.parametrize(("size", "signed"), [(0, 0), (1, 1), (7, 7), (8, 8), (9, 4), (21, 20), (5, 0)])
def test_a_log_that_holds(size: int, signed: int, with_nodes: bool) -> None:
    log = Log(size, signed)
    found = log.verify(with_nodes=with_nodes)
    assert found == Verification(size, root(size, log.read), signed, 0, None, None)
    assert found.valid


def test_erased_entries_count_by_their_commitment() -> None:
    found = (log := Log(9, redacted=(0, 4, 8))).verify(with_nodes=True)
    assert (found.valid, found.erased, found.root) == (True, 3, log.head.root)


def test_an_erasure_that_no_entry_records_is_named() -> None:
    log = Log(9, redacted=(0, 4))
    log.change(6, salt=None, body=None)
    log.change(2, salt=None, body=None)
    found = log.verify()
    assert (found.first_bad, found.problem) == (2, "entry 2: erased, and no entry records that it was")


def test_what_records_an_erasure_cannot_be_erased_unseen() -> None:
    log = Log(9, redacted=(4,))
    log.change(9, salt=None, body=None)
    assert log.verify().first_bad == 4


@pytest.mark.parametrize("since", [1, 2, 5, 8, 12, 13])
def test_goes_on_from_the_stored_tree(since: int) -> None:
    log = Log(13)
    found = verify_log(
        log.entries[since:], log.note, origin=ORIGIN, log_key=PUBLIC, nodes=log.read, since=since
    )
    assert (found.valid, found.size, found.root) == (True, 13, log.head.root)
    log.change(12, body=entry_at(100).body)
    again = verify_log(
        log.entries[since:], log.note, origin=ORIGIN, log_key=PUBLIC, nodes=log.read, since=since
    )
    assert again.first_bad == (12 if since < 13 else None)


def test_heads_that_others_signed_have_to_be_passed() -> None:
    log, other = Log(13), Log(13)
    other.rewrite(3, "another history")
    anchors = {5: root(5, log.read), 13: log.head.root}
    assert verify_log(log.entries, log.note, origin=ORIGIN, log_key=PUBLIC, anchors=anchors).valid
    anchors[5] = bytes(32)
    found = verify_log(log.entries, log.note, origin=ORIGIN, log_key=PUBLIC, anchors=anchors)
    assert (found.valid, found.size) == (False, 5)
    assert "the first 5 entries" in (found.problem or "")
    longer = verify_log(log.entries, log.note, origin=ORIGIN, log_key=PUBLIC, anchors={14: bytes(32)})
    assert (longer.first_bad, longer.problem) == (
        13,
        "entry 13: missing, of the 14 that were countersigned",
    )


@pytest.mark.parametrize("index", [0, 3, 8])
def test_a_changed_body_is_named(index: int) -> None:
    log = Log(9)
    log.change(index, body=entry_at(100).body)
    found = log.verify()
    assert (found.valid, found.first_bad, found.size) == (False, index, index)
    assert found.root == root(index, log.read)
    assert found.problem == f"entry {index}: its body is not the one that was committed to"


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": bytes(32)},
        {"salt": bytes(31)},
        {"salt": None},
        {"body": None},
        {"body": b""},
        {"commitment": bytes(32)},
        {"commitment": bytes(31)},
        {"salt": None, "body": None, "commitment": bytes(31)},
    ],
)
def test_any_changed_part_of_an_entry_is_named(changes: dict[str, bytes | None]) -> None:
    log = Log(9)
    log.change(5, **changes)
    found = log.verify()
    assert (found.valid, found.first_bad) == (False, 5)


def test_a_body_that_is_no_entry_is_named_though_its_commitment_holds() -> None:
    log = Log(6)
    log.entries[5] = StoredEntry(5, bytes(32), b"{}", commitment(bytes(32), b"{}"))
    found = log.verify()
    assert (found.first_bad, found.problem) == (5, "entry 5: audit entry is malformed")


def test_the_first_of_several_is_named() -> None:
    log = Log(9)
    log.change(7, body=b"x")
    log.change(2, body=b"x")
    assert log.verify().first_bad == 2


def test_a_consistently_rewritten_entry_breaks_the_signed_root() -> None:
    log = Log(9)
    log.rewrite(4, "nothing happened")
    found = log.verify()
    assert (found.valid, found.first_bad, found.signed_size) == (False, None, 0)
    assert found.problem == "the entries do not add up to the root that was signed"


def test_the_stored_tree_names_a_consistently_rewritten_entry() -> None:
    log = Log(9)
    log.rewrite(4, "nothing happened")
    found = log.verify(with_nodes=True)
    assert (found.first_bad, found.problem) == (4, "entry 4: it does not fit the stored tree at node (0, 4)")


def test_rewriting_the_tree_as_well_does_not_help() -> None:
    log = Log(9)
    log.rewrite(4, "nothing happened")
    for entry in log.entries:
        log.store(entry)
    assert not log.verify(with_nodes=True).valid


def test_erasing_does_not_hide_another_commitment() -> None:
    log = Log(9)
    log.change(4, salt=None, body=None, commitment=bytes(32))
    assert not log.verify().valid
    assert log.verify(with_nodes=True).first_bad == 4


@pytest.mark.parametrize("node", [(0, 6), (1, 1), (3, 0)])
def test_a_changed_or_missing_node_is_found(node: tuple[int, int]) -> None:
    log = Log(9)
    last = ((node[1] + 1) << node[0]) - 1
    log.nodes[node] = bytes(32)
    assert log.verify(with_nodes=True).first_bad == last
    del log.nodes[node]
    found = log.verify(with_nodes=True)
    assert (found.first_bad, found.problem) == (last, f"entry {last}: node {node} is missing")
    assert log.verify().valid, "the tree is derived: without it the entries still prove themselves"


def test_a_removed_entry_is_named() -> None:
    log = Log(9)
    del log.entries[3]
    found = log.verify()
    assert (found.first_bad, found.problem) == (3, "entry 3: missing: number 4 stands in its place")


def test_swapped_entries_are_named() -> None:
    log = Log(9)
    log.entries[3], log.entries[4] = log.entries[4], log.entries[3]
    assert log.verify().first_bad == 3


def test_renumbered_entries_break_the_signed_root() -> None:
    log = Log(9)
    three, four = log.entries[3], log.entries[4]
    log.entries[3:5] = [replace(four, index=3), replace(three, index=4)]
    assert not log.verify().valid


def test_a_log_cut_short_is_named_by_what_is_missing() -> None:
    log = Log(9)
    del log.entries[6:]
    found = log.verify()
    assert (found.first_bad, found.size, found.signed_size) == (6, 6, 0)
    assert found.problem == "entry 6: missing, of the 9 that were signed"


def test_an_emptied_log_is_not_an_empty_log() -> None:
    log = Log(9)
    log.entries.clear()
    assert log.verify().first_bad == 0


def test_a_problem_after_the_checkpoint_leaves_what_was_signed() -> None:
    log = Log(9, signed=4)
    log.change(7, body=b"x")
    found = log.verify()
    assert (found.valid, found.signed_size, found.size, found.first_bad) == (False, 4, 7, 7)


def test_a_signed_empty_root_of_another_value() -> None:
    log = Log(0)
    log.note = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), KEY)
    found = log.verify()
    assert (found.valid, found.root, found.first_bad) == (False, EMPTY_ROOT, None)


def test_a_checkpoint_of_another_key_log_or_form() -> None:
    log = Log(3)
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    for note in (
        sign_checkpoint(log.head, other),
        sign_checkpoint(replace(log.head, origin="hospital-b.example/audit"), KEY),
        sign_note("hello\n", ORIGIN, KEY),
        log.head.text().encode(),
        b"",
    ):
        log.note = note
        found = log.verify()
        assert (found.valid, found.size, found.first_bad) == (False, 0, None)


def test_it_streams() -> None:
    """Entries are taken one at a time, and nothing of them is kept."""
    taken = 0

    def rows() -> Iterator[StoredEntry]:
        nonlocal taken
        for index in range(50):
            taken += 1
            yield entry_at(index) if index != 20 else replace(entry_at(20), body=b"x")

    log = Log(50)
    found = verify_log(rows(), log.note, origin=ORIGIN, log_key=PUBLIC)
    assert (found.first_bad, taken) == (20, 21)
