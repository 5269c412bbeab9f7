"""Five validations of model X until a date, and nothing else: refusals name their clause, errors deny."""

from __future__ import annotations

import time
from typing import Any

import pytest

from comity import limits
from comity.clock import from_rfc3339
from comity.errors import InvalidCharter, LocalProtocolError
from comity.policy.charter.canonical import from_plain
from comity.policy.charter.cedar import compile_charter
from comity.policy.charter.evaluate import CedarPolicy
from comity.policy.charter.model import Charter
from comity.policy.charter.ruling import Policy, Question, Ruling
from tests import charters
from tests.unit.test_charter_canonical import changed

FIVE = "permissions.external-validation.limits.five-times"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return CedarPolicy(from_plain(charters.plain()))


def ask(policy: Policy, **change: Any) -> Ruling:
    question: dict[str, Any] = {
        "operation": "receive",
        "actor": charters.LAB_B,
        "peer": charters.LAB_A,
        "now": from_rfc3339("2027-01-01T00:00:00Z"),
        "digest": charters.MODEL_X,
        "signer": charters.LAB_A,
        "format": "safetensors",
        "bytes": 10**9,
        "used": {"limits.volume": 0, FIVE: 0},
    }
    return policy.rule(Question(**question | change))


def sent(**change: Any) -> dict[str, Any]:
    return {"operation": "send", "actor": charters.LAB_A, "peer": charters.LAB_B, **change}


def test_both_sides_allow_it_by_the_same_clause(policy: Policy) -> None:
    for change in ({}, sent()):
        ruling = ask(policy, **change)
        assert ruling.allowed
        assert [one.clause for one in ruling.reasons] == ["permissions.external-validation"]
        assert ruling.reasons[0].text == "evaluator may receive from developer"


def test_the_fifth_passes_and_the_sixth_does_not(policy: Policy) -> None:
    for used in range(5):
        assert ask(policy, used={"limits.volume": 0, FIVE: used}).allowed
    for change in ({}, sent()):
        ruling = ask(policy, **change, used={"limits.volume": 0, FIVE: 5})
        assert not ruling.allowed
        assert [one.clause for one in ruling.reasons] == [FIVE]
        assert ruling.reasons[0].text == "at most 5 transfers in all between any two (five-times)"


@pytest.mark.parametrize(
    ("change", "clauses"),
    [
        ({"digest": charters.MODEL_Y}, ["assets.model-y"]),
        ({"digest": "sha256:" + "99" * 32}, ["permissions"]),
        ({"digest": ""}, ["permissions"]),
        ({"format": "pickle"}, ["artifacts.formats"]),
        ({"format": ""}, ["artifacts.formats"]),
        ({"signer": ""}, ["artifacts.signature"]),
        ({"signer": "99" * 32}, ["artifacts.signature"]),
        ({"bytes": 10**11 + 1}, ["artifacts.max_bytes"]),
        ({"bytes": 1, "used": {"limits.volume": 10**12, FIVE: 0}}, ["limits.volume"]),
        ({"now": from_rfc3339("2027-06-01T00:00:00Z")}, ["window"]),
        ({"now": from_rfc3339("2026-11-30T23:59:59Z")}, ["window"]),
        ({"operation": "send"}, ["permissions"]),
        ({"operation": "forward", "port": 8888}, ["permissions"]),
        ({"operation": "call"}, ["permissions"]),
        ({"operation": "subscribe", "topic": "other/news"}, ["permissions"]),
        ({"operation": "subscribe", "topic": "validation"}, ["permissions"]),
        ({"operation": "subscribe", "topic": "**"}, ["permissions"]),
        ({"peer": charters.LAB_C}, ["parties"]),
        ({"actor": charters.LAB_C}, ["parties"]),
        ({"peer": charters.LAB_B}, ["permissions"]),
        (
            {"format": "pickle", "signer": "", "now": from_rfc3339("2028-01-01T00:00:00Z")},
            ["window", "artifacts.formats", "artifacts.signature"],
        ),
    ],
)
def test_everything_else_is_refused_by_its_clause(
    policy: Policy, change: dict[str, Any], clauses: list[str]
) -> None:
    ruling = ask(policy, **change)
    assert not ruling.allowed
    assert [one.clause for one in ruling.reasons] == clauses


