"""What changed from one version of a charter to another, part by part.

Parts that have a name (parties, assets, permissions, limits) are compared by it, so that moving one is no
change; lists of words are compared as sets. It does not judge: ``lint`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from comity.policy.charter.model import Charter

_NAMES = ("id", "name")


@dataclass(frozen=True)
class Change:
    """``clause`` names the part; ``before`` is None where it is new, ``after`` where it is gone."""

    clause: str
    before: str | None
    after: str | None


def diff(before: Charter, after: Charter) -> tuple[Change, ...]:
    """Every change, in the order of the charter's parts."""
    return tuple(_members("", msgspec.to_builtins(before), msgspec.to_builtins(after)))


def _members(clause: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        yield from _part(f"{clause}.{name}" if clause else name, before.get(name), after.get(name))


def _part(clause: str, before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _members(clause, before, after)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _lists(clause, before, after)
    else:
        yield Change(clause, _said(before), _said(after))


def _lists(clause: str, before: Any, after: Any) -> Iterator[Change]:
    named = _by_name(before), _by_name(after)
    if named[0] is not None and named[1] is not None:
        yield from _members(clause, named[0], named[1])
        return
    for item in before:
        if item not in after:
            yield Change(clause, _said(item), None)
    for item in after:
        if item not in before:
            yield Change(clause, None, _said(item))


def _by_name(items: Any) -> dict[str, Any] | None:
    """The items by their name; None where they have none, or share one."""
    found: dict[str, Any] = {}
    for item in items:
        name = next((item[key] for key in _NAMES if key in item), None) if isinstance(item, dict) else None
        if not name or "party" in item or name in found:  # contacts: several of one party may share a name
            return None
        found[name] = item
    return found


def _said(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode("utf-8")
