"""A charter read as simply as can be, straight from the plain data, to compare the compiled policy with.

It shares no code with ``comity.policy``, on purpose.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

GIVING = {"send": "transfer", "publish": "event", "expose": "tunnel", "serve": "call", "connect": "connect"}
TAKING = {"receive": "transfer", "subscribe": "event", "forward": "tunnel", "call": "call"}


def allows(charter: dict[str, Any], question: dict[str, Any]) -> bool:
    """Whether the charter lets the actor do this operation with the peer."""
    operation = question["operation"]
    if operation in TAKING:
        act, giver, taker = TAKING[operation], question["peer"], question["actor"]
    else:
        act, giver, taker = GIVING[operation], question["actor"], question["peer"]
    roles = {party["fingerprint"]: set(party["roles"]) for party in charter["parties"]}
    if giver not in roles or taker not in roles or giver == taker:
        return False
    if not during(charter["window"], question["now"]):
        return False
    if act == "connect":
        return any(
            (meets(roles, giver, taker, one) or meets(roles, taker, giver, one))
            and (one["window"] is None or during(one["window"], question["now"]))
            for one in charter["permissions"]
        )
    describing = [
        one for one in charter["permissions"] if describes(charter, roles, one, act, giver, taker, question)
    ]
    if not describing:
        return False
    limits = [("limits." + limit["id"], limit) for limit in charter["limits"]]
    for one in describing:
        if one["window"] is not None and not during(one["window"], question["now"]):
            return False
        limits += [(f"permissions.{one['id']}.limits.{limit['id']}", limit) for limit in one["limits"]]
    if act == "transfer" and not may_be_sent(charter, question):
        return False
    return all(within(limit, act, question["used"][clause], question["bytes"]) for clause, limit in limits)


def during(window: dict[str, str], now: float) -> bool:
    start, end = (
        datetime.strptime(window[side], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        for side in ("from", "until")
    )
    return start <= now < end


def meets(roles: dict[str, set[str]], one: str, other: str, permission: dict[str, Any]) -> bool:
    return bool(roles[one] & set(permission["who"])) and bool(roles[other] & set(permission["with"]))


def describes(
    charter: dict[str, Any],
    roles: dict[str, set[str]],
    permission: dict[str, Any],
    act: str,
    giver: str,
    taker: str,
    question: dict[str, Any],
) -> bool:
    sides = [meets(roles, giver, taker, permission) for op in permission["may"] if GIVING.get(op) == act]
    sides += [meets(roles, taker, giver, permission) for op in permission["may"] if TAKING.get(op) == act]
    if not any(sides):
        return False
    if act == "event":
        return any(covers(pattern, question["topic"]) for pattern in permission["topics"])
    if act == "tunnel":
        return question["port"] in permission["ports"]
    named = [asset for asset in charter["assets"] if asset["id"] in permission["assets"]]
    return any(is_it(asset, question) for asset in named)


def covers(pattern: str, topic: str) -> bool:
    if not pattern.endswith("/**"):
        return topic == pattern
    return topic.startswith(pattern[: -len("**")])


def is_it(asset: dict[str, Any], question: dict[str, Any]) -> bool:
    return question["digest"] in asset["digests"] or question["signer"] in asset["signers"]


def may_be_sent(charter: dict[str, Any], question: dict[str, Any]) -> bool:
    rules = charter["artifacts"]
    if any(is_it(asset, question) for asset in charter["assets"] if asset["class"] == "proprietary"):
        return False
    if question["format"] not in rules["formats"] or question["bytes"] > rules["max_bytes"]:
        return False
    keys = [party["fingerprint"] for party in charter["parties"]]
    keys += [signer for asset in charter["assets"] for signer in asset["signers"]]
    return bool(rules["signature"] == "optional" or question["signer"] in keys)


def within(limit: dict[str, Any], act: str, used: int, size: int) -> bool:
    if limit["counts"] == "bytes":
        return bool(act == "tunnel" or used + size <= limit["most"])
    if limit["counts"] == act + "s":
        return bool(used + 1 <= limit["most"])
    return True
