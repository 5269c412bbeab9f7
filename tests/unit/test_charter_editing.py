"""YAML that two programs may read differently is refused, with its line (SECURITY.md rule 16)."""

from __future__ import annotations

import json

import pytest
import yaml

from comity import limits
from comity.errors import InvalidCharter
from comity.policy.charter.editing import read_charter, read_yaml
from tests import charters


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: one line", {"a": "one line"}),
        ("a: 0\nb: -17\nc: true\nd: null", {"a": 0, "b": -17, "c": True, "d": None}),
        ("a: [x, 'NO', \"2026-11-21\"]", {"a": ["x", "NO", "2026-11-21"]}),
        ("- {a: 1}\n- {a: 2}", [{"a": 1}, {"a": 2}]),
        ("a: >-\n  one\n  line", {"a": "one line"}),
        ("a: IRB 2026-0142 # why", {"a": "IRB 2026-0142"}),
        ("a: " + charters.LAB_A, {"a": charters.LAB_A}),
        ("a: " + charters.MODEL_X, {"a": charters.MODEL_X}),
        ('{"a":{"b":[1,null]}}', {"a": {"b": [1, None]}}),
    ],
)
def test_what_every_program_reads_alike(text: str, value: object) -> None:
    assert read_yaml(text.encode()).value == value
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: a stands here twice"),
        ('a: 1\n"a": 2', "line 2: a stands here twice"),
        ("a: {b: 1, b: 2}", "b stands here twice"),
        ("a: &x 1", "anchors"),
        ("a: &x [1]\nb: *x", "anchors"),
        ("a: *x", "aliases"),
        ("a: !!str 1", "tags"),
        ("a: !!python/object/apply:os.system [id]", "tags"),
        ("a: !mine 1", "tags"),
        ("!!map {a: 1}", "tags"),
        ("%TAG ! tag:example.org,2026:\n---\na: 1", "directives"),
        ("%YAML 1.2\n---\na: 1", "directives"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("? [a, b]\n: 1", "a key is text"),
        ("? {a: b}\n: 1", "a key is text"),
        ("1: a", "a key is text"),
        ("true: a", "a key is text"),
        ("<<: {a: 1}", "not the same to every program"),
        ("", "the file is empty"),
        ("# nothing", "the file is empty"),
        ("a: [", "line 1"),
        ("a: 'open", "line 1"),
        ("a:\n\t- b", "line 2"),
        ("a: \x07", "special characters"),
        ("a: @x", "line 1"),
        ('a: "\\ud83d\\ude00"', "surrogate"),
        ('"\\ud83d": a', "surrogate"),
    ],
)
def test_what_changes_its_meaning_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidCharter) as caught:
        read_yaml(text.encode())
    assert why in caught.value.message


# fmt: off
AMBIGUOUS = [
    "NO", "no", "n", "Y", "yes", "On", "off", "False", "TRUE", "True", "Null", "NULL", "~", "", "=",
    "2026-11-21", "2026-11-21T05:18:00Z", "2026-11-21 05:18:00", "2026-1-2",
    "017", "0o17", "0x1F", "0b11", "1_000", "12:30", "190:20:30", "+1", "-0", "00",
    "1.5", ".5", "-.5", "1.", "1e5", "1E+5", "1.0e+5", ".inf", "-.INF", ".NaN",
    "9007199254740992", "-9007199254740992", "123456789012345678901234567890",
]
# fmt: on


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_values_that_a_program_may_take_for_something_else(text: str) -> None:
    for document in (f"a: {text}", f"[x, {text or 'null, ~'}]", f"{text or '~'}: a"):
        with pytest.raises(InvalidCharter):
            read_yaml(document.encode())
    if text:
        assert read_yaml(f"a: '{text}'".encode()).value == {"a": text}


def test_bytes_that_are_no_text() -> None:
    for data in (b"a: \xff", b"\xff\xfea\x00", b"\xef\xbb\xbfa: 1", "a: 1".encode("utf-16")):
        with pytest.raises(InvalidCharter):
            read_yaml(data)


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(InvalidCharter, match="more than 256 KiB"):
        read_yaml(b"#" * (limits.CHARTER_BYTES + 1))
    for nest in (b"[" * limits.CHARTER_BYTES, b"{a: " * 60_000, b"- " * 100_000):
        with pytest.raises(InvalidCharter, match="inside each other"):
            read_yaml(nest)
    read_yaml(b"[" * limits.CHARTER_DEPTH + b"]" * limits.CHARTER_DEPTH)


def test_laughing_once_is_enough() -> None:
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
    with pytest.raises(InvalidCharter, match="line 1: anchors"):
        read_yaml(bomb.encode())


def test_a_whole_charter_and_the_line_of_what_is_wrong_in_it() -> None:
    text = yaml.safe_dump(charters.plain(), sort_keys=False, allow_unicode=True)
    assert read_charter(text.encode()).title == "External validation of model X"
    lines = text.splitlines()
    wrong = next(at for at, line in enumerate(lines) if "notify_within_hours" in line)
    lines[wrong] = lines[wrong].replace("24", "soon")
    with pytest.raises(InvalidCharter, match=rf"^line {wrong + 1}: Expected `int`, got `str`"):
        read_charter("\n".join(lines).encode())
    with pytest.raises(InvalidCharter, match=r"line 1: Object contains unknown field `extra`"):
        read_charter((text + "extra: 1\n").encode())


def test_json_is_yaml_too() -> None:
    assert read_charter(json.dumps(charters.plain()).encode()) == read_charter(
        yaml.safe_dump(charters.plain()).encode()
    )
