"""Signed notes and cosignatures as others wrote them, to the byte (Ed25519 signs deterministically).

- PeterNeumann, EnochRoot and the malformed notes: golang.org/x/mod/sumdb/note, note_test.go.
- example.com/foo: C2SP signed-note v1.0.0, "Verifier keys".
- example.com/behind-the-sofa: C2SP tlog-checkpoint and tlog-cosignature, which publish no keys for it.
- vector-log and its witness: transparency-dev/formats v0.1.1 (NewSignerForCosignatureV1), from fixed seeds.
"""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity.audit.cosignature import COSIGNATURE_V1, cosign, verify_cosignature
from comity.audit.note import (
    ED25519,
    Checkpoint,
    key_id,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    sign_note,
    verify_note,
)
from comity.errors import AuditInvalid


def material(encoded: str, kind: int) -> bytes:
    """The 32 bytes of a Go signer or verifier key: a signature type, then a seed or a public key."""
    raw = base64.b64decode(encoded)
    assert raw[0] == kind
    return raw[1:]


PETER = "PeterNeumann"
PETER_PUBLIC = material("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", ED25519)
PETER_KEY = Ed25519PrivateKey.from_private_bytes(
    material("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz", ED25519)
)
ENOCH = "EnochRoot"
ENOCH_PUBLIC = material("ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop", ED25519)
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_BLOB = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
ENOCH_BLOB = "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ="
PETER_LINE = f"— {PETER} {PETER_BLOB}\n"
ENOCH_LINE = f"— {ENOCH} {ENOCH_BLOB}\n"


def test_signing_reproduces_the_note() -> None:
    assert PETER_KEY.public_key().public_bytes_raw() == PETER_PUBLIC
    assert sign_note(TEXT, PETER, PETER_KEY).decode() == f"{TEXT}\n{PETER_LINE}"


def test_key_ids() -> None:
    assert key_id(PETER, ED25519, PETER_PUBLIC).hex() == "c74f20a3"
    assert key_id(ENOCH, ED25519, ENOCH_PUBLIC).hex() == "af0cfe78"
    foo = material("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", ED25519)
    assert key_id("example.com/foo", ED25519, foo).hex() == "530d903a"


def test_either_signature_of_a_note_verifies() -> None:
    note = f"{TEXT}\n{PETER_LINE}{ENOCH_LINE}".encode()
    assert verify_note(note, PETER, PETER_PUBLIC) == TEXT
    assert verify_note(note, ENOCH, ENOCH_PUBLIC) == TEXT


def test_the_note_of_the_specification() -> None:
    note = (
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONnc"
        "AlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    )
    public = material("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", ED25519)
    assert verify_note(note.encode(), "example.com/foo", public) == "This is an example message.\n"


@pytest.mark.parametrize(
    "note",
    [
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}\n{PETER_LINE[:-1]}".encode(),
        f"\x01{TEXT}\n{PETER_LINE}".encode(),
        b"\xff" + f"{TEXT}\n{PETER_LINE}".encode(),
        f"{TEXT}\n— Bad Name {PETER_BLOB}\n".encode(),
        f"{TEXT}\n{PETER_LINE}Unexpected line.\n".encode(),
        f"{TEXT}\n{PETER_LINE[:60]}ABCD{PETER_LINE[60:]}".encode(),
        f"{TEXT}\n{PETER_LINE * 101}".encode(),
    ],
)
def test_the_malformed_notes_of_the_go_implementation(note: bytes) -> None:
    with pytest.raises(AuditInvalid):
        verify_note(note, PETER, PETER_PUBLIC)


SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_the_checkpoint_of_the_specification() -> None:
    checkpoint = parse_checkpoint(SOFA)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert checkpoint.text() == SOFA


LOG = "example.com/vector-log"
LOG_KEY = Ed25519PrivateKey.from_private_bytes(
    material("ARnX7cNOLM36CVoVFnmyY1Yp3SE+vpow5cbV4Sw8rjRE", ED25519)
)
LOG_PUBLIC = material("ARGkVJ4QEa2MOOLGBO6i7NVSJ1FQ97tIX+w+Ku0RZ6Em", ED25519)
WITNESS = "witness.example.com/vector"
WITNESS_KEY = Ed25519PrivateKey.from_private_bytes(
    material("BJEX3xv88eoQIKT4E+GkxZcXaJCYlQfi/GJ3NDFmZIW8", COSIGNATURE_V1)
)
WITNESS_PUBLIC = material("BK/QmJFVP3SKJOqAMhFxBQPtylo3sjwWibyFDAlZKK8B", COSIGNATURE_V1)
WITNESS_TIME = 1791014171
HEAD = Checkpoint(LOG, 1234, base64.b64decode("SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I="))
LOG_NOTE = (
    f"{LOG}\n1234\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n— {LOG} RRah2qlLrSlk6J8DA1HmNewppUM15Quhs5"
    "cAIb1KjBsV3otVirJTW8AFVsQtJkTW1Zny7GuoAxZpI6bUPcpM68QOIgE=\n"
).encode()
WITNESS_LINE = (
    f"— {WITNESS} QW8QPQAAAABqwLUbDdj7sDNRIVjmjYgqFI6y4UJhPg/UAA8J8wAdqSd3q4PedRhkgXA4xFN/Jg5uWn7ZkBA+H/UHQ"
    "s5d9hITdXmQAA==\n"
).encode()


def test_a_cosigned_checkpoint_is_reproduced() -> None:
    assert sign_checkpoint(HEAD, LOG_KEY) == LOG_NOTE
    assert cosign(HEAD, WITNESS, WITNESS_KEY, WITNESS_TIME) == WITNESS_LINE


def test_a_cosigned_checkpoint_verifies() -> None:
    note = LOG_NOTE + WITNESS_LINE
    assert open_checkpoint(note, LOG, LOG_PUBLIC) == HEAD
    assert verify_cosignature(note, WITNESS, WITNESS_PUBLIC) == (HEAD, WITNESS_TIME)
    assert key_id(WITNESS, COSIGNATURE_V1, WITNESS_PUBLIC).hex() == "416f103d"
