"""What lint has to say about a charter, one finding a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["contradictory", "missing", "weaker"]


@dataclass(frozen=True)
class Finding:
    """``clause`` names the part, as ``permissions.external-validation`` does."""

    kind: Kind
    clause: str
    text: str
