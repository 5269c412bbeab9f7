"""JSON of the control types, the same in the API, the SDK and ``--json``.

A field whose name would be a Python keyword ends in an underscore, which its JSON name drops.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import msgspec

from comity.errors import RemoteProtocolError

T = TypeVar("T")
_RENAMED = {"from_": "from"}
_BACK = {json: name for name, json in _RENAMED.items()}


def json_name(field: str) -> str:
    """The JSON name of a field."""
    return _RENAMED.get(field, field)


def _rename(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _rename(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rename(item, names) for item in value]
    return value


def to_plain(value: Any) -> dict[str, Any]:
    """A control type as JSON-ready dictionaries and lists."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} is not a control type")
    plain: dict[str, Any] = _rename(msgspec.to_builtins(value), _RENAMED)
    return plain


def to_json(value: Any) -> bytes:
    """A control type as one line of JSON."""
    return msgspec.json.encode(to_plain(value))


def from_plain(value: Any, kind: type[T]) -> T:
    """The control type in JSON that another process of ours sent; unknown fields are ignored."""
    try:
        return msgspec.convert(_rename(value, _BACK), kind)
    except msgspec.ValidationError as error:
        raise RemoteProtocolError(
            f"the daemon's answer is not a {kind.__name__}: {error}",
            hint="run comity down, then comity up, so that both are the same version",
        ) from error


def from_json(data: bytes, kind: type[T]) -> T:
    """``from_plain`` of a line of JSON."""
    try:
        return from_plain(msgspec.json.decode(data), kind)
    except msgspec.DecodeError as error:
        raise RemoteProtocolError(f"the daemon's answer is not JSON: {error}") from error
