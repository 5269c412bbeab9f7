"""What a peer wrote cannot steer the terminal that shows it."""

from __future__ import annotations

import pytest

from comity.identity.text import printable


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "charité ÄÖ",
        "больница",
        "東京大学　医学部",
        "مستشفى",
        "🏥 1 < 2 & 3",
        "back\\slash",
        "e\u0301",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
        ("one\ntwo\r\t", "one\\u{a}two\\u{d}\\u{9}"),
        ("\0\x7f\x9b", "\\u{0}\\u{7f}\\u{9b}"),
        ("user\u202etxt.exe", "user\\u{202e}txt.exe"),
        (
            "\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
            "\\u{2066}\\u{2067}\\u{2068}\\u{2069}\\u{200e}\\u{200f}\\u{61c}",
        ),
        ("a\u200b\u200c\u200d\u2060\ufeff\u00adb", "a\\u{200b}\\u{200c}\\u{200d}\\u{2060}\\u{feff}\\u{ad}b"),
        ("a\u2028b\u2029c", "a\\u{2028}b\\u{2029}c"),
        ("\ud800", "\\u{d800}"),
        ("\U000e0041", "\\u{e0041}"),
        ("a\u034fb\u3164c\u115fd\ufe0f", "a\\u{34f}b\\u{3164}c\\u{115f}d\\u{fe0f}"),
        ("\u2800\U000e0100", "\\u{2800}\\u{e0100}"),
        ("\ue000\u0378", "\\u{e000}\\u{378}"),
    ],
)
def test_what_hides_or_steers_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("limit", "shown"),
    [(0, ""), (1, "…"), (2, "a…"), (3, "ab…"), (4, "abcd"), (5, "abcd")],
)
def test_limit(limit: int, shown: str) -> None:
    assert printable("abcd", limit) == shown


def test_limit_never_cuts_an_escape() -> None:
    assert printable("ab\u202ecd", 6) == "ab…"
    assert printable("\u202e" * 3, 16) == "\\u{202e}…"


def test_limit_bounds_the_work() -> None:
    assert printable("x" * 10_000_000, 10) == "x" * 9 + "…"
