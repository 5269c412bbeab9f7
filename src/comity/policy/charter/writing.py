"""A charter as YAML for people to edit, with a comment on each part.

Every text is written as a JSON text, which strict YAML reads as text whatever it holds. Reading it back is
``editing``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_ABOVE = {
    "version": "A later version names the digest of the first (lineage) and of the one before (predecessor).",
    "accept_by": "Void unless every party has signed by then. All times are UTC.",
    "purpose": "What for. reference_kind: irb, contract or other.",
    "window": "Nothing passes before from, or from the moment until on.",
    "parties": "Fingerprints as comity card prints them, compared by phone.",
    "assets": "Whatever has one of the digests (sha256:...), or is signed by one of the keys.\n"
    "# class: shareable, or proprietary: never sent.",
    "permissions": "Those in a role of who may do this with those in a role of with, and nothing else.\n"
    "# may: send, receive, publish, subscribe, expose, forward, serve, call, connect.",
    "limits": "Counted for each pair of giver and taker. counts: bytes, transfers, events or calls;\n"
    "# per: charter, month, week, day, hour or minute.",
    "artifacts": "What every artifact that is sent must be. Pickles never pass.",
    "anomalies": "What suspends a partner, until a person lifts it.\n"
    "# watches: denials, volume, hours or fingerprint.",
    "privacy": 'Attested by you; epsilon and delta as text, "3.5", or null.',
    "retention": "Days after the end: how long artifacts may be kept, and how long records must be.",
    "ownership": "Whose the outputs are. reuse with others: forbidden, with-consent or allowed.",
    "incidents": "Who is told by when. contacts: party, name, reach.",
    "exit": "artifacts at the end: delete, return or retain; then signed statements about them.",
}


def write_yaml(plain: Mapping[str, Any], about: str) -> str:
    """The file: ``about`` on top, then every part under its comment."""
    lines = [f"# {about}", "# comity charter lint FILE checks it; comity charter show FILE reads it out.", ""]
    for name, value in plain.items():
        if name in _ABOVE:
            lines += ["", f"# {_ABOVE[name]}"]
        lines += _member(name, value, "")
    return "\n".join(lines) + "\n"


def _member(name: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{indent}{name}:"
        for key, item in value.items():
            yield from _member(key, item, f"{indent}  ")
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield f"{indent}{name}:"
        for item in value:
            first, *rest = [
                line for key, inner in item.items() for line in _member(key, inner, f"{indent}    ")
            ]
            yield f"{indent}  - {first.strip()}"
            yield from rest
    else:
        yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"
