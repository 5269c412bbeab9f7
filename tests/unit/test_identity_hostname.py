"""Hostnames: every institution's own letters, one spelling, one script; look-alikes and controls refused."""

from __future__ import annotations

import unicodedata

import pytest

from comity.errors import InvalidInput
from comity.identity.hostname import normalise_hostname


@pytest.mark.parametrize(
    "name",
    [
        "charité-trainer",
        "hospital-a",
        "a",
        "node7",
        "7",
        "gpu.lab.example",
        "straße",
        "intel·ligència",
        "больница-1",
        "νοσοκομείο",
        "東京大学",
        "とうきょう",
        "東京タワーのモデル",  # Han, Katakana with its length mark, and Hiragana: one Japanese
        "서울大學校",  # Hangul with Han: one Korean
        "台大ㄅㄆ",  # Han with Bopomofo: one Taiwanese
        "בית-חולים",
        "مستشفى",
        "अस्पताल",
        "โรงพยาบาล",
        "ẹ̀kọ́",  # a mark that has no composed form stays a mark
        "x" * 63,
    ],
)
def test_valid(name: str) -> None:
    assert normalise_hostname(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Charité-Trainer", "charité-trainer"),
        (unicodedata.normalize("NFD", "charité-trainer"), "charité-trainer"),
        ("HOSPITAL-A", "hospital-a"),
        ("БОЛЬНИЦА", "больница"),
        ("ΝΟΣΟΚΟΜΕΊΟ", "νοσοκομείο"),
    ],
)
def test_one_spelling(text: str, name: str) -> None:
    assert normalise_hostname(text) == name
    assert normalise_hostname(name) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pаypal", "mixes writing systems"),  # the first a is Cyrillic
        ("hоspital", "mixes writing systems"),  # the o is Cyrillic
        ("αlpha", "mixes writing systems"),
        ("東京ai", "mixes writing systems"),
        ("서울とうきょう", "mixes writing systems"),  # Korean and Japanese share Han, not this
        ("ㄅとう", "mixes writing systems"),
        ("lab.больница", "mixes writing systems"),  # of the whole name, not of each label
        ("१1क", "mixes digits"),
        ("ᐃᓄᒃ", "names do not use"),  # a script that UAX 31 does not recommend
        ("i̇stanbul", "names do not use"),  # a dot above an i can't be seen
        ("İstanbul", "names do not use"),  # which is what this becomes in lower case
        ("क्‍ष", "names do not use"),  # a zero-width joiner, which IDNA2008 would allow here
    ],
)
def test_look_alikes_are_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        normalise_hostname(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a.-b",
        "ab--cd",
        "xn--charit-trainer-gkb",  # one spelling: its own letters
        "a_b",
        "a b",
        "a/b",
        "a@b",
        "a#b",
        "a:b",
        "1:0001.0000.0010",
        "comity:a@b:1",
        "comity:a",
        "a\n",
        " a",
        "a\tb",
        "a\0b",
        "a\x1b[31m",
        "a\u202eb",  # right-to-left override
        "a\u2066b\u2069",
        "a\u200bb",
        "a\u200db",
        "a\u00adb",
        "\u0301a",
        "a\ud800b",
        "a\u2028b",
        "ａｂ",  # full width
        "ⅷ",
        "ﬁ",
        "a·b",
        "☃",
        "💊",
        "مستشفىa",
        "abc-عرب",  # two directions
        "\ufdfa",
        "\u0378",  # unassigned
        "\U000e0061",  # a tag character
        "x" * 64,
        "x" * 10_000,
        "é" * 63,  # its A-label is longer than the DNS takes
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise_hostname(text)
    assert caught.value.hint
    assert str(caught.value).isprintable(), "what was typed is escaped in the message"
    assert len(str(caught.value)) < 400


def test_length_is_that_of_the_composed_name() -> None:
    assert normalise_hostname(unicodedata.normalize("NFD", "é" * 40)) == "é" * 40
