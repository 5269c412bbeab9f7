"""The paths by rank (docs: protocol, "Paths"). How each comes about is ``transport``'s."""

from __future__ import annotations

_RANKS = {"direct": 0, "punched": 1, "relay": 2}
#: A rank that every path is within.
RANKS = len(_RANKS)


def path_rank(path: str) -> int:
    """0 for the best path; a path of a later version comes last."""
    return _RANKS.get(path, RANKS)
