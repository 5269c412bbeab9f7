"""The weighted mean: equal to NumPy's, of every type, in little memory; and what a hostile site may send."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from comity.errors import DiskFull, FileUnusable, InvalidInput, InvalidWeights, StorageUnusable
from comity.sdk.averaging import Contribution, check, metadata_of, weighted_mean

RANDOM = np.random.default_rng(7)
SHAPES: dict[str, tuple[int, ...]] = {
    "dense.weight": (300, 1001),
    "dense.bias": (1001,),
    "one": (),
    "none": (0, 3),
}


def model(dtype: Any = np.float32, scale: float = 1.0) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.asarray(RANDOM.normal(size=shape) * scale, dtype) for name, shape in SHAPES.items()}


def saved(path: Path, tensors: dict[str, np.ndarray[Any, Any]], **metadata: str) -> Path:
    save_file(tensors, path, metadata or None)
    return path


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_the_mean_is_numpys(tmp_path: Path, dtype: Any) -> None:
    models = [model(dtype) for _ in range(5)]
    weights = [1.0, 20.0, 300.0, 0.0, 5.5]
    contributions = [
        Contribution(saved(tmp_path / f"{at}.safetensors", each), weight)
        for at, (each, weight) in enumerate(zip(models, weights, strict=True))
    ]
    out = tmp_path / "global.safetensors"
    made = weighted_mean(contributions, out, metadata={"round": "3"})
    found = load_file(out)
    eps = float(np.finfo(dtype).eps)
    assert set(found) == set(SHAPES)
    for name in SHAPES:
        stack = np.stack([each[name].astype(np.float64) for each in models])
        exact = np.average(stack, axis=0, weights=weights)
        assert found[name].dtype == dtype
        assert found[name].shape == SHAPES[name]
        np.testing.assert_allclose(found[name], exact, rtol=2 * eps, atol=2 * eps)
    assert metadata_of(out) == {"round": "3"}
    data = out.read_bytes()
    assert (made.bytes, made.digest) == (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
    assert (made.contributions, made.tensors, made.weight) == (5, 4, 326.5)
    assert made.path == str(out)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, np.int32, np.uint16])
def test_integers_are_rounded(tmp_path: Path, dtype: Any) -> None:
    paths = [saved(tmp_path / f"{at}", {"steps": np.array([at, 100], dtype)}) for at in range(3)]
    weighted_mean([Contribution(path, 1 + at) for at, path in enumerate(paths)], tmp_path / "out")
    assert load_file(tmp_path / "out")["steps"].tolist() == [1, 100]  # (0·1 + 1·2 + 2·3) / 6 = 1.33


def test_the_mean_of_one_is_itself_to_the_bit(tmp_path: Path) -> None:
    tensors = {"a": np.arange(2**16, dtype=np.uint16).view(np.float16)}
    tensors["a"] = tensors["a"][np.isfinite(tensors["a"])]
    path = saved(tmp_path / "one", tensors | {"b": model()["dense.weight"]})
    weighted_mean([Contribution(path, 0.1)], tmp_path / "out", like=path)
    assert load_file(tmp_path / "out")["b"].tobytes() == load_file(path)["b"].tobytes()
    np.testing.assert_array_equal(load_file(tmp_path / "out")["a"], tensors["a"])


def bf16_file(path: Path, numbers: list[float]) -> Path:
    from comity.protocol.safetensors import write_header

    bits = (np.array(numbers, np.float32).view(np.uint32) >> 16).astype("<u2")
    path.write_bytes(write_header([("a", "BF16", (len(numbers),))], {}) + bits.tobytes())
    return path


def test_bfloat16_rounds_to_the_nearest(tmp_path: Path) -> None:
    one, two = (
        bf16_file(tmp_path / "one", [1.0, -3.0, 256.0]),
        bf16_file(tmp_path / "two", [2.0, -4.0, 258.0]),
    )
    weighted_mean([Contribution(one), Contribution(two)], tmp_path / "out")
    bits = np.frombuffer((tmp_path / "out").read_bytes()[-6:], "<u2").astype(np.uint32) << 16
    assert bits.view(np.float32).tolist() == [1.5, -3.5, 256.0]  # 257 lies between two: the even one


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dense.bias": None}, "lacks dense.bias"),
        ({"extra": np.ones(1, np.float32)}, "holds extra besides"),
        ({"dense.bias": np.ones(1000, np.float32)}, r"F32 \[1000\] and should be F32 \[1001\]"),
        ({"dense.bias": np.ones(1001, np.float64)}, r"F64 \[1001\] and should be F32"),
        ({"dense.bias": np.full(1001, np.nan, np.float32)}, "numbers of which no mean is made"),
        ({"dense.weight": np.full((300, 1001), -np.inf, np.float32)}, "numbers of which no mean is made"),
        ({"bad\nname\u202e": np.ones(1, np.float32)}, r"bad.*name.* besides"),
    ],
    ids=["missing", "extra", "shape", "type", "nan", "infinity", "name"],
)
def test_a_site_that_sends_something_else(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    like = saved(tmp_path / "global", model())
    theirs = {name: value for name, value in (model() | change).items() if value is not None}
    path = saved(tmp_path / "theirs", theirs)
    with pytest.raises(InvalidWeights, match=f"theirs cannot be averaged: .*{problem}"):
        check(path, like=like)
    out = tmp_path / "out"
    with pytest.raises(InvalidWeights, match=problem):
        weighted_mean([Contribution(like), Contribution(path)], out, like=like)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["global", "theirs"]


def test_enormous_numbers_and_weights_don_t_overflow(tmp_path: Path) -> None:
    paths = [saved(tmp_path / f"{at}", {"a": np.array([1.7e308, 1.0])}) for at in range(3)]
    weighted_mean([Contribution(path, 1e307) for path in paths], tmp_path / "out")
    np.testing.assert_allclose(load_file(tmp_path / "out")["a"], [1.7e308, 1.0])


def test_one_bad_number_in_the_last_block_is_found(tmp_path: Path) -> None:
    like = saved(tmp_path / "global", {"a": np.zeros(600_000, np.float32)})
    bad = np.zeros(600_000, np.float32)
    bad[-1] = np.nan
    with pytest.raises(InvalidWeights, match="no mean"):
        check(saved(tmp_path / "bad", {"a": bad}), like=like)
    check(like, like=like)


@pytest.mark.parametrize("tensor", [np.array([True]), np.array([2**60])], ids=["bool", "large"])
def test_what_has_no_mean(tmp_path: Path, tensor: np.ndarray[Any, Any]) -> None:
    path = saved(tmp_path / "global", {"a": tensor})
    with pytest.raises(InvalidWeights, match="no mean"):
        check(path, like=path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a pickle", b"\x80\x04."], ids=["empty", "zip", "pickle"]
)
def test_files_of_another_format(tmp_path: Path, content: bytes) -> None:
    like = saved(tmp_path / "global", model())
    (tmp_path / "theirs").write_bytes(content)
    with pytest.raises(InvalidWeights, match="theirs cannot be averaged"):
        check(tmp_path / "theirs", like=like)
    with pytest.raises(FileUnusable, match="no such file"):
        check(tmp_path / "absent", like=like)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "global", model())
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InvalidWeights, match="bytes, and its header describes"):
        check(tmp_path / "cut", like=path)


@pytest.mark.parametrize("weights", [(), (0.0,), (1.0, -1.0), (float("nan"),), (float("inf"),), (-1.0, 3.0)])
def test_weights_that_make_no_mean(tmp_path: Path, weights: tuple[float, ...]) -> None:
    path = saved(tmp_path / "global", model())
    with pytest.raises(InvalidInput, match="no mean"):
        weighted_mean([Contribution(path, weight) for weight in weights], tmp_path / "out")


def test_the_result_replaces_what_was_there_only_once_it_is_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "global", model())
    weighted_mean([Contribution(path)], path)
    assert set(load_file(path)) == set(SHAPES)
    with pytest.raises((StorageUnusable, DiskFull)):
        weighted_mean([Contribution(path)], "/dev/full/out")
    with pytest.raises(StorageUnusable):
        weighted_mean([Contribution(path)], tmp_path / "absent" / "out")


PEAK = """
import resource, sys
from comity.sdk.averaging import Contribution, weighted_mean
contributions = [Contribution(path, 1.0) for path in sys.argv[2:]]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
weighted_mean(contributions, sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_depends_neither_on_the_models_nor_on_their_number(tmp_path: Path) -> None:
    size = 2**24  # numbers: 64 MiB
    big = saved(tmp_path / "big", {"a": np.ones(size, np.float32)})
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path / "out"), *[str(big)] * 8],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(ran.stdout) * 1024 < 4 * size / 2, "it takes as much as half a model"
