"""Charters as people type them: new, lint, show, diff, with no node anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.charters import LAB_A, LAB_B
from tests.cli.conftest import Typed

NEW = [
    *("charter", "new", "--template", "vendor-evaluation", "--title", "Trial", "--purpose", "validation"),
    *("--reference", "IRB #1", "--from", "2026-12-01", "--until", "2027-06-01T12:00:00Z"),
    *("--party", f"hospital-a={LAB_A}", "--party", f"comity:vendor@rendezvous.example:9000#{LAB_B}"),
    *("--organization", "hospital-a=Hospital A", "--contact", "hospital-a=+1 555", "--contact", "vendor=a@b"),
]


@pytest.fixture
def trial(comity: Typed, folder: Path) -> Path:
    file = folder / "trial.yaml"
    ran = comity([*NEW, "--out", str(file)])
    assert (ran.status, ran.out.splitlines()[0]) == (0, f"Charter written to {file}")
    return file


def test_new_then_lint(comity: Typed, trial: Path) -> None:
    ran = comity(["charter", "lint", str(trial)])
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "missing: parties.vendor: the organization is not named"
    found = json.loads(comity(["charter", "lint", str(trial), "--json"]).out)
    assert (found["valid"], [one["kind"] for one in found["findings"]]) == (True, ["missing"])
    assert ran.out.splitlines()[-1] == f"Digest: {found['digest']}"


def test_new_prints_without_out_and_never_overwrites(comity: Typed, trial: Path) -> None:
    printed = comity(NEW)
    assert printed.out == trial.read_text(encoding="utf-8")
    assert json.loads(comity([*NEW, "--json"]).out)["content"] == printed.out
    again = comity([*NEW, "--out", str(trial)])
    assert (again.status, again.err.splitlines()[0]) == (40, f"error: {trial} is already there")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--template", "none"], "there is no template none"),
        (
            ["--party", f"third={'c3' * 32}"],
            "the template vendor-evaluation has two parties, and 3 were named",
        ),
        (["--party", "third"], "third is not written NAME=TEXT"),
        (["--contact", "nobody=x"], "nobody is not a party"),
        (["--until", "soon"], "Expected `str` matching regex"),
        (["--until", "2027-02-30"], "2027-02-30T00:00:00Z is not in the calendar"),
        (["--reference-kind", "hearsay"], "a reference is to irb, contract, other"),
    ],
)
def test_bad_answers(comity: Typed, change: list[str], message: str) -> None:
    ran = comity([*NEW, *change])
    assert ran.status == 2
    assert ran.err.startswith(f"error: {message}")


def test_what_is_missing_is_asked_for_on_a_terminal_only(comity: Typed) -> None:
    ran = comity(["charter", "new", "--template", "two-lab-study"])
    assert (ran.status, ran.err.splitlines()[0]) == (2, "error: --title is missing")


def test_contradictions_end_with_an_error(comity: Typed, trial: Path) -> None:
    trial.write_text(trial.read_text(encoding="utf-8").replace('who: ["evaluator"]', 'who: ["nobody"]'))
    ran = comity(["charter", "lint", str(trial)])
    assert ran.status == 2
    assert "contradictory: permissions.try-model: no party plays the role nobody" in ran.out
    assert ran.err.splitlines()[0] == "error: the charter contradicts itself"
    as_json = comity(["charter", "lint", str(trial), "--json"])
    assert json.loads(as_json.out)["valid"] is False
    assert json.loads(as_json.err)["error"]["code"] == "invalid_charter"


def test_what_is_no_charter(comity: Typed, folder: Path) -> None:
    file = folder / "no.yaml"
    file.write_text("schema: &a x\n")
    for name in ("lint", "show"):
        ran = comity(["charter", name, str(file)])
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith("error: line 1: anchors")
    assert comity(["charter", "show", str(folder / "none")]).status == 40


def test_show_reads_it_out(comity: Typed, trial: Path) -> None:
    lines = comity(["charter", "show", str(trial)]).out.splitlines()
    assert lines[0] == "Trial, version 1"
    assert "  try-model: evaluator may receive from vendor" in lines
    shown = json.loads(comity(["charter", "show", str(trial), "--json"]).out)
    assert [*shown["lines"], f"Digest: {shown['digest']}"] == lines
    assert shown["charter"]["parties"][1]["name"] == "vendor"


def test_diff_of_versions(comity: Typed, trial: Path) -> None:
    digest = json.loads(comity(["charter", "show", str(trial), "--json"]).out)["digest"]
    text = trial.read_text(encoding="utf-8")
    second = trial.with_name("second.yaml")
    second.write_text(text.replace("most: 5\n", "most: 6\n"), encoding="utf-8")
    ran = comity(["charter", "diff", str(trial), str(second)])
    assert ran.out.splitlines() == [
        "- permissions.try-model.limits.trials.most: 5",
        "+ permissions.try-model.limits.trials.most: 6",
        f"The second does not name the first as its predecessor: {digest}",
    ]
    line = f'version: 2\nlineage: "{digest}"\npredecessor: "{digest}"\n'
    second.write_text(text.replace("version: 1\nlineage: null\npredecessor: null\n", line), encoding="utf-8")
    found = json.loads(comity(["charter", "diff", str(trial), str(second), "--json"]).out)
    assert (found["before"], found["succeeds"]) == (digest, True)
    assert comity(["charter", "diff", str(trial), str(trial)]).out == "No difference.\n"


def test_explain(comity: Typed, trial: Path) -> None:
    asked = ["charter", "explain", str(trial), "receive", "--party", "hospital-a", "--at", "2027-01-01"]
    asked += ["--signer", LAB_B, "--bytes", "1000"]
    ran = comity([*asked, "--format", "safetensors"])
    assert (ran.status, ran.out.splitlines()) == (
        0,
        [
            "Allowed: receive by hospital-a, with vendor",
            "  permissions.try-model: evaluator may receive from vendor",
        ],
    )
    denied = comity(
        [*asked, "--format", "pickle", "--used", "permissions.try-model.limits.trials=5", "--json"]
    )
    found = json.loads(denied.out)
    assert (denied.status, found["allowed"], found["at"]) == (0, False, "2027-01-01T00:00:00Z")
    assert [one["clause"] for one in found["reasons"]] == [
        "artifacts.formats",
        "permissions.try-model.limits.trials",
    ]
    assert found["charter"] == json.loads(comity(["charter", "show", str(trial), "--json"]).out)["digest"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--party", "lab-z"], "lab-z is not a party"),
        (["--with", "lab-z"], "lab-z is not a party"),
        (["--at", "soon"], "soon is not a time in UTC"),
        (["--used", "limits.other=1"], "the charter has no limit limits.other"),
        (["--used", "limits.volume=-1"], "limits.volume=-1 is not written CLAUSE=N"),
        (["--bytes", "-1"], "invalid value for '--bytes'"),
    ],
)
def test_explain_refuses(comity: Typed, trial: Path, change: list[str], message: str) -> None:
    ran = comity(["charter", "explain", str(trial), "receive", "--party", "hospital-a", *change])
    assert ran.status == 2
    assert ran.err.startswith(f"error: {message}")


def test_explain_knows_its_operations(comity: Typed, trial: Path) -> None:
    ran = comity(["charter", "explain", str(trial), "steal", "--party", "vendor"])
    assert (ran.status, ran.err.splitlines()[0]) == (2, "error: steal is not an operation")


def test_explain_means_now_by_default(comity: Typed, trial: Path) -> None:
    found = json.loads(
        comity(["charter", "explain", str(trial), "connect", "--party", "vendor", "--json"]).out
    )
    assert found["at"].endswith("Z")
    assert found["peer"] == "hospital-a"
