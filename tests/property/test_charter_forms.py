"""Whatever the bytes: a charter or InvalidCharter, one canonical form, nothing that YAML adds of its own."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.errors import InvalidCharter, RemoteProtocolError
from comity.policy.charter.canonical import from_canonical, from_plain, to_canonical
from comity.policy.charter.editing import read_charter, read_yaml
from tests import charters

SAMPLE = yaml.safe_dump(charters.plain(), sort_keys=False, allow_unicode=True)
# fmt: off
PIECES = st.sampled_from([
    "&x ", "*x", "!!str ", "!x ", "<<: ", "NO", "017", "2026-11-21", "- ", "? ", ": ", "---\n", "...\n",
    "%YAML 1.1\n", "'", '"', "\\", "#", "|\n", ">\n", "[", "]", "{", "}", ",", "\t", "\r", "\x85", "\u2028",
    "\ufeff", "\u202e", "null", "~", "0x1", "1e5", "1:2", "=", "\x00", "title: x\n", "  ",
])
# fmt: on
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        document = read_yaml(data)
    except InvalidCharter:
        return
    assert "$" in document.lines


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE)), PIECES), min_size=1, max_size=3))
def test_a_meddled_charter_is_the_same_to_another_program_or_refused(edits: list[tuple[int, str]]) -> None:
    text = SAMPLE
    for at, piece in edits:
        text = text[:at] + piece + text[at:]
    try:
        charter = read_charter(text.encode("utf-8"))
    except InvalidCharter:
        return
    assert from_canonical(to_canonical(charter)) == charter
    assert from_plain(yaml.safe_load(text)) == charter


@given(values)
def test_what_json_says_is_read_alike(value: Any) -> None:
    text = json.dumps(value)  # ASCII: whatever it holds is escaped
    try:
        found = read_yaml(text.encode()).value
    except InvalidCharter:
        return  # surrogates, long keys: YAML has no such thing
    assert found == value


@given(st.data())
def test_any_other_value_anywhere_is_a_charter_or_refused(data: st.DataObject) -> None:
    plain: Any = copy.deepcopy(charters.plain())
    at, steps = plain, []
    while isinstance(at, dict | list) and at and data.draw(st.integers(0, 4)):
        key: Any = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
        steps.append((at, key))
        at = at[key]
    if not steps:
        return
    holder, key = steps[-1]
    holder[key] = data.draw(values)
    try:
        charter = from_plain(plain)
    except InvalidCharter:
        return
    assert from_canonical(to_canonical(charter)) == charter


@given(st.binary(max_size=200))
def test_canonical_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        from_canonical(data)
    except RemoteProtocolError:
        return
    raise AssertionError("so few bytes hold no charter")
