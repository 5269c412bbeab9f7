"""Who gives and who takes: each operation is one side of an act between two parties.

Both nodes ask their own guard, one about ``send`` and the other about ``receive``. Turned into the same act
from the same giver to the same taker, both questions have one answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from comity.policy.charter.model import Charter, Party, Permission
from comity.policy.charter.words import Counted, Operation

Act = Literal["connect", "transfer", "event", "tunnel", "call"]

ACTS: dict[Operation, Act] = {
    "connect": "connect",
    "send": "transfer",
    "receive": "transfer",
    "publish": "event",
    "subscribe": "event",
    "expose": "tunnel",
    "forward": "tunnel",
    "serve": "call",
    "call": "call",
}
#: Operations of the side that takes; the others are of the side that gives.
TAKING: frozenset[Operation] = frozenset({"receive", "subscribe", "forward", "call"})
#: The acts that a limit counts.
COUNTED: dict[Counted, tuple[Act, ...]] = {
    "transfers": ("transfer",),
    "events": ("event",),
    "calls": ("call",),
    "bytes": ("transfer", "event", "call"),
}
#: What a permission has to list for an act, if anything.
NEEDS: dict[Act, Literal["assets", "topics", "ports"]] = {
    "transfer": "assets",
    "call": "assets",
    "event": "topics",
    "tunnel": "ports",
}


@dataclass(frozen=True)
class Flow:
    """What a permission describes: this act, from any of the givers to any of the takers but itself."""

    act: Act
    givers: tuple[Party, ...]
    takers: tuple[Party, ...]

    @property
    def pairs(self) -> Iterator[tuple[Party, Party]]:
        """Each giver with each taker."""
        for giver in self.givers:
            for taker in self.takers:
                if giver.fingerprint != taker.fingerprint:
                    yield giver, taker


def flows(charter: Charter, permission: Permission) -> tuple[Flow, ...]:
    """What a permission describes, one flow for each of its operations; connecting goes both ways."""
    who = _playing(charter, permission.who)
    others = _playing(charter, permission.with_)
    found = []
    for operation in permission.may:
        act = ACTS[operation]
        if act == "connect":
            found += [Flow(act, who, others), Flow(act, others, who)]
        elif operation in TAKING:
            found.append(Flow(act, others, who))
        else:
            found.append(Flow(act, who, others))
    return tuple(dict.fromkeys(found))


def _playing(charter: Charter, roles: tuple[str, ...]) -> tuple[Party, ...]:
    return tuple(party for party in charter.parties if set(party.roles) & set(roles))
