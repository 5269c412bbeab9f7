"""Writes docs/reference/charter.schema.json from the charter's model.

Run by ``make docs``; a test fails when the file is stale.
"""

from __future__ import annotations

import json
from pathlib import Path

from comity.policy.charter.schema import charter_schema

FILE = Path(__file__).resolve().parent / "reference/charter.schema.json"


def render() -> str:
    """The schema as a file."""
    return json.dumps(charter_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
