"""File names from the wire are plain names, never paths, and never hide what they are."""

from __future__ import annotations

import pytest

from comity.errors import NameRefused
from comity.protocol.exchange.names import RUNS_CODE_NOTE, check_name, note_for


@pytest.mark.parametrize(
    "name",
    [
        "round-3-weights.pt",
        "model (final).safetensors",
        "charité.pt",
        "模型.bin",
        "משקולות.pt",
        "a",
        "x" * 255,
        "é" * 127,
        "a..b",
        "trailing.",
        "screen\u202fshot.png",  # macOS writes a narrow no-break space
        "$(reboot)",
        "NUL",
    ],
)
def test_plain_names_pass(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../x",
        "/etc/x",
        "a/b",
        "a\\b",
        "C:\\x",
        "nul\0byte",
        "line\nfeed",
        "tab\t",
        "bell\x07",
        "escape\x1b[2J",
        "c1\x85",
        "gnp.\u202etp",  # right-to-left override
        "zero\u200bwidth",
        "\ufeffbom",
        "line\u2028separator",
        "\ud800",
        "private\ue000",
        "\U000e0041tag",
        "unassigned\u0378",
        ".bashrc",
        "-rf",
        " leading",
        "trailing ",
        "x" * 256,
        "é" * 128,
    ],
)
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(NameRefused) as caught:
        check_name(name)
    assert caught.value.message.isprintable()
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["a.pt", "b.PTH", "c.pkl", "d.joblib", "e.ckpt", "pytorch_model.bin"])
def test_pickles_are_labelled(name: str) -> None:
    assert note_for(name) == RUNS_CODE_NOTE


@pytest.mark.parametrize("name", ["a.safetensors", "b.csv", "pt", "c.pt.txt", "d.npy"])
def test_others_are_not(name: str) -> None:
    assert note_for(name) == ""
