"""Which types there are in the packages that define formats, and which of their members a value has set."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import msgspec

import comity.audit
import comity.identity
import comity.policy.charter.model
import comity.protocol
from comity.protocol.statements import PairStatement, Statement


def concrete_statements() -> set[type[Statement]]:
    """Every type of statement that an identity may sign."""
    return {kind for kind in _structs() if issubclass(kind, Statement) and kind.TYPE}


def recorded_types() -> set[type[msgspec.Struct]]:
    """Every struct that is written or sent: all that a module shows to others, and their bases aside."""
    return {
        kind
        for kind in _structs()
        if not kind.__name__.startswith("_") and kind not in (Statement, PairStatement) and not _base(kind)
    }


def told(value: Any) -> Iterator[tuple[type, str]]:
    """Each struct in ``value`` with each of its members that says something else than its default; and ""."""
    if isinstance(value, msgspec.Struct):
        yield type(value), ""
        for member in msgspec.structs.fields(value):
            said = getattr(value, member.name)
            if said is not None and (said != _default(member) or _has_one_value(member)):
                yield type(value), member.name
            yield from told(said)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from told(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from told(item)
    elif isinstance(value, dict):
        yield from told(list(value.values()))


def _default(member: msgspec.structs.FieldInfo) -> Any:
    if member.default_factory is not msgspec.NODEFAULT:
        return member.default_factory()
    return object() if member.default is msgspec.NODEFAULT else member.default


def _has_one_value(member: msgspec.structs.FieldInfo) -> bool:
    return get_origin(member.type) is Literal and len(get_args(member.type)) == 1


def _structs() -> set[type[msgspec.Struct]]:
    return {
        found
        for module in _modules()
        for found in vars(module).values()
        if inspect.isclass(found)
        and issubclass(found, msgspec.Struct)
        and found.__module__ == module.__name__
    }


def _modules() -> Iterator[ModuleType]:
    yield comity.policy.charter.model
    for package in (comity.protocol, comity.audit, comity.identity):
        for each in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield importlib.import_module(each.name)


def _base(kind: type[msgspec.Struct]) -> bool:
    return bool(kind.__subclasses__()) and not kind.__struct_fields__
