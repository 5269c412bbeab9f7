"""Entries: one encoding, bounds, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from comity import limits
from comity.audit.entry import Entry, commitment, encode_entry, parse_entry
from comity.errors import AuditInvalid, LocalProtocolError

FULL = Entry(
    at=1_800_000_000_000,
    kind="guard",
    peer="5a" * 32,
    operation="exchange.send",
    decision="deny",
    reasons=("not trusted", "expired"),
    digest="sha256:" + "0f" * 32,
    detail={"name": "modèle\n.safetensors", "bytes": 7, "queued": False, "limit": None},
)
FULL_BODY = (
    '{"at":1800000000000,"decision":"deny",'
    '"detail":{"bytes":7,"limit":null,"name":"modèle\\n.safetensors","queued":false},'
    f'"digest":"sha256:{"0f" * 32}","kind":"guard","operation":"exchange.send","peer":"{"5a" * 32}",'
    '"reasons":["not trusted","expired"]}'
).encode()
LEAST_BODY = (
    b'{"at":0,"decision":null,"detail":{},"digest":null,"kind":"up",'
    b'"operation":null,"peer":null,"reasons":[]}'
)


def test_the_encoding_is_rfc_8785_of_every_field() -> None:
    assert encode_entry(FULL) == FULL_BODY
    assert encode_entry(Entry(at=0, kind="up")) == LEAST_BODY


def test_an_encoding_is_read_back() -> None:
    assert parse_entry(FULL_BODY) == FULL
    assert parse_entry(LEAST_BODY) == Entry(at=0, kind="up")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        LEAST_BODY + b"\n",
        b" " + LEAST_BODY,
        b"\xef\xbb\xbf" + LEAST_BODY,
        LEAST_BODY.replace(b":0", b": 0"),
        LEAST_BODY.replace(b'"at":0,', b""),
        LEAST_BODY.replace(b'"at":0,', b'"at":0,"at":0,'),
        LEAST_BODY.replace(b'"at":0', b'"at":0.0'),
        LEAST_BODY.replace(b'"at":0', b'"at":-0'),
        LEAST_BODY.replace(b'"at":0', b'"at":-1'),
        LEAST_BODY.replace(b'"at":0', b'"at":"0"'),
        LEAST_BODY.replace(b'"at":0', b'"at":true'),
        LEAST_BODY.replace(b'"at":0', b'"at":9007199254740992'),
        LEAST_BODY.replace(b'"at":0', b'"at":1e3'),
        LEAST_BODY.replace(b'"decision":null', b'"decision":"maybe"'),
        LEAST_BODY.replace(b'"decision":null,', b""),
        LEAST_BODY.replace(b"{}", b'{"a":1,"a":1}'),
        LEAST_BODY.replace(b"{}", b'{"b":1,"a":1}'),
        LEAST_BODY.replace(b"{}", b'{"a":1.5}'),
        LEAST_BODY.replace(b"{}", b'{"a":[]}'),
        LEAST_BODY.replace(b"{}", b'{"a":{}}'),
        LEAST_BODY.replace(b"{}", b'{"":1}'),
        LEAST_BODY.replace(b"{}", b'{"A b":1}'),
        LEAST_BODY.replace(b"{}", b'{"a":"\\ud800"}'),
        LEAST_BODY.replace(b"{}", b'{"a":"\xed\xa0\x80"}'),
        LEAST_BODY.replace(b"{}", b'{"a":"\xff"}'),
        LEAST_BODY.replace(b"{}", b'{"a":"\\u0041"}'),
        LEAST_BODY.replace(b"{}", b'{"a":"\\/"}'),
        LEAST_BODY.replace(b"{}", b'{"a":' + b"[" * 20_000),
        b'{"aa":' + b"[" * 20_000,
        b'{"at":' + b'{"a":' * 4_000,
        LEAST_BODY.replace(b'"up"', b'"up\\n"'),
        LEAST_BODY.replace(b'"up"', b'""'),
        LEAST_BODY.replace(b'"up"', b'"Up"'),
        LEAST_BODY.replace(b"[]}", b'[],"reasonz":1}'),
        LEAST_BODY.replace(b"[]", b"[1]"),
        LEAST_BODY.replace(b"[]", b"null"),
        LEAST_BODY.replace(b'"peer":null', b'"peer":"5A' + b"5a" * 31 + b'"'),
        LEAST_BODY.replace(b'"peer":null', b'"peer":"' + b"5a" * 31 + b'"'),
        LEAST_BODY.replace(b'"digest":null', b'"digest":"' + b"5a" * 32 + b'"'),
    ],
)
def test_any_other_way_to_write_an_entry_is_refused(body: bytes) -> None:
    with pytest.raises(AuditInvalid):
        parse_entry(body)


OVER: list[dict[str, Any]] = [
    {"kind": "k" * (limits.AUDIT_WORD_CHARS + 1)},
    {"operation": "o" * (limits.AUDIT_WORD_CHARS + 1)},
    {"reasons": ("",) * (limits.AUDIT_REASONS + 1)},
    {"reasons": ("r" * (limits.AUDIT_TEXT_CHARS + 1),)},
    {"detail": {f"k{number}": 1 for number in range(limits.AUDIT_DETAILS + 1)}},
    {"detail": {"k" * (limits.AUDIT_WORD_CHARS + 1): 1}},
    {"detail": {"k": "v" * (limits.AUDIT_TEXT_CHARS + 1)}},
    {"detail": {"k": 2**53}},
    {"detail": {"k": -(2**53)}},
    {"detail": {f"k{number}": "v" * limits.AUDIT_TEXT_CHARS for number in range(limits.AUDIT_DETAILS)}},
    {"detail": {"k": "\ud800"}},
    {"detail": {"k": b"bytes"}},
    {"detail": {"k": object()}},
    {"detail": {1: 1}},
    {"at": -1},
    {"at": 1.5},
    {"peer": "hospital-b"},
    {"digest": "5a" * 32},
    {"decision": "maybe"},
]


@pytest.mark.parametrize("changed", OVER, ids=range(len(OVER)))
def test_what_our_own_code_must_not_log(changed: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="audit entry"):
        encode_entry(Entry(**{"at": 0, "kind": "up", **changed}))


def test_bounds_are_reached() -> None:
    entry = Entry(
        at=2**53 - 1,
        kind="k" * limits.AUDIT_WORD_CHARS,
        reasons=("",) * limits.AUDIT_REASONS,
        detail={"k": "v" * limits.AUDIT_TEXT_CHARS, "n": -(2**53) + 1},
    )
    assert parse_entry(encode_entry(entry)) == entry


def test_a_long_body_is_refused_before_it_is_read() -> None:
    with pytest.raises(AuditInvalid, match=str(limits.AUDIT_ENTRY_BYTES)):
        parse_entry(LEAST_BODY + b" " * limits.AUDIT_ENTRY_BYTES)


def test_an_error_repeats_nothing_of_a_malformed_body() -> None:
    with pytest.raises(AuditInvalid) as caught:
        parse_entry(LEAST_BODY.replace(b"[]}", b'[],"\xe2\x80\xaeevil":1}'))
    assert caught.value.message == "audit entry is malformed"


def test_the_commitment_is_salted_sha_256() -> None:
    salt = bytes(range(32))
    assert commitment(salt, FULL_BODY) == hashlib.sha256(salt + FULL_BODY).digest()
    assert commitment(bytes(32), FULL_BODY) != commitment(salt, FULL_BODY)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_has_one_length(length: int) -> None:
    with pytest.raises(AuditInvalid, match="32 bytes"):
        commitment(bytes(length), FULL_BODY)
