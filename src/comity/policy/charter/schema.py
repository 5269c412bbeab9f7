"""The published JSON Schema of a charter, made from the model (docs/reference/charter.schema.json).

Both forms validate against it: the YAML that people edit, and the canonical JSON that they sign.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from comity.policy.charter.model import Charter

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def charter_schema() -> dict[str, Any]:
    """The schema, as JSON-ready dictionaries."""
    (described,), parts = msgspec.json.schema_components([Charter], ref_template="#/$defs/{name}")
    definitions = {name: _published(part) for name, part in sorted(parts.items())}
    return {"$schema": _DIALECT, "title": "Comity charter", **described, "$defs": definitions}


def _published(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _published(item, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_published(item) for item in value]
    if key == "pattern":
        return value.replace(r"\Z", "$")  # Python's end of text; JSON Schema has ECMAScript's patterns
    if key == "description":
        return inspect.cleandoc(value).replace("``", "`")
    return value
