"""The programs that a hospital runs: what they read, what they write, and what they make of a bad file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from comity.demo.model import Model, Summary
from comity.demo.study import all_patients, save_patients, split
from comity.demo.weights import (
    load_model,
    load_patients,
    load_summary,
    save_model,
    save_summary,
)
from comity.errors import InvalidWeights

OPENED = """
import runpy, sys
opened = []
sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
print(*[name for name in opened if name.endswith(".npz")], sep="\\n")
"""


def program(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"comity.demo.{name}", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert (done.returncode, done.stderr) == (0, "")
    result: dict[str, object] = json.loads(done.stdout)
    return result


@pytest.fixture
def hospitals(tmp_path: Path) -> Path:
    study = split(all_patients(), 1)
    groups = {"screening": study.screening, "referral": study.referral, "test": study.test}
    for name, patients in groups.items():
        save_patients(patients, tmp_path / f"{name}.npz")
    return tmp_path


def test_a_round_of_two_hospitals(hospitals: Path) -> None:
    sides = ("screening", "referral")
    for side in sides:
        out = f"{side}-summary.safetensors"
        told = answer(program(hospitals, "summarise", "--data", f"{side}.npz", "--out", out))
        assert told["features"] == 30
    summaries = [f"{side}-summary.safetensors" for side in sides]
    for side in sides:
        told = answer(
            program(
                hospitals, "train", "--data", f"{side}.npz", "--out", f"{side}-1", "--summary", *summaries
            )
        )
        assert told["steps"] == 40
    answer(program(hospitals, "average", "screening-1", "referral-1", "--out", "a"))
    answer(program(hospitals, "average", "referral-1", "screening-1", "--out", "b"))
    assert (hospitals / "a").read_bytes() == (hospitals / "b").read_bytes()
    answer(program(hospitals, "train", "--data", "referral.npz", "--out", "next", "--start", "a"))
    score = answer(program(hospitals, "evaluate", "--data", "test.npz", "--model", "a"))
    assert score["patients"] == 171
    assert float(str(score["accuracy"])) > 0.94


def test_patients_are_handed_out_by_the_folder(tmp_path: Path) -> None:
    told = answer(program(tmp_path, "patients", "--out", "study", "--seed", "1"))
    assert told == {"st-mary": 238, "cote-bleue": 160, "evaluation": 171}
    for name, count in told.items():
        assert len(load_patients(tmp_path / "study" / name / "patients.npz")) == count


def test_training_opens_its_own_patients_only(hospitals: Path) -> None:
    command = [sys.executable, "-c", OPENED, "comity.demo.train", "--data", "referral.npz", "--out", "alone"]
    done = subprocess.run(command, cwd=hospitals, capture_output=True, text=True, timeout=60, check=True)
    told, *opened = done.stdout.splitlines()
    assert json.loads(told)["patients"] == 160
    assert opened == ["referral.npz"]


def test_a_bad_file_is_an_error_with_a_hint(hospitals: Path) -> None:
    (hospitals / "theirs.safetensors").write_bytes(b"not weights")
    done = program(hospitals, "evaluate", "--data", "test.npz", "--model", "theirs.safetensors")
    assert (done.returncode, done.stdout) == (2, "")
    failure = json.loads(done.stderr)["error"]
    assert failure["code"] == "invalid_weights"
    assert failure["hint"]


def test_models_and_summaries_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    model = Model(7, np.array([0.5, 1.5]), np.array([1.0, 2.0]), np.array([-1.0, 3.0]), 0.25)
    save_model(model, path)
    loaded = load_model(path)
    assert (loaded.patients, loaded.bias, loaded.weights.tolist()) == (7, 0.25, [-1.0, 3.0])
    assert (loaded.mean.tolist(), loaded.scale.tolist()) == ([0.5, 1.5], [1.0, 2.0])
    save_summary(Summary(9, np.array([1.0]), np.array([2.0])), path)
    assert load_summary(path).patients == 9


GOOD = {
    "mean": np.zeros(3),
    "scale": np.ones(3),
    "weights": np.ones(3),
    "bias": np.zeros(1),
    "patients": np.array([5], np.int64),
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"extra": np.ones(3)}, "holds"),
        ({"mean": np.zeros(4)}, "wrong shape"),
        ({"mean": np.zeros((3, 1))}, "wrong shape"),
        ({"bias": np.zeros(2)}, "not one number"),
        ({"weights": np.array([1.0, np.nan, 1.0])}, "finite"),
        ({"weights": np.ones(3, np.float32)}, "64-bit"),
        ({"scale": np.array([1.0, 0.0, 1.0])}, "scales by zero"),
        ({"patients": np.array([-1], np.int64)}, "how many patients"),
        ({"patients": np.array([5.0])}, "how many patients"),
        ({"patients": np.array([5, 5], np.int64)}, "how many patients"),
    ],
)
def test_a_partners_model_is_checked(
    tmp_path: Path, change: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], problem: str
) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file(GOOD | change, path)
    with pytest.raises(InvalidWeights, match=problem):
        load_model(path)


def test_a_summary_of_nobody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"total": np.ones(2), "squares": np.ones(2), "patients": np.array([0], np.int64)}, path)
    with pytest.raises(InvalidWeights, match="nobody"):
        load_summary(path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidWeights, match="cannot be read"):
        load_model(tmp_path / "nowhere.safetensors")
