"""The admin log as a Merkle tree (RFC 9162 section 2.1): who noted its head once notices what changed later.

A leaf is an act's JSON, its members in a fixed order. The server's own log on standard error tells the head
with every act, so that it lies where the database's owner may not reach. Nobody signs it: the server signs
nothing but its keys' succession. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from comity.audit import merkle
from comity.errors import InvalidInput
from comity.rendezvous.tenancy import Act, LogHead, Tenancy


def leaf(act: Act) -> bytes:
    """The hash of an act's leaf."""
    return merkle.leaf_hash(msgspec.json.encode([act.at, act.who, act.act, act.network, act.detail]))


def built(acts: Iterable[Act]) -> LogHead:
    """The head over these acts, from nothing but them."""
    nodes: dict[tuple[int, int], bytes] = {}

    def read(level: int, place: int) -> bytes:
        return nodes[level, place]

    size = 0
    for act in acts:
        for level, place, value in merkle.nodes_for_append(size, leaf(act), read):
            nodes[level, place] = value
        size += 1
    return LogHead(size, merkle.root(size, read))


def problem(tenancy: Tenancy, known: LogHead | None) -> str:
    """Why the log is not what it was; empty where nothing speaks against it.

    ``known``: a head that was noted earlier, which this log must have had.
    """
    kept, found = tenancy.head(), tenancy.rebuilt()
    if kept != found:
        return f"its acts lead to another head than the one that is kept: {found} instead of {kept}"
    if known is not None and known.size > found.size:
        return f"it had {known.size} acts, and has {found.size}"
    if known is not None and tenancy.rebuilt(known.size) != known:
        return f"its first {known.size} acts are not those of the head that was noted"
    return ""


def parse_head(text: str) -> LogHead:
    """``SIZE:ROOT`` as ``str`` of a head gives it; InvalidInput."""
    size, _, root = text.partition(":")
    try:
        if len(root) != 2 * merkle.HASH_BYTES or not size.isdecimal():
            raise ValueError
        return LogHead(int(size), bytes.fromhex(root))
    except ValueError:
        raise InvalidInput(
            f"not a head of an admin log: {text!r}",
            hint="write --head SIZE:ROOT, as the server's log told it",
        ) from None
