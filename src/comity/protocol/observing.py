"""How a connection looks from outside: what an observer is asked and answers, and what a node concludes
(docs: protocol, "Paths").

A node opens a TCP connection to each of the rendezvous's observers from one local port, and is told the
address and port that each saw. Nothing here is authenticated: whoever changes an answer makes a punch miss,
or aim a few SYNs at an address that rule 9 lets pass. The request is as long as the longest answer, so that
an observer never says more than it was told (SECURITY.md rule 8).
"""

from __future__ import annotations

from collections.abc import Sequence

from comity import limits
from comity.errors import RemoteProtocolError
from comity.protocol.candidates import Surroundings, parse_candidate, refusal

#: A connection's first bytes: it asks where it comes from. Its first byte tells it from TLS and the relay.
OBSERVE_REQUEST = b"OBSERVE COMITY/1".ljust(63) + b"\n"
_ANSWER_BYTES = len(OBSERVE_REQUEST)


def answer(observed: str) -> bytes:
    """What an observer says to a connection from ``observed`` (``ip:port``): one line."""
    return observed.encode("ascii")[: _ANSWER_BYTES - 1] + b"\n"


def parse_answer(line: bytes) -> str:
    """``ip:port`` in its one spelling; RemoteProtocolError where the line is none."""
    if len(line) > _ANSWER_BYTES or not line.endswith(b"\n"):
        raise RemoteProtocolError("an observer answered something else than an address")
    endpoint = parse_candidate(line[:-1].decode("latin-1"))
    if endpoint is None:
        raise RemoteProtocolError("an observer answered something else than an address")
    return str(endpoint)


def mapping(port: int, observed: Sequence[str]) -> str | None:
    """Where packets that this node sends to anybody from local ``port`` seem to come from; None where that
    can't be known.

    Two observers that saw the same tell that the mapping doesn't depend on the destination (RFC 4787
    section 4.1). A single one is enough where it saw the local port itself: the box, if there is one,
    preserves ports.
    """
    first, *others = observed or [""]
    endpoint = parse_candidate(first)
    if endpoint is None or any(other != first for other in others):
        return None
    return first if others or endpoint.port == port else None


def choose_observers(told: Sequence[str], link: str, around: Surroundings) -> tuple[str, ...]:
    """Whom to ask, of those that the rendezvous told: ``link`` is ``ip:port`` at the other end of this node's
    connection to it, which the join URL named.

    An observer elsewhere than the rendezvous itself has to be an address that a peer could have (rule 9).
    """
    server = parse_candidate(link)
    chosen: dict[str, None] = {}
    for text in told[: limits.OBSERVERS]:
        endpoint = parse_candidate(text)
        if endpoint is None:
            continue
        itself = server is not None and endpoint.address == server.address
        if itself or refusal(endpoint, around) is None:
            chosen[str(endpoint)] = None
    return tuple(chosen) or (() if server is None else (str(server),))
