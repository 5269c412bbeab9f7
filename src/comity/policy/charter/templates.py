"""Charters to begin with: a study of two labs, a hub with its sites, an evaluation of a vendor's model.

A template is YAML with comments, for people to go on from. As it comes out it has no contradictions, and
``lint`` compares a charter with the template that it names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from comity.errors import InvalidInput
from comity.policy.charter.canonical import from_plain
from comity.policy.charter.model import Charter
from comity.policy.charter.words import Reference
from comity.policy.charter.writing import write_yaml

Name = Literal["two-lab-study", "multi-site-star", "vendor-evaluation"]
NAMES: tuple[Name, ...] = get_args(Name)

GB = 10**9


@dataclass(frozen=True)
class Signatory:
    """A party as asked for: its node's name, all 64 digits of its fingerprint, organization, and contact."""

    name: str
    fingerprint: str
    organization: str = ""
    contact: str = ""


@dataclass(frozen=True)
class Answers:
    """What no template can know. Times as ``2026-11-21T05:18:00Z``; parties in the order of ``order``."""

    title: str
    purpose: str
    reference: str
    reference_kind: Reference
    start: str
    until: str
    accept_by: str
    parties: tuple[Signatory, ...]


@dataclass(frozen=True)
class Template:
    """``order``: roles of the first party and of the others; ``more``: whether there may be more than two."""

    about: str
    order: tuple[str, str]
    more: bool
    terms: Callable[[Answers], dict[str, Any]]


def write(name: Name, answers: Answers) -> str:
    """A charter as YAML to edit; InvalidInput where parties are too few or many, or an answer is no good."""
    return write_yaml(_fill(name, answers), f"{TEMPLATES[name].about}.")


@functools.cache
def standard(name: Name) -> Charter:
    """The charter of a template as it comes, to compare others with."""
    parties = tuple(
        Signatory(f"party-{letter}", letter * 64, f"Institution {letter}", f"{letter}@example.org")
        for letter in "ab"
    )
    begin, end = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
    about = TEMPLATES[name].about
    answers = Answers(name, about, "the contract", "contract", begin, end, begin, parties)
    return from_plain(_fill(name, answers))


def _fill(name: Name, answers: Answers) -> dict[str, Any]:
    template = TEMPLATES[name]
    count = len(answers.parties)
    if count < 2 or (count > 2 and not template.more):
        wanted = "two or more parties" if template.more else "two parties"
        roles = ", then ".join(template.order)
        raise InvalidInput(f"the template {name} has {wanted}, and {count} were named", hint=f"name {roles}")
    plain = {**_head(name, answers), **template.terms(answers), **_tail(answers)}
    from_plain(plain)
    return plain


def _head(name: Name, answers: Answers) -> dict[str, Any]:
    order = TEMPLATES[name].order
    return {
        "schema": "comity.charter/1",
        "template": name,
        "title": answers.title,
        "version": 1,
        "lineage": None,
        "predecessor": None,
        "accept_by": answers.accept_by,
        "purpose": {
            "text": answers.purpose,
            "reference": answers.reference,
            "reference_kind": answers.reference_kind,
        },
        "window": {"from": answers.start, "until": answers.until},
        "parties": [
            {
                "name": party.name,
                "fingerprint": party.fingerprint,
                "roles": [order[min(at, 1)]],
                "organization": party.organization,
            }
            for at, party in enumerate(answers.parties)
        ],
        "assets": [
            {
                "id": _asset(at),
                "class": "shareable",
                "owner": party.name,
                "digests": [],
                "signers": [party.fingerprint],
                "description": f"what {party.name} signs for this collaboration",
            }
            for at, party in enumerate(answers.parties)
        ],
    }


def _asset(at: int) -> str:
    return f"from-party-{at + 1}"


def _others(answers: Answers) -> list[str]:
    return [_asset(at) for at in range(1, len(answers.parties))]


def _permission(name: str, who: str, may: list[str], with_: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "who": [who], "may": may, "with": [with_], **more}


def _limit(name: str, counts: str, most: int, per: str) -> dict[str, Any]:
    return {"id": name, "counts": counts, "most": most, "per": per}


