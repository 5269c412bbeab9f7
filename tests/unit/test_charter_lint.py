"""Lint finds every contradiction, what is missing, what is weaker than the template; templates are clean."""

from __future__ import annotations

from typing import Any

import pytest

from comity.errors import InvalidCharter, InvalidInput
from comity.policy.charter.canonical import from_plain
from comity.policy.charter.editing import read_charter
from comity.policy.charter.lint import lint
from comity.policy.charter.templates import NAMES, Answers, Name, Signatory, standard, write
from tests import charters
from tests.unit.test_charter_canonical import changed

HOSTILE = 'a "quoted": & *b # \\ {x} %YAML NO'
DIGEST = "sha256:" + "dd" * 32


def answers(count: int, text: str = HOSTILE) -> Answers:
    parties = tuple(Signatory(f"lab-{n}", f"{n:064x}", text, text) for n in range(1, count + 1))
    begin, end = "2026-12-01T00:00:00Z", "2027-06-01T00:00:00Z"
    return Answers(text, text, text, "irb", begin, end, begin, parties)


def found(plain: dict[str, Any], kind: str) -> list[str]:
    return [f"{one.clause}: {one.text}" for one in lint(from_plain(plain)) if one.kind == kind]


# ── templates ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_templates_come_without_findings_whatever_is_answered(name: Name) -> None:
    charter = read_charter(write(name, answers(2)).encode())
    assert lint(charter) == ()
    assert (charter.title, charter.purpose.text, charter.template) == (HOSTILE, HOSTILE, name)
    assert {party.organization for party in charter.parties} == {HOSTILE}
    assert lint(standard(name)) == ()


def test_a_star_has_as_many_sites_as_are_named() -> None:
    charter = read_charter(write("multi-site-star", answers(12)).encode())
    assert lint(charter) == ()
    assert [party.roles for party in charter.parties] == [("hub",)] + [("site",)] * 11


def test_templates_refuse_other_parties_and_bad_answers() -> None:
    for name, count in (("two-lab-study", 3), ("vendor-evaluation", 1), ("multi-site-star", 1)):
        with pytest.raises(InvalidInput, match="were named"):
            write(name, answers(count))  # type: ignore[arg-type]  # a tuple of literals is a tuple of str
    for text in ("", "two\nlines", "\u202e"):
        with pytest.raises(InvalidCharter):
            write("two-lab-study", answers(2, text))


# ── contradictions ────────────────────────────────────────────────────────────────────────────────────


def test_the_sample_has_none() -> None:
    assert found(charters.plain(), "contradictory") == []


