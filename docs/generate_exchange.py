"""Writes the state diagrams of docs/reference/protocol/exchange.md from the machines' transition tables.

Run by ``make docs``; a test fails when the page is stale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from comity.protocol.exchange import receiver, sender

PAGE = Path(__file__).resolve().parent / "reference/protocol/exchange.md"
TABLES: dict[str, Mapping[tuple[str, type], frozenset[str]]] = {
    "sender": sender.TRANSITIONS,  # type: ignore[dict-item]  # its states are strings
    "receiver": receiver.TRANSITIONS,  # type: ignore[dict-item]  # its states are strings
}


def diagram(table: Mapping[tuple[str, type], frozenset[str]]) -> str:
    """A transition table as a Mermaid state diagram; what leads back to the same state is left out."""
    events: dict[tuple[str, str], list[str]] = {}
    for (state, event), targets in table.items():
        for target in sorted(targets):
            if target != state:
                events.setdefault((str(state), str(target)), []).append(event.__name__)
    starts = {state for state, _ in events}
    ends = sorted({target for _, target in events} - starts)
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(events))[0]}"]
    lines += [f"    {state} --> {target}: {', '.join(names)}" for (state, target), names in events.items()]
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join(lines)


def render(page: str) -> str:
    """The page with every diagram made anew."""
    for name, table in TABLES.items():
        block = f"<!-- states of the {name} -->\n```mermaid\n{diagram(table)}\n```\n"
        page, count = re.subn(
            rf"<!-- states of the {name} -->\n```mermaid\n.*?```\n",
            lambda _, new=block: new,
            page,
            flags=re.S,
        )
        if count != 1:
            raise ValueError(f"the page has {count} places for the states of the {name}")
    return page


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))
