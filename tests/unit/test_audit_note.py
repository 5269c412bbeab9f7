"""Notes, checkpoints and cosignatures: what is accepted, and each way to be refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity import limits
from comity.audit.cosignature import COSIGNATURE_V1, cosign, verify_cosignature
from comity.audit.merkle import EMPTY_ROOT
from comity.audit.note import (
    ED25519,
    Checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
    signature_line,
    verify_note,
)
from comity.errors import AuditInvalid

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
OTHER = OTHER_KEY.public_key().public_bytes_raw()
NAME = "hospital-a.example/audit"
HEAD = Checkpoint(NAME, 3, b"r" * 32)
ROOT = base64.b64encode(b"r" * 32).decode()
NOTE = sign_checkpoint(HEAD, KEY)
LONG = "n" * (limits.NOTE_NAME_BYTES + 1)


# ── notes ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text", ["\n", "\n\n", "a\n", "a\n\nb\n", "a\n\n", "— not a signature\n", "charité\n"]
)
def test_a_text_comes_back_as_it_was_signed(text: str) -> None:
    assert verify_note(sign_note(text, NAME, KEY), NAME, PUBLIC) == text


@pytest.mark.parametrize("text", ["", "a", "a\nb", "a\r\n", "\ta\n", "\x00\n", "\x1f\n", "\ud800\n"])
def test_a_text_that_no_note_carries(text: str) -> None:
    with pytest.raises(AuditInvalid):
        sign_note(text, NAME, KEY)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a+b",
        "a\xa0b",
        "a\u2003b",
        "a\u2028b",
        "a\x85b",
        "a\nb",
        "a\x01",
        "\ud800",
        LONG,
        "é" * 128,
    ],
)
def test_a_name_that_no_key_has(name: str) -> None:
    with pytest.raises(AuditInvalid):
        sign_note("a\n", name, KEY)
    with pytest.raises(AuditInvalid):
        verify_note(NOTE, name, PUBLIC)
    with pytest.raises(AuditInvalid):
        Checkpoint(name, 0, EMPTY_ROOT)
    with pytest.raises(AuditInvalid):
        cosign(HEAD, name, KEY, 0)


def test_another_key_or_name_signed_nothing() -> None:
    for name, public in ((NAME, OTHER), ("hospital-b.example/audit", PUBLIC), (NAME, b""), (NAME, bytes(32))):
        with pytest.raises(AuditInvalid, match="0 signatures"):
            verify_note(NOTE, name, public)


def test_signatures_of_other_keys_are_ignored() -> None:
    other = signature_line("other.example", ED25519, OTHER, bytes(64))
    unknown = b"\xe2\x80\x94 pq.example " + base64.b64encode(bytes(3000)) + b"\n"
    note = NOTE + other + unknown
    assert open_checkpoint(note, NAME, PUBLIC) == HEAD
    with pytest.raises(AuditInvalid, match="does not verify"):
        verify_note(note, "other.example", OTHER)


def test_a_known_key_id_with_another_signature_is_refused() -> None:
    forged = HEAD.text().encode() + b"\n" + signature_line(NAME, ED25519, PUBLIC, bytes(64))
    with pytest.raises(AuditInvalid, match="does not verify"):
        verify_note(forged, NAME, PUBLIC)
    short = HEAD.text().encode() + b"\n" + signature_line(NAME, ED25519, PUBLIC, b"s")
    with pytest.raises(AuditInvalid, match="does not verify"):
        verify_note(short, NAME, PUBLIC)


def test_a_key_signs_a_note_once() -> None:
    line = NOTE.removeprefix(HEAD.text().encode() + b"\n")
    with pytest.raises(AuditInvalid, match="2 signatures"):
        verify_note(NOTE + line, NAME, PUBLIC)


def test_as_many_signatures_as_the_bound() -> None:
    other = signature_line("other.example", ED25519, OTHER, bytes(64))
    most = NOTE + other * (limits.NOTE_SIGNATURES - 1)
    assert open_checkpoint(most, NAME, PUBLIC) == HEAD
    with pytest.raises(AuditInvalid, match="at most"):
        open_checkpoint(most + other, NAME, PUBLIC)


def test_sixteen_post_quantum_signatures_fit() -> None:
    """C2SP signed-note: verifiers accept at least 16, each of nearly 5 kB."""
    line = b"\xe2\x80\x94 pq.example " + base64.b64encode(bytes(4 + 4900)) + b"\n"
    assert open_checkpoint(NOTE + line * 16, NAME, PUBLIC) == HEAD


def test_a_long_note_is_refused() -> None:
    with pytest.raises(AuditInvalid, match="at most"):
        verify_note(b"a" * limits.NOTE_BYTES + NOTE, NAME, PUBLIC)


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\n",
        b"\xe2\x80\x94\n",
        b"\xe2\x80\x94 \n",
        b"\xe2\x80\x94 name\n",
        b"\xe2\x80\x94 name \n",
        b"\xe2\x80\x94  QUJDREU=\n",
        b"\xe2\x80\x94 name QUJDRA==\n",
        b"\xe2\x80\x94 name QUJDREU\n",
        b"\xe2\x80\x94 name QUJDREV=\n",
        b"\xe2\x80\x94 name QUJDREU= \n",
        b"\xe2\x80\x94 name QUJD REU=\n",
        b"\xe2\x80\x94 name QUJDREU=QUJDREU=\n",
        b"\xe2\x80\x94 name QUJD-_U=\n",
        b"\xe2\x80\x94 name QUJDREU=\r\n",
        b"\xe2\x80\x94 name \xc3\xa9\n",
        b"- name QUJDREU=\n",
        b"\xe2\x80\x94 name QUJDREU=",
        b"\xe2\x80\x94 name QUJDREU=\nmore",
    ],
)
def test_a_malformed_signature_line_spoils_the_note(lines: bytes) -> None:
    with pytest.raises(AuditInvalid):
        verify_note(NOTE + lines if lines else NOTE[:-1], NAME, PUBLIC)


# ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────


def test_a_checkpoint_is_three_lines() -> None:
    assert HEAD.text() == f"{NAME}\n3\n{ROOT}\n"
    assert parse_checkpoint(HEAD.text()) == HEAD
    assert parse_checkpoint(f"{NAME}\n0\n{ROOT}\n").size == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n\n",
        f"{NAME}\n3\n{ROOT}",
        f"{NAME}\n3\n",
        f"{NAME}\n3\n{ROOT}\n\n",
        f"{NAME}\n3\n{ROOT}\nextension\n",
        f"\n3\n{ROOT}\n",
        f"{NAME} \n3\n{ROOT}\n",
        f"{NAME}\n\n{ROOT}\n",
        f"{NAME}\n03\n{ROOT}\n",
        f"{NAME}\n+3\n{ROOT}\n",
        f"{NAME}\n-3\n{ROOT}\n",
        f"{NAME}\n 3\n{ROOT}\n",
        f"{NAME}\n3.0\n{ROOT}\n",
        f"{NAME}\n1_0\n{ROOT}\n",
        f"{NAME}\n٣\n{ROOT}\n",
        f"{NAME}\n{limits.AUDIT_TREE_SIZE + 1}\n{ROOT}\n",
        f"{NAME}\n{'9' * 5000}\n{ROOT}\n",
        f"{NAME}\n3\n{ROOT[:-1]}\n",
        f"{NAME}\n3\n{ROOT[:-2]}J=\n",
        f"{NAME}\n3\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{NAME}\n3\n{base64.b64encode(bytes(33)).decode()}\n",
        f"{NAME}\n3\n\n",
    ],
)
def test_a_malformed_checkpoint_is_refused_even_when_signed(text: str) -> None:
    with pytest.raises(AuditInvalid):
        parse_checkpoint(text)
    with pytest.raises(AuditInvalid):
        open_checkpoint(sign_note(text, NAME, KEY), NAME, PUBLIC)


@pytest.mark.parametrize(
    ("size", "root"), [(-1, bytes(32)), (2**40 + 1, bytes(32)), (1, b""), (1, bytes(33))]
)
def test_a_head_that_no_log_has(size: int, root: bytes) -> None:
    with pytest.raises(AuditInvalid):
        Checkpoint(NAME, size, root)


def test_a_checkpoint_of_another_log_by_the_same_key_is_refused() -> None:
    elsewhere = Checkpoint("hospital-b.example/audit", 3, b"r" * 32)
    with pytest.raises(AuditInvalid, match="another log"):
        open_checkpoint(sign_note(elsewhere.text(), NAME, KEY), NAME, PUBLIC)


# ── cosignatures ──────────────────────────────────────────────────────────────────────────────────────

WITNESS = "hospital-b.example"


def test_a_cosignature_joins_the_note() -> None:
    note = NOTE + cosign(HEAD, WITNESS, OTHER_KEY, 1_800_000_000)
    assert open_checkpoint(note, NAME, PUBLIC) == HEAD
    assert verify_cosignature(note, WITNESS, OTHER) == (HEAD, 1_800_000_000)


def test_a_cosignature_of_another_head_does_not_verify() -> None:
    line = cosign(Checkpoint(NAME, 4, b"r" * 32), WITNESS, OTHER_KEY, 1)
    with pytest.raises(AuditInvalid, match="does not verify"):
        verify_cosignature(NOTE + line, WITNESS, OTHER)


def test_a_cosignature_is_dated() -> None:
    signature = base64.b64decode(cosign(HEAD, WITNESS, OTHER_KEY, 1).split()[2])[4 + 8 :]
    later = signature_line(WITNESS, COSIGNATURE_V1, OTHER, (2).to_bytes(8, "big") + signature)
    with pytest.raises(AuditInvalid, match="does not verify"):
        verify_cosignature(NOTE + later, WITNESS, OTHER)


def test_a_log_signature_is_no_cosignature() -> None:
    with pytest.raises(AuditInvalid, match="0 signatures"):
        verify_cosignature(NOTE, NAME, PUBLIC)
    with pytest.raises(AuditInvalid, match="0 signatures"):
        verify_note(HEAD.text().encode() + b"\n" + cosign(HEAD, NAME, KEY, 1), NAME, PUBLIC)


@pytest.mark.parametrize("blob", [b"\x00", bytes(7), bytes(8), bytes(71), b"\xff" * 72])
def test_a_malformed_cosignature_is_refused(blob: bytes) -> None:
    with pytest.raises(AuditInvalid):
        verify_cosignature(NOTE + signature_line(WITNESS, COSIGNATURE_V1, OTHER, blob), WITNESS, OTHER)


@pytest.mark.parametrize("at", [-1, 2**63])
def test_a_time_that_no_cosignature_carries(at: int) -> None:
    with pytest.raises(AuditInvalid, match="time"):
        cosign(HEAD, WITNESS, OTHER_KEY, at)


def test_only_a_checkpoint_counts_as_cosigned() -> None:
    text = "not a checkpoint\n"
    signature = (1).to_bytes(8, "big") + OTHER_KEY.sign(f"cosignature/v1\ntime 1\n{text}".encode())
    note = text.encode() + b"\n" + signature_line(WITNESS, COSIGNATURE_V1, OTHER, signature)
    with pytest.raises(AuditInvalid, match="three lines"):
        verify_cosignature(note, WITNESS, OTHER)