@pytest.mark.parametrize(
    ("path", "value", "clause", "text"),
    [
        ("version", 2, "version", "names its predecessor"),
        ("lineage", DIGEST, "version", "no predecessor and no lineage"),
        ("window.until", "2026-12-01T00:00:00Z", "window", "ends before it begins"),
        ("accept_by", "2028-01-01T00:00:00Z", "accept_by", "after it has ended"),
        (
            "permissions.0.window",
            {"from": "2026-12-01T00:00:00Z", "until": "2028-01-01T00:00:00Z"},
            "permissions.external-validation.window",
            "beyond the window of the charter",
        ),
        (
            "permissions.0.window",
            {"from": "2027-02-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
            "permissions.external-validation.window",
            "ends before it begins",
        ),
        ("parties.1.name", "lab-a", "parties", "lab-a is named twice"),
        ("parties.1.fingerprint", charters.LAB_A, "parties", "named twice"),
        ("parties.0.roles", ["developer", "developer"], "parties.lab-a.roles", "developer is named twice"),
        ("assets.1.id", "model-x", "assets", "model-x is named twice"),
        ("assets.0.digests", [], "assets.model-x", "nothing is it"),
        ("assets.0.digests", [charters.MODEL_X] * 2, "assets.model-x", "named twice"),
        ("assets.1.digests", [charters.MODEL_X], "assets.model-x", "proprietary as model-y"),
        ("assets.0.owner", "lab-z", "assets.model-x.owner", "lab-z is not a party"),
        ("ownership.outputs", ["lab-z"], "ownership.outputs", "lab-z is not a party"),
        ("incidents.contacts.0.party", "lab-z", "incidents.contacts", "lab-z is not a party"),
        ("permissions.1.id", "external-validation", "permissions", "external-validation is named twice"),
        ("permissions.0.who", ["auditor"], "permissions.external-validation", "nobody"),
        ("permissions.0.assets", ["model-z"], "permissions.external-validation", "there is no asset model-z"),
        ("permissions.0.assets", ["model-y"], "permissions.external-validation", "model-y is proprietary"),
        ("permissions.0.assets", [], "permissions.external-validation", "it allows nothing"),
        ("permissions.0.topics", ["a"], "permissions.external-validation", "it lists topics"),
        ("permissions.0.ports", [22], "permissions.external-validation", "it lists ports"),
        ("permissions.0.with", ["evaluator"], "permissions.external-validation", "describes no two parties"),
        ("permissions.0.limits.0.counts", "events", "permissions.external-validation", "nothing here makes"),
        ("limits.0.counts", "calls", "limits", "nothing here makes"),
        ("limits", [charters.plain()["limits"][0]] * 2, "limits", "volume is named twice"),
        ("artifacts.formats", ["json", "json"], "artifacts.formats", "json is named twice"),
    ],
)
def test_contradictions(path: str, value: Any, clause: str, text: str) -> None:
    text = "no party plays the role auditor" if text == "nobody" else text
    assert any(
        line.startswith(f"{clause}: ") and text in line
        for line in found(changed(path, value), "contradictory")
    )


def test_versions_follow_their_line() -> None:
    for version, lineage, predecessor, fits in (
        (1, None, None, True),
        (2, DIGEST, DIGEST, True),
        (2, DIGEST, charters.MODEL_X, False),
        (3, DIGEST, charters.MODEL_X, True),
        (3, DIGEST, DIGEST, False),
        (3, None, DIGEST, False),
    ):
        plain = charters.plain() | {"version": version, "lineage": lineage, "predecessor": predecessor}
        assert (found(plain, "contradictory") == []) is fits


def test_a_proprietary_asset_may_be_called() -> None:
    plain = charters.plain()
    plain["permissions"][0] |= {"may": ["call"], "assets": ["model-y"], "limits": []}
    assert found(plain, "contradictory") == []


# ── missing, weaker ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("purpose.reference", "", "purpose.reference: no review board's approval"),
        ("parties.0.organization", "", "parties.lab-a: the organization is not named"),
        ("incidents.contacts", [], "incidents.contacts: nobody is named at lab-b"),
        ("incidents.evidence", "", "incidents.evidence: it does not say"),
        ("privacy.terms", "", "privacy: it does not say what protects"),
        ("assets.1.class", "shareable", "assets.model-y: it is shareable, and no permission names it"),
        ("parties.1.roles", ["guest"], "parties.lab-b: no permission concerns this party"),
        ("limits", [], "permissions.progress: nothing limits how many events there are"),
    ],
)
def test_missing(path: str, value: Any, line: str) -> None:
    assert any(one.startswith(line) for one in found(changed(path, value), "missing"))
    assert not any(one.startswith(line) for one in found(charters.plain(), "missing"))


def weakened(path: str, value: Any) -> list[str]:
    plain: Any = charters.plain() | {"template": "vendor-evaluation"}
    for permission, name in zip(plain["permissions"], ("try-model", "report"), strict=True):
        permission["id"] = name
    plain["exit"]["statements_within_days"] = 30
    at = plain
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in way:
        at = at[step]
    at[last] = value
    return found(plain, "weaker")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("window.until", "2028-06-01T00:00:00Z", "window: more days: 548, in the template 365"),
        ("artifacts.max_bytes", 10**12, "artifacts.max_bytes: larger artifacts in bytes"),
        ("artifacts.signature", "optional", "artifacts.signature: the template requires"),
        ("artifacts.formats", ["npz"], "artifacts.formats: the template does not let npz pass"),
        ("retention.artifacts_days", 31, "retention.artifacts_days: artifacts are kept for more days: 31"),
        ("retention.records_days", 30, "retention.records_days: records are kept for fewer days: 30"),
        ("incidents.notify_within_hours", 25, "incidents.notify_within_hours: later notice in hours: 25"),
        ("incidents.remedy_within_days", 31, "incidents.remedy_within_days: later remedy in days: 31"),
        ("ownership.reuse", "allowed", "ownership.reuse: freer reuse: allowed, in the template forbidden"),
        ("exit.artifacts", "retain", "exit.artifacts: more is kept at the end: retain"),
        ("exit.statements_within_days", 31, "exit.statements_within_days: later statements in days: 31"),
        ("permissions.1.may", ["forward"], "permissions.report: the template lets nobody forward"),
        ("limits", [], "limits: the template's limit volume is gone"),
        ("permissions.0.limits.0.id", "trials", None),
        (
            "permissions.0.limits.0",
            {"id": "trials", "counts": "transfers", "most": 5, "per": "day"},
            "permissions.try-model.limits.trials: 5 transfers per day, in the template 5 transfers per",
        ),
    ],
)
def test_weaker(path: str, value: Any, line: str | None) -> None:
    lines = weakened(path, value)
    if line is None:
        assert not any(one.startswith("permissions.try-model.limits") for one in lines)
    else:
        assert any(one.startswith(line) for one in lines)


def test_privacy_is_measured_too() -> None:
    plain = charters.plain() | {"template": "multi-site-star"}
    assert "privacy.secure_aggregation: the template requires secure aggregation" in found(plain, "weaker")
