"""Notes survive being written and read; any changed byte, and any other bytes, are refused in one way."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.audit.cosignature import cosign, verify_cosignature
from comity.audit.note import (
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
    verify_note,
)
from comity.errors import AuditInvalid

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
NAME = "hospital-a.example/audit"
WITNESS = "hospital-b.example"

LINES = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), max_size=30)
TEXTS = st.lists(LINES, min_size=1, max_size=6).map(lambda lines: "\n".join(lines) + "\n")
NAMES = st.from_regex(r"\A[a-zé0-9./_-]{1,40}\Z")
HEADS = st.builds(
    Checkpoint,
    origin=NAMES,
    size=st.integers(0, limits.AUDIT_TREE_SIZE),
    root=st.binary(min_size=32, max_size=32),
)


def changed(note: bytes, data: st.DataObject) -> bytes:
    at = data.draw(st.integers(0, len(note) - 1))
    other = note[:at] + data.draw(st.binary(max_size=3)) + note[at + data.draw(st.integers(0, 2)) :]
    return other if other != note else note + b"x"


@given(TEXTS, NAMES)
def test_a_note_is_read_back(text: str, name: str) -> None:
    assert verify_note(sign_note(text, name, KEY), name, PUBLIC) == text


@given(HEADS, st.integers(0, 2**63 - 1))
def test_a_cosigned_checkpoint_is_read_back(head: Checkpoint, at: int) -> None:
    note = sign_checkpoint(head, KEY) + cosign(head, WITNESS, KEY, at)
    assert parse_checkpoint(head.text()) == head
    assert open_checkpoint(note, head.origin, PUBLIC) == head
    assert verify_cosignature(note, WITNESS, PUBLIC) == (head, at)


@given(TEXTS, st.data())
def test_any_changed_byte_breaks_a_note(text: str, data: st.DataObject) -> None:
    with pytest.raises(AuditInvalid):
        verify_note(changed(sign_note(text, NAME, KEY), data), NAME, PUBLIC)


@given(HEADS, st.data())
def test_any_changed_byte_breaks_a_cosignature(head: Checkpoint, data: st.DataObject) -> None:
    note = head.text().encode() + b"\n" + cosign(head, WITNESS, KEY, 1)
    with pytest.raises(AuditInvalid):
        verify_cosignature(changed(note, data), WITNESS, PUBLIC)


@given(HEADS, st.data())
def test_a_changed_checkpoint_is_another_or_none(head: Checkpoint, data: st.DataObject) -> None:
    text = changed(head.text().encode(), data).decode(errors="replace")
    with contextlib.suppress(AuditInvalid):
        assert parse_checkpoint(text).text() == text


@given(st.text(max_size=200) | st.lists(st.text(max_size=50), min_size=3, max_size=5).map("\n".join))
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    with contextlib.suppress(AuditInvalid):
        assert parse_checkpoint(text).text() == text


LIKE_NOTES = st.lists(
    st.sampled_from(
        [b"\n", b"\n\n", "— ".encode(), b" ", NAME.encode(), b"QUJDREU=", b"=", b"\xff", b"3", b"\x00"]
    )
    | st.binary(max_size=10),
    max_size=20,
).map(b"".join)


@given(LIKE_NOTES | st.binary(max_size=300), st.binary(max_size=33))
def test_any_bytes_are_refused(note: bytes, public: bytes) -> None:
    for verify in (verify_note, open_checkpoint, verify_cosignature):
        with pytest.raises(AuditInvalid):
            verify(note, NAME, public)
