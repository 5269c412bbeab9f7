"""Other nodes: finding, listing and reaching them, and what they may see of this one.

Errors: those of ``Client``, and those of the operation: UnknownPeer, UntrustedPeer, AmbiguousPeer,
PeerUnreachable, RendezvousUnreachable, RateLimited, InvalidInput.
"""

from __future__ import annotations

from comity.control import (
    FindRequest,
    FindResult,
    PeersRequest,
    PeersResult,
    PingRequest,
    PingResult,
    SetTagsRequest,
    SetVisibilityRequest,
    VisibilityResult,
)
from comity.sdk import asks
from comity.sdk.client import Client


def find(client: Client, request: FindRequest) -> FindResult:
    """What the rendezvous and this node know of one name."""
    return client.ask(asks.find(request))


def peers(client: Client, request: PeersRequest) -> PeersResult:
    """Peers with an agreement, and the network's public nodes."""
    return client.ask(asks.peers(request))


def ping(client: Client, request: PingRequest) -> PingResult:
    """Round trips to a trusted peer's echo service."""
    return client.ask(asks.ping(request))


def set_tags(client: Client, request: SetTagsRequest) -> VisibilityResult:
    """Replace the tags by which others find this node while it is public."""
    return client.ask(asks.set_tags(request))


def set_visibility(client: Client, request: SetVisibilityRequest) -> VisibilityResult:
    """List this node for others of its network, or stop that."""
    return client.ask(asks.set_visibility(request))
