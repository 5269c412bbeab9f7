"""One round of ``examples/five_sites``: which models count, and what hostile sites may hand in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comity.control import ReceivedFile
from comity.sdk import weights

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples/five_sites"
ONE, TWO, STRANGER = "11" * 32, "22" * 32, "33" * 32


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Any]:
    """Two sites are expected, and one is enough."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        import collecting  # type: ignore[import-not-found]  # a script's neighbour, not a package

        like = tmp_path / "global-0.safetensors"
        weights.save({"a": np.zeros(3, np.float32)}, like)
        yield collecting.Collection(frozenset({ONE, TWO}), 1, "round-1.safetensors", like)
    finally:
        sys.path.remove(str(EXAMPLE))
        sys.modules.pop("collecting", None)


def handed_in(
    folder: Path, key: str, numbers: Any, images: str | None = "100", name: str = "round-1.safetensors"
) -> ReceivedFile:
    path = folder / f"{key[:2]}-{name}"
    weights.save(
        {"a": np.asarray(numbers, np.float32)}, path, metadata={"images": images} if images else None
    )
    return ReceivedFile(
        path=str(path),
        name=name,
        bytes=path.stat().st_size,
        digest="",
        from_=f"site-{key[0]}",
        fingerprint=key,
        received_at="",
        agreement="",
    )


def test_fit_models_count_once_each_and_in_one_order(collection: Any, tmp_path: Path) -> None:
    two, one = handed_in(tmp_path, TWO, [1, 2, 3], "300"), handed_in(tmp_path, ONE, [4, 5, 6])
    for file in (two, one):
        assert collection.wants(file)
        assert not collection.complete
        collection.take(file)
        assert not collection.wants(file)
    assert collection.complete
    assert [each.weight for each in collection.contributions] == [100, 300]


def test_what_is_not_of_this_round_or_of_no_expected_site_is_left_alone(
    collection: Any, tmp_path: Path
) -> None:
    assert not collection.wants(handed_in(tmp_path, STRANGER, [1, 2, 3]))
    assert not collection.wants(handed_in(tmp_path, ONE, [1, 2, 3], name="round-0.safetensors"))


@pytest.mark.parametrize(
    ("numbers", "images"),
    [
        ([1, np.nan, 3], "100"),
        ([1, 2], "100"),
        ([1, 2, 3], None),
        ([1, 2, 3], "0"),
        ([1, 2, 3], "-5"),
        ([1, 2, 3], "10001"),
        ([1, 2, 3], "9" * 5000),
        ([1, 2, 3], "many"),
    ],
    ids=["nan", "shape", "no number", "none", "fewer", "too many", "huge", "words"],
)
def test_what_does_not_fit_is_refused_and_may_be_handed_in_again(
    collection: Any, tmp_path: Path, numbers: list[float], images: str | None
) -> None:
    collection.take(handed_in(tmp_path, ONE, numbers, images))
    assert (collection.contributions, len(collection.refused)) == ([], 1)
    assert collection.refused[0].startswith("site-1: ")
    again = handed_in(tmp_path, ONE, [1, 2, 3])
    assert collection.wants(again)
    collection.take(again)
    assert len(collection.contributions) == 1
