"""Saving and loading weights: NumPy always, the other frameworks where they are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from comity.errors import FileUnusable, InvalidInput, InvalidWeights, StorageUnusable
from comity.sdk import weights
from comity.sdk.averaging import Contribution, metadata_of, weighted_mean

W = np.arange(6, dtype=np.float32).reshape(2, 3)
TENSORS: dict[str, np.ndarray[Any, Any]] = {"w": W, "b": np.full((), 0.5, np.float32), "n": np.arange(3)}


def test_numpy_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(TENSORS | {"t": W.T}, path, metadata={"samples": "238"})
    found = weights.load(path)
    assert metadata_of(path) == {"samples": "238"}
    for name, tensor in (TENSORS | {"t": W.T}).items():
        np.testing.assert_array_equal(found[name], tensor)
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({}, "these are of none"),
        ({"a": 1}, "these are of builtins"),
        ({"a": np.ones(1), "b": [1.0]}, "these are of builtins, numpy"),
        ({"a": np.array(["text"])}, "cannot be saved"),
        ({"a": np.array([object()])}, "cannot be saved"),
    ],
)
def test_what_cannot_be_saved(tmp_path: Path, tensors: dict[str, Any], problem: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"before")
    with pytest.raises(InvalidInput, match=problem):
        weights.save(tensors, path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["w.safetensors"]


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="absent cannot be read"):
        weights.load(tmp_path / "absent")
    (tmp_path / "pickle").write_bytes(b"\x80\x04.")
    with pytest.raises(InvalidWeights, match="pickle is not a safetensors file"):
        weights.load(tmp_path / "pickle")
    with pytest.raises(InvalidInput, match="is not a known framework"):
        weights.load(tmp_path / "absent", framework="theano")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(StorageUnusable):
        weights.save(TENSORS, tmp_path / "absent" / "w")


def test_a_framework_that_is_not_here_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(TENSORS, path)
    program = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from comity.sdk import weights\n"
        f"try:\n weights.load({str(path)!r}, framework='tensorflow')\n"
        "except weights.InvalidInput as error:\n print(error, '|', error.hint)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "tensorflow is not installed here | run pip install tensorflow\n"


def test_no_framework_is_imported_before_it_is_used() -> None:
    program = "import comity.sdk.weights, sys; print({'torch', 'tensorflow', 'jax'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_torch_there_and_back_and_averaged(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    paths = []
    for at in range(2):
        network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).to(torch.bfloat16)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(float(at))
        paths.append(tmp_path / f"{at}.safetensors")
        weights.save(network.state_dict(), paths[-1], metadata={"samples": str(at)})
        network.load_state_dict(weights.load(paths[-1], framework="torch"))
    weighted_mean([Contribution(path) for path in paths], tmp_path / "mean")
    mean = weights.load(tmp_path / "mean", framework="torch")
    assert mean["0.weight"].dtype == torch.bfloat16
    assert mean["0.weight"].unique().tolist() == [0.5]
    shared = torch.zeros(2)
    with pytest.raises(InvalidInput, match="cannot be saved"):
        weights.save({"a": shared, "b": shared}, tmp_path / "shared")
    weights.save({"turned": torch.ones(2, 3, requires_grad=True).T}, tmp_path / "turned")
    assert tuple(weights.load(tmp_path / "turned")["turned"].shape) == (3, 2)


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
def test_the_others_there_and_back(tmp_path: Path, framework: weights.Framework) -> None:
    library = pytest.importorskip(framework)
    module = library.numpy if framework == "jax" else library
    path = tmp_path / "w.safetensors"
    weights.save({"w": module.ones((2, 3))}, path)
    assert weights.load(path)["w"].tolist() == [[1.0] * 3] * 2
    assert weights.load(path, framework=framework)["w"].shape == (2, 3)
