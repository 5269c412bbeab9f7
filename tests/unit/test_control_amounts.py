"""Sizes, rates and durations as people type them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.control.amounts import parse_duration, parse_rate, parse_size
from comity.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600), ("1Y", 31_536_000)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@given(st.text())
def test_durations_are_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5d", "9999999999d", "٣d", "1d1h", "1 d"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("142MB", 142_000_000),
        ("142 mb", 142_000_000),
        ("1.5GB", 1_500_000_000),
        ("8TiB", 8 * 2**40),
        ("0.5 KiB", 512),
        ("1k", 1000),
        ("7B", 7),
        ("1.001kB", 1001),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MB", "-1MB", "1.2345GB", "1ib", "1iB", "١MB", "1 2", "1e9", "nan", "5PPB"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_size(text)


def test_a_size_that_no_database_holds() -> None:
    with pytest.raises(InvalidInput, match="more than"):
        parse_size("999999999999999PiB")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50MB/s", 50_000_000), ("50MB", 50_000_000), ("1.5 MiB/S", 1_572_864), ("16kB/s", 16_000)],
)
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "/s", "0", "1kB/s", "50MB/h", "50MB/s/s", "fast"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_rate(text)


@given(st.text())
def test_sizes_and_rates_are_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert 0 <= parse_size(text) <= 2**62
    with contextlib.suppress(InvalidInput):
        assert parse_rate(text) >= limits.RATE_LEAST