def _two_labs(answers: Answers) -> dict[str, Any]:
    assets = [_asset(0), *_others(answers)]
    rounds = [_limit("rounds", "transfers", 100, "day")]
    return {
        "permissions": [
            _permission("exchange-models", "lab", ["send"], "lab", assets=assets, limits=rounds),
            _permission("coordinate", "lab", ["publish"], "lab", topics=["training/**"]),
        ],
        "limits": [
            _limit("volume", "bytes", 1000 * GB, "month"),
            _limit("event-rate", "events", 600, "minute"),
        ],
        "artifacts": {"formats": ["safetensors", "json"], "max_bytes": 100 * GB, "signature": "required"},
        "privacy": _privacy("optional", 1),
        "retention": {"artifacts_days": 90, "records_days": 2190},
        "ownership": _ownership([party.name for party in answers.parties], "with-consent"),
    }


def _star(answers: Answers) -> dict[str, Any]:
    rounds = [_limit("rounds", "transfers", 100, "day")]
    return {
        "permissions": [
            _permission("distribute", "hub", ["send"], "site", assets=[_asset(0)], limits=rounds),
            _permission("collect", "hub", ["receive"], "site", assets=_others(answers), limits=rounds),
            _permission("coordinate", "hub", ["publish", "subscribe"], "site", topics=["training/**"]),
        ],
        "limits": [
            _limit("volume", "bytes", 1000 * GB, "month"),
            _limit("event-rate", "events", 600, "minute"),
        ],
        "artifacts": {"formats": ["safetensors", "json"], "max_bytes": 100 * GB, "signature": "required"},
        "privacy": _privacy("required", len(answers.parties) - 1),
        "retention": {"artifacts_days": 30, "records_days": 2190},
        "ownership": _ownership([party.name for party in answers.parties], "with-consent"),
    }


def _vendor(answers: Answers) -> dict[str, Any]:
    trials, reports = (
        [_limit("trials", "transfers", 5, "charter")],
        [_limit("reports", "transfers", 20, "month")],
    )
    return {
        "permissions": [
            _permission(
                "try-model", "evaluator", ["receive"], "vendor", assets=_others(answers), limits=trials
            ),
            _permission("report", "evaluator", ["send"], "vendor", assets=[_asset(0)], limits=reports),
        ],
        "limits": [_limit("volume", "bytes", 500 * GB, "charter")],
        "artifacts": {
            "formats": ["safetensors", "onnx", "json", "csv", "pdf"],
            "max_bytes": 100 * GB,
            "signature": "required",
        },
        "privacy": _privacy("optional", 1),
        "retention": {"artifacts_days": 0, "records_days": 2190},
        "ownership": _ownership([answers.parties[0].name], "forbidden"),
    }


def _privacy(aggregation: str, participants: int) -> dict[str, Any]:
    return {
        "secure_aggregation": aggregation,
        "minimum_participants": participants,
        "epsilon": None,
        "delta": None,
        "terms": "no record of a person leaves the party that holds it",
    }


def _ownership(outputs: list[str], reuse: str) -> dict[str, Any]:
    return {"outputs": outputs, "reuse": reuse, "terms": ""}


def _tail(answers: Answers) -> dict[str, Any]:
    return {
        "anomalies": [
            {"watches": "denials", "id": "denials", "in_a_row": 20},
            {"watches": "volume", "id": "volume", "times": 20, "at_least": 10 * GB},
            {"watches": "fingerprint", "id": "another-key"},
        ],
        "incidents": {
            "notify_within_hours": 24,
            "remedy_within_days": 30,
            "contacts": [
                {"party": party.name, "name": "", "reach": party.contact}
                for party in answers.parties
                if party.contact
            ],
            "evidence": "the audit export of every party that is concerned, with its checkpoints",
        },
        "exit": {"notice_days": 30, "artifacts": "delete", "statements_within_days": 30, "terms": ""},
    }


TEMPLATES: dict[Name, Template] = {
    "two-lab-study": Template(
        "Two labs train or validate models together, each on its own data", ("lab", "lab"), False, _two_labs
    ),
    "multi-site-star": Template(
        "A hub collects what its sites learnt; the sites don't deal with each other",
        ("hub", "site"),
        True,
        _star,
    ),
    "vendor-evaluation": Template(
        "An institution tries a vendor's model on its own data, and reports back",
        ("evaluator", "vendor"),
        False,
        _vendor,
    ),
}
