"""How numbers, durations and tables read."""

from __future__ import annotations

import pytest

from comity.cli import wording
from comity.cli.output import columns, table


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0kB"),
        (1500, "1.5kB"),
        (9_940, "9.9kB"),
        (9_960, "10kB"),
        (999_499, "999kB"),
        (999_500, "1.0MB"),
        (142_000_000, "142MB"),
        (4 * 1024**3, "4.3GB"),
        (10**18, "1000PB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (61, "1m 1s"), (7325, "2h 2m"), (90_000, "1d 1h"), (86_400, "1d")],
)
def test_spans(seconds: float, text: str) -> None:
    assert wording.span(seconds) == text


def test_ciphers() -> None:
    tunnel = wording.tunnel("X25519MLKEM768", "TLS_AES_256_GCM_SHA384")
    assert tunnel == "X25519MLKEM768 + AES-256-GCM"
    assert wording.tunnel(None, None) == "unknown + unknown"


def test_columns_line_up_by_what_a_terminal_shows() -> None:
    rows = columns([("東京", "x"), ("charite\N{COMBINING ACUTE ACCENT}", "y"), ("ab", "z")])
    assert rows == ["東京     x", "charite\N{COMBINING ACUTE ACCENT}  y", "ab       z"]
    assert table(("A", "B"), [("\x1b[2J", "x")]) == ["A          B", "\\u{1b}[2J  x"]
