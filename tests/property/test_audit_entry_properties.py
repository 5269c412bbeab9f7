"""Any entry survives its encoding; any bytes are an entry's one encoding or refused."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.audit.entry import Entry, commitment, encode_entry, parse_entry
from comity.errors import AuditInvalid

WORDS = st.from_regex(r"\A[a-z][a-z0-9_.-]{0,20}\Z")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1)
ENTRIES = st.builds(
    Entry,
    at=st.integers(0, 2**53 - 1),
    kind=WORDS,
    peer=st.none() | st.from_regex(r"\A[0-9a-f]{64}\Z"),
    operation=st.none() | WORDS,
    decision=st.sampled_from([None, "allow", "deny"]),
    reasons=st.lists(TEXTS, max_size=5).map(tuple),
    digest=st.none() | st.from_regex(r"\Asha256:[0-9a-f]{64}\Z"),
    detail=st.dictionaries(WORDS, TEXTS | NUMBERS | st.booleans() | st.none(), max_size=6),
)
SALTS = st.binary(min_size=32, max_size=32)


@given(ENTRIES)
def test_an_entry_is_read_back(entry: Entry) -> None:
    body = encode_entry(entry)
    assert parse_entry(body) == entry
    assert encode_entry(parse_entry(body)) == body


@given(ENTRIES)
def test_the_encoding_is_json_that_others_read(entry: Entry) -> None:
    fields = json.loads(encode_entry(entry))
    assert list(fields) == sorted(fields)
    assert fields["detail"] == entry.detail
    assert tuple(fields["reasons"]) == entry.reasons


@given(ENTRIES)
def test_json_written_otherwise_is_refused(entry: Entry) -> None:
    body = encode_entry(entry)
    with_spaces = json.dumps(json.loads(body), ensure_ascii=False).encode()
    with pytest.raises(AuditInvalid):
        parse_entry(with_spaces)


@given(ENTRIES, st.data())
def test_changed_bytes_are_another_entry_or_none(entry: Entry, data: st.DataObject) -> None:
    body = encode_entry(entry)
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + data.draw(st.binary(max_size=3)) + body[at + 1 :]
    with contextlib.suppress(AuditInvalid):
        assert encode_entry(parse_entry(changed)) == changed


@given(st.binary(max_size=300))
def test_any_bytes_are_an_encoding_or_refused(body: bytes) -> None:
    with contextlib.suppress(AuditInvalid):
        assert encode_entry(parse_entry(body)) == body


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(Entry.__struct_fields__, JSON)))
def test_any_json_is_an_encoding_or_refused(fields: dict[str, object]) -> None:
    body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    with contextlib.suppress(AuditInvalid):
        assert encode_entry(parse_entry(body)) == body


@given(SALTS, ENTRIES, ENTRIES)
def test_a_commitment_binds_the_body(salt: bytes, one: Entry, other: Entry) -> None:
    first, second = encode_entry(one), encode_entry(other)
    assert (commitment(salt, first) == commitment(salt, second)) == (first == second)
