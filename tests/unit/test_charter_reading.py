"""Plain language says everything that is signed, from the signed bytes; diff says everything that changed."""

from __future__ import annotations

from typing import Any

import pytest

from comity.errors import RemoteProtocolError
from comity.policy.charter.canonical import from_plain, to_canonical
from comity.policy.charter.diff import Change, diff
from comity.policy.charter.show import show
from tests import charters
from tests.unit.test_charter_canonical import changed


def words(plain: dict[str, Any]) -> str:
    return "\n".join(show(to_canonical(from_plain(plain))))


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, bool) or value is None or value == "":
        return []
    return [f"{value:,}" if isinstance(value, int) else value]


def test_every_value_is_said() -> None:
    plain = charters.plain() | {"version": 2, "lineage": "sha256:" + "33" * 32}
    plain["predecessor"] = plain["lineage"]
    plain["permissions"][0]["window"] = {"from": "2027-01-01T00:00:00Z", "until": "2027-02-01T00:00:00Z"}
    plain["permissions"].append(
        plain["permissions"][0]
        | {"id": "notebook", "may": ["forward", "connect"], "assets": [], "ports": [8888], "limits": []}
    )
    plain["privacy"] |= {"epsilon": "3.5", "delta": "0.00001"}
    plain["ownership"]["terms"] = plain["exit"]["terms"] = "and so on"
    said = words(plain)
    unsaid = {"comity.charter/1", "none", "required", "receive", "publish", "forward", "shareable"}
    unsaid |= {"delete", "charter", "3,650", "8,888"}  # said in other words, or without the comma
    assert {leaf for leaf in leaves(plain) if leaf not in said} <= unsaid
    for phrase in (
        "evaluator may receive from developer",
        "evaluator and developer may publish to evaluator and developer",
        "evaluator may forward from and connect to developer",
        "at most 5 transfers in all between any two (five-times)",
        "model-y, of lab-a, proprietary (never sent to anybody): the successor",
        "signed by a party or by an approved signer",
        "never a pickle",
        "Delete what was exchanged",
    ):
        assert phrase in said


def test_it_reads_signed_bytes_only() -> None:
    data = to_canonical(from_plain(charters.plain()))
    with pytest.raises(RemoteProtocolError):
        show(data + b" ")


def test_changes_are_told_by_name() -> None:
    before = from_plain(charters.plain())
    assert diff(before, before) == ()
    moved = charters.plain()
    moved["parties"].reverse()
    moved["permissions"].reverse()
    assert diff(before, from_plain(moved)) == ()
    assert diff(before, from_plain(changed("permissions.0.limits.0.most", 6))) == (
        Change("permissions.external-validation.limits.five-times.most", "5", "6"),
    )
    assert diff(before, from_plain(changed("artifacts.formats", ["json", "onnx"]))) == (
        Change("artifacts.formats", "safetensors", None),
        Change("artifacts.formats", None, "onnx"),
    )
    (gone,) = diff(before, from_plain(changed("permissions", charters.plain()["permissions"][:1])))
    assert (gone.clause, gone.after) == ("permissions.progress", None)
    (changed_contact, new_contact) = diff(before, from_plain(changed("incidents.contacts.0.reach", "+1")))
    assert changed_contact.clause == new_contact.clause == "incidents.contacts"


def test_whatever_changes_is_told() -> None:
    before = from_plain(charters.plain())
    for path, value in (
        ("title", "Another"),
        ("parties.0.fingerprint", charters.LAB_C),
        ("parties.0.roles", ["developer", "evaluator"]),
        ("assets.0.class", "proprietary"),
        ("assets.0.signers", [charters.LAB_A]),
        ("permissions.1.topics", ["other"]),
        ("permissions.0.window", {"from": "2027-01-01T00:00:00Z", "until": "2027-02-01T00:00:00Z"}),
        ("privacy.epsilon", "1.0"),
        ("predecessor", charters.MODEL_X),
    ):
        changes = diff(before, from_plain(changed(path, value)))
        assert len(changes) == 1 or path.startswith(("permissions.1.topics",))
        assert changes
