"""Simultaneous open: where to aim, and when the next SYN is due (docs: protocol, "Paths").

The dialler calls, the peer answers, the dialler says go; then both send SYNs from the port that they told, to
every place that the other told. It is decided here which places those are and which path each would be; the
SYNs are ``transport.simultaneous``'s, the messages are ``protocol.statements.Punch``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from comity import limits
from comity.protocol.candidates import Filtered, Surroundings, filter_candidates, parse_candidate

Step = Literal["call", "answer", "go"]
PunchedPath = Literal["direct", "punched"]

#: How long each of one place's SYNs is waited for. A box that answers a SYN which came too early with RST
#: forgets it, so the first are close together; from then on there is one each second.
PAUSES: tuple[float, ...] = (0.25, 0.5, *(limits.PUNCH_SYN_EVERY,) * (limits.PUNCH_SYNS - 2))


def places(
    local: Sequence[str], observed: Sequence[str], around: Surroundings
) -> tuple[Mapping[str, PunchedPath], Filtered]:
    """Where a peer's two lists say that it can be met, each with the path that this would be; and what rule 9
    made of them.

    ``direct`` is an interface's own address that no NAT stands before, on this machine's links or unlike what
    the observers saw. Both sides come to the same word, since each looks at the other's lists alike.
    """
    filtered = filter_candidates((*observed, *local), around)
    own = {str(endpoint) for text in local if (endpoint := parse_candidate(text))}
    seen = {str(endpoint) for text in observed if (endpoint := parse_candidate(text))}
    return {
        place: "direct" if place in own and (place not in seen or _near(place, around)) else "punched"
        for place in filtered.accepted
    }, filtered


def _near(place: str, around: Surroundings) -> bool:
    endpoint = parse_candidate(place)
    if endpoint is None:
        return False
    return endpoint.address.is_loopback or any(endpoint.address in network for network in around.on_link)
