"""The compiled policy and an independent, deliberately simple reading of the charter never disagree."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from comity.clock import from_rfc3339
from comity.policy.charter.canonical import from_plain
from comity.policy.charter.consistency import contradictions
from comity.policy.charter.evaluate import CedarPolicy
from comity.policy.charter.ruling import Question
from tests import charter_oracle, charters

KEYS = [letter * 64 for letter in "abcd"]
DIGESTS = ["sha256:" + letter * 64 for letter in "1234"]
ROLES = ["hub", "site", "vendor"]
TOPICS = ["training/**", "training", "training/round-1", "status/**"]
MOMENTS = [f"2027-0{month}-01T00:00:00Z" for month in range(1, 7)]
OPERATIONS = [*charter_oracle.GIVING, *charter_oracle.TAKING, "send", "receive"]  # artifacts have most rules
NEEDS = {"transfer": "assets", "call": "assets", "event": "topics", "tunnel": "ports"}


def some(items: list[Any], least: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(items), min_size=least, max_size=3, unique=True)


@st.composite
def windows(draw: st.DrawFn) -> dict[str, str]:
    start, end = sorted(draw(st.lists(st.sampled_from(MOMENTS), min_size=2, max_size=2, unique=True)))
    return {"from": start, "until": end}


@st.composite
def limits(draw: st.DrawFn, acts: set[str]) -> list[dict[str, Any]]:
    counts = [act + "s" for act in ("transfer", "event", "call") if act in acts]
    if counts:
        counts.append("bytes")
    return [
        {"id": f"limit-{at}", "counts": one, "most": draw(st.integers(1, 10)), "per": "charter"}
        for at, one in enumerate(draw(some(counts, 0)) if counts else [])
    ]


@st.composite
def permissions(draw: st.DrawFn, at: int, shareable: list[str], every: list[str]) -> dict[str, Any]:
    may = draw(some(OPERATIONS))
    acts = {(charter_oracle.GIVING | charter_oracle.TAKING)[operation] for operation in may}
    needs = {NEEDS[act] for act in acts if act in NEEDS}
    assets = shareable if "transfer" in acts else every
    assume("assets" not in needs or assets)
    return {
        "id": f"permission-{at}",
        "who": draw(some(ROLES)),
        "may": may,
        "with": draw(some(ROLES)),
        "assets": draw(some(assets)) if "assets" in needs else [],
        "topics": draw(some(TOPICS)) if "topics" in needs else [],
        "ports": draw(some([22, 8888])) if "ports" in needs else [],
        "window": draw(st.none() | windows()),
        "limits": draw(limits(acts)),
    }


@st.composite
def whole_charters(draw: st.DrawFn) -> dict[str, Any]:
    plain = charters.plain()
    plain["parties"] = [
        {"name": f"lab-{key[0]}", "fingerprint": key, "roles": draw(some(ROLES)), "organization": ""}
        for key in KEYS[: draw(st.integers(2, 3))]  # the fourth is a stranger
    ]
    plain["assets"] = [
        {
            "id": f"asset-{at}",
            "class": draw(st.sampled_from(["shareable", "shareable", "proprietary"])),
            "owner": "lab-a",
            "digests": draw(some(DIGESTS[at::3], 0)),
            "signers": draw(some(KEYS[at::3])),
            "description": "",
        }
        for at in range(draw(st.integers(1, 3)))
    ]
    shareable = [asset["id"] for asset in plain["assets"] if asset["class"] == "shareable"]
    every = [asset["id"] for asset in plain["assets"]]
    plain["permissions"] = [draw(permissions(at, shareable, every)) for at in range(draw(st.integers(1, 4)))]
    acts = {
        (charter_oracle.GIVING | charter_oracle.TAKING)[operation]
        for one in plain["permissions"]
        for operation in one["may"]
    }
    plain["limits"] = draw(limits(acts))
    plain["window"] = {"from": MOMENTS[0], "until": MOMENTS[-1]}
    plain["artifacts"] = {
        "formats": draw(some(["safetensors", "onnx", "json"])),
        "max_bytes": draw(st.integers(1, 10)),
        "signature": draw(st.sampled_from(["required", "optional"])),
    }
    plain["ownership"]["outputs"], plain["incidents"]["contacts"] = ["lab-a"], []
    return plain


@st.composite
def questions(draw: st.DrawFn, counted: tuple[str, ...]) -> dict[str, Any]:
    moment = from_rfc3339(draw(st.sampled_from(MOMENTS)))
    return {
        "operation": draw(st.sampled_from(OPERATIONS)),
        "actor": draw(st.sampled_from(KEYS)),
        "peer": draw(st.sampled_from(KEYS)),
        "now": moment + draw(st.sampled_from([-1, -0.5, 0, 0.5, 86400])),
        "digest": draw(st.sampled_from([*DIGESTS, ""])),
        "signer": draw(st.sampled_from([*KEYS, ""])),
        "format": draw(st.sampled_from(["safetensors", "onnx", "json", "pickle", ""])),
        "bytes": draw(st.integers(0, 12)),
        "topic": draw(st.sampled_from([*TOPICS, "training/round-1/ready", "status/", "other", ""])),
        "port": draw(st.sampled_from([22, 8888, 80, 0])),
        "used": {clause: draw(st.integers(0, 11)) for clause in counted},
    }


@st.composite
def aimed(draw: st.DrawFn, plain: dict[str, Any], counted: tuple[str, ...]) -> dict[str, Any]:
    """A question that some permission describes, so that the rest of the charter has its say."""
    question = draw(questions(counted))
    one = draw(st.sampled_from(plain["permissions"]))
    who, others = (
        [party["fingerprint"] for party in plain["parties"] if set(party["roles"]) & set(one[side])]
        for side in ("who", "with")
    )
    question |= {"operation": draw(st.sampled_from(one["may"])), "actor": draw(st.sampled_from(who))}
    question |= {
        "peer": draw(st.sampled_from(others)),
        "now": from_rfc3339(draw(st.sampled_from(MOMENTS[:5]))),
    }
    question["format"] = draw(st.sampled_from(plain["artifacts"]["formats"]))
    most = plain["artifacts"]["max_bytes"]
    question["bytes"] = draw(st.sampled_from([0, most, most, most + 1]))
    question["used"] = {clause: draw(st.sampled_from([0, 0, 0, 5])) for clause in counted}
    assets = [asset for asset in plain["assets"] if asset["id"] in one["assets"]]
    for name, key in (("digest", "digests"), ("signer", "signers")):
        marks = [mark for asset in assets for mark in asset[key]]
        kept = [mark for asset in plain["assets"] if asset["class"] == "proprietary" for mark in asset[key]]
        aim = draw(st.sampled_from(["described", "described", "proprietary", "anything"]))
        marks = kept if aim == "proprietary" else marks
        if marks and aim != "anything":
            question[name] = draw(st.sampled_from(marks))
    if one["topics"]:
        question["topic"] = draw(st.sampled_from(one["topics"])).replace("**", "a/b")
    if one["ports"]:
        question["port"] = draw(st.sampled_from(one["ports"]))
    return question


@settings(max_examples=80, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_policy_and_oracle_agree(data: st.DataObject) -> None:
    plain = data.draw(whole_charters())
    charter = from_plain(plain)
    assume(not contradictions(charter))
    policy = CedarPolicy(charter)
    counted = policy.compiled.limits
    for _ in range(12):
        question = data.draw(aimed(plain, counted) | aimed(plain, counted) | questions(counted))
        ruling = policy.rule(Question(**question))
        assert ruling.allowed is charter_oracle.allows(plain, question), (question, ruling)
        assert ruling.reasons
        assert "policy" not in [reason.clause for reason in ruling.reasons]


@settings(max_examples=50)
@given(st.data())
def test_both_sides_come_to_the_same_answer(data: st.DataObject) -> None:
    policy = CedarPolicy(from_plain(charters.plain()))
    question = data.draw(questions(policy.compiled.limits))
    question["actor"], question["peer"] = charters.LAB_A, charters.LAB_B
    question["digest"] = data.draw(st.sampled_from([charters.MODEL_X, charters.MODEL_Y]))
    other = {"send": "receive", "publish": "subscribe", "expose": "forward", "serve": "call"}
    other |= {back: there for there, back in other.items()} | {"connect": "connect"}
    mirrored = question | {
        "actor": question["peer"],
        "peer": question["actor"],
        "operation": other[question["operation"]],
    }
    ours, theirs = policy.rule(Question(**question)), policy.rule(Question(**mirrored))
    assert ours.allowed is theirs.allowed
    if ours.reasons[0].clause != "permissions":  # which tells the story from the asker's side
        assert ours.reasons == theirs.reasons
