"""No single change to a stored log goes unnoticed, and none is blamed on an earlier entry."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from comity.audit.entry import Entry, commitment, encode_entry
from comity.audit.merkle import Frontier, leaf_hash
from comity.audit.note import Checkpoint, sign_checkpoint
from comity.audit.verify import REDACTED, StoredEntry, Verification, verify_log

ORIGIN = "hospital-a.example/audit"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
SIZE = 13


def build() -> tuple[list[StoredEntry], dict[tuple[int, int], bytes], bytes]:
    entries: list[StoredEntry] = []
    stored: dict[tuple[int, int], bytes] = {}
    tree = Frontier()
    for index in range(SIZE):
        body = encode_entry(Entry(at=index, kind="test"))
        salt = hashlib.sha256(b"%d" % index).digest()
        entries.append(StoredEntry(index, salt, body, commitment(salt, body)))
        nodes = tree.nodes_for(leaf_hash(entries[-1].commitment))
        stored.update({(level, place): value for level, place, value in nodes})
        tree.append(nodes)
    return entries, stored, sign_checkpoint(Checkpoint(ORIGIN, SIZE, tree.root()), KEY)


ENTRIES, NODES, NOTE = build()


def read(level: int, index: int) -> bytes:
    return NODES[level, index]


def check(entries: list[StoredEntry], note: bytes = NOTE) -> Verification:
    return verify_log(entries, note, origin=ORIGIN, log_key=PUBLIC, nodes=read)


@given(st.sets(st.integers(0, SIZE - 1)), st.sets(st.integers(0, SIZE - 1)))
def test_any_entries_may_be_erased_on_record(erased: set[int], recorded: set[int]) -> None:
    entries = [replace(entry, salt=None, body=None) if entry.index in erased else entry for entry in ENTRIES]
    for index in sorted(recorded):
        body = encode_entry(Entry(at=1, kind=REDACTED, detail={"index": index}))
        entries.append(StoredEntry(len(entries), bytes(32), body, commitment(bytes(32), body)))
    found = verify_log(entries, NOTE, origin=ORIGIN, log_key=PUBLIC)
    unseen = erased - recorded
    assert (found.valid, found.erased, found.size) == (not unseen, len(erased), len(entries))
    assert found.first_bad == min(unseen, default=None)


@given(st.integers(0, SIZE - 1), st.sampled_from(["salt", "body", "commitment"]), st.data())
def test_any_changed_bit_is_named(index: int, part: str, data: st.DataObject) -> None:
    value = bytearray(getattr(ENTRIES[index], part))
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    entries = list(ENTRIES)
    changes: dict[str, Any] = {part: bytes(value)}
    entries[index] = replace(entries[index], **changes)
    found = check(entries)
    assert (found.valid, found.first_bad) == (False, index)


@given(st.permutations(ENTRIES))
def test_any_other_order_is_named(entries: list[StoredEntry]) -> None:
    found = check(entries)
    wrong = [place for place, entry in enumerate(entries) if entry.index != place]
    assert found.first_bad == (wrong[0] if wrong else None)
    assert found.valid == (not wrong)


@given(st.lists(st.sampled_from(ENTRIES), max_size=SIZE + 2))
def test_nothing_but_the_log_itself_holds(entries: list[StoredEntry]) -> None:
    assert check(entries).valid == (entries == ENTRIES)


ROWS = st.builds(
    StoredEntry,
    index=st.integers(-1, 3),
    salt=st.none() | st.binary(max_size=33),
    body=st.none() | st.binary(max_size=60),
    commitment=st.binary(max_size=33) | st.binary(min_size=32, max_size=32),
)


@given(st.lists(ROWS, max_size=5), st.binary(max_size=100) | st.just(NOTE))
def test_any_rows_and_any_note_are_a_finding_not_an_error(rows: list[StoredEntry], note: bytes) -> None:
    found = check(rows, note)
    assert not found.valid
    assert found.problem
