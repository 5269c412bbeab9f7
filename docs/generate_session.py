"""Writes the state diagram of docs/reference/protocol/session.md from the machine's transition table.

Run by ``make docs``; a test fails when the page is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from comity.protocol.session.machine import TRANSITIONS

PAGE = Path(__file__).resolve().parent / "reference/protocol/session.md"
_BLOCK = re.compile(r"<!-- states of the session -->\n```mermaid\n.*?```\n", flags=re.S)


def diagram() -> str:
    """The transition table as a Mermaid state diagram; what leads back to the same state is left out."""
    events: dict[tuple[str, str], list[str]] = {}
    for (state, event), targets in TRANSITIONS.items():
        for target in sorted(targets - {state}):
            events.setdefault((state, target), []).append(event.__name__)
    lines = ["stateDiagram-v2", "    [*] --> new"]
    lines += [f"    {state} --> {target}: {', '.join(names)}" for (state, target), names in events.items()]
    return "\n".join([*lines, "    closed --> [*]", "    dead --> [*]"])


def render(page: str) -> str:
    """The page with its diagram made anew."""
    block = f"<!-- states of the session -->\n```mermaid\n{diagram()}\n```\n"
    page, count = _BLOCK.subn(lambda _: block, page)
    if count != 1:
        raise ValueError(f"the page has {count} places for the states of the session")
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
