"""Fingerprints: however people type them, but all of them."""

from __future__ import annotations

import pytest

from comity.errors import InvalidInput
from comity.identity.fingerprint import Fingerprint

TEXT = "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9"
PRINT = Fingerprint(bytes.fromhex(TEXT))


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.upper(),
        PRINT.grouped,
        PRINT.grouped.upper().replace(" ", "-"),
        ":".join(TEXT[at : at + 2] for at in range(0, 64, 2)),
        f"  {TEXT[:32]}\n{TEXT[32:]}\n",
    ],
)
def test_reads_what_people_type(text: str) -> None:
    assert Fingerprint.parse(text) == PRINT


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has 0"),
        (TEXT[:63], "has 63"),
        (TEXT[:32], "has 32"),
        (TEXT + "0", "has 65"),
        (PRINT.short, "hexadecimal digits"),
        ("sha256:" + TEXT, "hexadecimal digits"),
        (TEXT[:-1] + "g", "hexadecimal digits"),
        ("٣" * 64, "hexadecimal digits"),
        (TEXT + " " * 1000, "too long"),
    ],
)
def test_refuses_parts_and_other_text(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        Fingerprint.parse(text)
    assert "64 digits" in caught.value.hint


def test_ways_to_show_it() -> None:
    assert str(PRINT) == TEXT
    assert PRINT.short == "06e3...2fa9"
    groups = PRINT.grouped.split(" ")
    assert len(groups) == 16
    assert {len(group) for group in groups} == {4}


def test_equality() -> None:
    assert Fingerprint(bytes(32)) == Fingerprint(bytes(32))
    assert Fingerprint(bytes(32)) != PRINT
    assert PRINT != TEXT
    assert len({PRINT, Fingerprint.parse(TEXT.upper())}) == 1


@pytest.mark.parametrize("size", [0, 20, 33])
def test_digest_length_is_checked(size: int) -> None:
    with pytest.raises(InvalidInput):
        Fingerprint(bytes(size))