def test_the_last_moment(policy: Policy) -> None:
    end = from_rfc3339("2027-06-01T00:00:00Z")
    assert ask(policy, now=end - 0.5).allowed
    assert not ask(policy, now=end).allowed


def test_events_and_connections(policy: Policy) -> None:
    for operation in ("publish", "subscribe"):
        assert ask(policy, operation=operation, topic="validation/round-1/ready").allowed
        assert ask(policy, operation=operation, topic="validation/**").allowed
    assert ask(policy, operation="connect").allowed
    assert not ask(policy, operation="connect", peer=charters.LAB_C).allowed


# ── failing closed ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "used",
    [{}, {FIVE: 0}, {FIVE: 0, "limits.volume": 0, "limits.other": 0}, {FIVE: "0", "limits.volume": 0.5}],
)
def test_counts_that_are_not_those_of_the_charter_deny(policy: Policy, used: dict[str, Any]) -> None:
    if any(not isinstance(count, int) for count in used.values()):
        used = {clause: str(count) for clause, count in used.items()}
        question = Question(operation="connect", actor=charters.LAB_A, peer=charters.LAB_B, now=0)
        object.__setattr__(question, "used", used)
        ruling = policy.rule(question)
    else:
        ruling = ask(policy, used=used)
    assert not ruling.allowed
    assert [one.clause for one in ruling.reasons] == ["policy"]


def test_an_overflow_denies_though_cedar_would_allow(policy: Policy) -> None:
    question = Question(
        operation="publish",
        actor=charters.LAB_A,
        peer=charters.LAB_B,
        now=from_rfc3339("2027-01-01T00:00:00Z"),
        topic="validation/a",
        used={"limits.volume": 1, FIVE: 0},
    )
    assert policy.rule(question).allowed
    object.__setattr__(question, "bytes", 2**63 - 1)  # beyond what a Question lets in
    ruling = policy.rule(question)
    assert (ruling.allowed, ruling.reasons[0].clause) == (False, "policy")


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": -1},
        {"port": -1},
        {"used": {"x": -1}},
        {"now": -1.0},
        {"now": float("nan")},
        {"bytes": 2**63},
    ],
)
def test_questions_that_make_no_sense(policy: Policy, change: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        ask(policy, **change)


# ── compiling ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_charter_makes_the_same_policy() -> None:
    first, second = (compile_charter(from_plain(charters.plain())) for _ in range(2))
    assert (first.policies, first.schema, first.digest) == (second.policies, second.schema, second.digest)
    other = compile_charter(from_plain(changed("permissions.0.limits.0.most", 6)))
    assert other.digest != first.digest
    assert first.limits == ("limits.volume", FIVE)


def test_contradictions_are_not_compiled() -> None:
    with pytest.raises(InvalidCharter, match="there is no asset model-z"):
        compile_charter(from_plain(changed("permissions.0.assets", ["model-z"])))


def enormous() -> Charter:
    """Few words that make a long policy: all parties in every role, every limit of every permission."""
    plain = charters.plain()
    plain["parties"] = [
        plain["parties"][0] | {"name": f"lab-{at}", "fingerprint": f"{at:064x}", "roles": ["all"]}
        for at in range(limits.CHARTER_PARTIES)
    ]
    counted = [
        {"id": f"limit-{at}", "counts": "events", "most": 1, "per": "day"}
        for at in range(limits.CHARTER_LIMITS)
    ]
    plain["permissions"] = [
        {
            "id": f"p-{at}",
            "who": ["all"],
            "may": ["publish"],
            "with": ["all"],
            "topics": ["a"],
            "limits": counted,
        }
        for at in range(80)
    ]
    plain["assets"], plain["limits"] = [], []
    plain["ownership"]["outputs"], plain["incidents"]["contacts"] = ["lab-1"], []
    return from_plain(plain)


def test_a_policy_has_a_size() -> None:
    charter = enormous()
    began = time.perf_counter()
    with pytest.raises(InvalidCharter, match="more than 4 MiB"):
        compile_charter(charter)
    assert time.perf_counter() - began < 100
