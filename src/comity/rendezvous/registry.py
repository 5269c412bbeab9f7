"""The registry: which key has which address and name, and who may know (docs/reference/rendezvous.md).

An address belongs to a key for ever. A hostname belongs to the first key that claims it, until that key
claims another. A sealing key never goes back (SECURITY.md rule 4). Private nodes are never listed; whoever
knows a node's exact hostname, address or key, and is in its network, gets its record.

Functions over the stores, inside the caller's transaction: no IO of their own, no clock.
"""

from __future__ import annotations

from dataclasses import replace

from comity import limits
from comity.errors import InvalidInput, NameTaken, RemoteProtocolError, RendezvousRefused, UnknownPeer
from comity.identity.address import Address
from comity.identity.envelope import Envelope
from comity.protocol.registration import Claim, not_admitted
from comity.protocol.registry import Find, Record, Resolve
from comity.protocol.statements import SealingKey
from comity.protocol.wire import decode_canonical
from comity.rendezvous.stores import Node, Nodes

_NAMELESS = "#"  # no hostname begins like this


def register(nodes: Nodes, claim: Claim, now: float, number: int | None = None) -> Node:
    """Enter a verified claim; ``number`` is kept for this key, where it was here before.

    NameTaken, RemoteProtocolError (an older sealing key), RendezvousRefused (full).
    """
    if claim.network not in nodes.networks():
        raise not_admitted()
    key = claim.key.raw
    known = nodes.get(claim.network, key)
    holder = nodes.named(claim.network, claim.hostname)
    if holder is not None and holder.key != key:
        raise NameTaken(f"the name {claim.hostname} belongs to another key")
    if known is not None:
        _check_sequence(known, claim)
    elif nodes.count(claim.network) >= limits.NODES_PER_NETWORK:
        raise RendezvousRefused("this network has as many nodes as it can hold")
    node = Node(
        network=claim.network,
        key=key,
        number=known.number if known else number or nodes.next_number(claim.network),
        hostname=claim.hostname,
        public=claim.public,
        tags=claim.tags,
        sealing_key=claim.sealing_key,
        sealing_sequence=claim.sealing.sequence,
        last_seen=int(now),
    )
    nodes.put(node)
    return node


def resolve(nodes: Nodes, network: int, request: Resolve) -> Node:
    """The node that is meant.

    UnknownPeer, the same for what doesn't exist and for what is in another network.
    """
    given = [value for value in (request.hostname, request.address, request.key) if value is not None]
    if len(given) != 1:
        raise InvalidInput("resolve takes exactly one of hostname, address and key")
    node = None
    if request.hostname is not None:
        node = nodes.named(network, request.hostname)
    elif request.key is not None:
        node = nodes.get(network, bytes.fromhex(request.key))
    elif request.address is not None:
        address = Address.parse(request.address)
        node = nodes.numbered(network, address.node) if address.network == network else None
    if node is None or is_nameless(node):
        raise UnknownPeer("no such node in this network")
    return node


def find(nodes: Nodes, network: int, request: Find) -> list[Node]:
    """Public nodes, at most ``limits.FIND_RESULTS``, by hostname."""
    return nodes.listed(network, request.tag, limits.FIND_RESULTS)


def nameless(node: Node) -> Node:
    """The node once its name was taken from it: unlisted, and resolved by nobody until it claims another."""
    return replace(node, hostname=_NAMELESS + node.key.hex(), public=False)


def is_nameless(node: Node) -> bool:
    """Whether its name was taken from this node."""
    return node.hostname.startswith(_NAMELESS)


def record(node: Node, *, online: bool, now: float) -> Record:
    """What others are told of a node."""
    return Record(
        hostname=node.hostname,
        address=address(node),
        key=node.key.hex(),
        tags=node.tags,
        public=node.public,
        online=online,
        last_seen=int(now) if online else node.last_seen,
        sealing_key=node.sealing_key,
    )


def address(node: Node) -> str:
    """The node's address, as in ``1:0001.0000.0010``."""
    return str(Address(node.network, node.number))


def _check_sequence(known: Node, claim: Claim) -> None:
    if claim.sealing.sequence > known.sealing_sequence or claim.sealing_key == known.sealing_key:
        return
    if claim.sealing.sequence == known.sealing_sequence and claim.sealing.public == _sealing_public(known):
        return
    raise RemoteProtocolError(
        f"the sealing key goes back: {known.sealing_sequence} is known, {claim.sealing.sequence} came",
        hint="is an old copy of this node's home folder in use?",
    )


def _sealing_public(known: Node) -> str:
    payload = Envelope.from_json(known.sealing_key.encode()).payload  # verified when it was entered
    return decode_canonical(payload, SealingKey, limits.STATEMENT_BYTES).public
