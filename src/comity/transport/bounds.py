"""The deadlines and counts that links live under, as one argument: what ``limits`` says, or what a test
needs.

It holds numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity import limits


@dataclass(frozen=True)
class Bounds:
    """Seconds, except for the last five, which count links and TLS records."""

    connect: float = limits.CONNECT_TIMEOUT  # a TCP connection
    handshake: float = limits.HANDSHAKE_TIMEOUT  # the whole TLS handshake
    hello: float = limits.HELLO_TIMEOUT  # the first hello on a link, and each answer to a hello
    link_idle: float = limits.LINK_IDLE  # an open link without a stream
    stall: float = limits.LANE_TIMEOUT  # no byte moves though one side wants to move some
    close: float = limits.CLOSE_TIMEOUT  # the peer's own close, after ours
    relay_ready: float = limits.RELAY_READY_TIMEOUT  # the other side's arrival at the relay
    relay_head_start: float = limits.RELAY_HEAD_START  # of direct paths, over all others
    punch_head_start: float = limits.PUNCH_HEAD_START
    punch: float = limits.PUNCH_SECONDS  # from go to giving up
    inbound_grace: float = (
        limits.INBOUND_GRACE
    )  # a caller of whom nothing is known, before it may be displaced
    inbound_links: int = limits.INBOUND_LINKS
    inbound_per_peer: int = limits.INBOUND_LINKS_PER_PEER
    inbound_unapproved: int = limits.INBOUND_UNAPPROVED
    pooled_links: int = limits.POOLED_LINKS_PER_PEER
    tls_records: int = limits.TLS_RECORDS
