"""What an administrator's order does to the books, and its line in the admin log, in one transaction.

Functions over the stores, inside the caller's transaction: no IO, no clock, no randomness, and nobody is
disconnected here; ``office`` does that.
"""

from __future__ import annotations

import re
from dataclasses import replace

from comity import limits
from comity.control.rendezvous import InviteCreateRequest, NetworkChangeRequest, NetworkCreateRequest
from comity.errors import InvalidInput, RateLimited, UnknownPeer
from comity.identity.address import NETWORK_MAX, Address
from comity.identity.card import parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import PublicKey
from comity.rendezvous import registry
from comity.rendezvous.membership import token_digest
from comity.rendezvous.quotas import LARGEST
from comity.rendezvous.stores import Books, Node
from comity.rendezvous.tenancy import Act, Invitation, Network, Removal

_NAME = re.compile(rf"[a-z][a-z0-9-]{{0,{limits.NETWORK_NAME_CHARS - 1}}}\Z")


def create_network(books: Books, request: NetworkCreateRequest, now: float, who: str) -> Network:
    """A new network with the lowest number that no network has. InvalidInput."""
    if not _NAME.match(request.name):
        raise InvalidInput(
            "a network's name has small letters, digits and hyphens, and begins with a letter",
            hint="write it like lung-study",
        )
    there = books.tenancy.networks()
    if any(network.name == request.name for network in there):
        raise InvalidInput(f"there is a network {request.name}", hint="run comity rendezvous network list")
    if len(there) >= limits.NETWORKS:
        raise RateLimited(
            f"there are {limits.NETWORKS} networks, which is the most", hint="use another server"
        )
    numbers = {network.number for network in there}
    network = Network(
        number=next(number for number in range(1, NETWORK_MAX + 1) if number not in numbers),
        name=request.name,
        open=request.open,
        max_nodes=_quota(request.max_nodes, limits.NODES_PER_NETWORK, "max-nodes"),
        max_mail=_quota(request.max_mail, limits.MAIL_PER_NETWORK, "max-mail"),
        created=int(now),
        quotas=LARGEST.changed(request.quotas),
    )
    books.tenancy.put_network(network)
    books.tenancy.note(Act(int(now), who, "network created", network.number, _terms(network)))
    return network


def change_network(books: Books, request: NetworkChangeRequest, now: float, who: str) -> Network:
    """The network on its new terms; members that are over them stay. InvalidInput."""
    before = network_of(books, request.network)
    network = replace(
        before,
        open=before.open if request.open is None else request.open,
        max_nodes=_quota(request.max_nodes, before.max_nodes, "max-nodes"),
        max_mail=_quota(request.max_mail, before.max_mail, "max-mail"),
        quotas=before.quotas.changed(request.quotas),
    )
    books.tenancy.put_network(network)
    books.tenancy.note(Act(int(now), who, "network changed", network.number, _terms(network)))
    return network


def invite(books: Books, request: InviteCreateRequest, token: str, now: float, who: str) -> Invitation:
    """Keep an invitation by its token's digest. InvalidInput."""
    network = network_of(books, request.network)
    if not 1 <= request.uses <= limits.INVITATION_USES:
        raise InvalidInput(
            f"an invitation has 1 to {limits.INVITATION_USES} uses", hint="give --uses another number"
        )
    if not 1 <= request.expires <= limits.INVITATION_LIFETIME_MOST:
        raise InvalidInput("an invitation lasts for a year at most", hint="give --expires 7d")
    if len(request.note.encode("utf-8", "surrogatepass")) > limits.CLAIM_BYTES:
        raise InvalidInput(f"the note is longer than {limits.CLAIM_BYTES} bytes", hint="shorten it")
    if len(books.tenancy.invitations(network.number)) >= limits.INVITATIONS_PER_NETWORK:
        raise RateLimited("this network had as many invitations as it can", hint="create another network")
    made = books.tenancy.add_invitation(
        Invitation(
            id=0,
            network=network.number,
            digest=token_digest(token),
            uses=request.uses,
            used=0,
            created=int(now),
            expires=int(now) + request.expires,
            note=request.note,
        )
    )
    detail = f"invitation {made.id}, uses: {made.uses}" + (f", {made.note}" if made.note else "")
    books.tenancy.note(Act(int(now), who, "invited", network.number, detail))
    return made


def revoke_invitation(books: Books, number: int, now: float, who: str) -> Invitation:
    """Whoever came in by it stays; nobody else does. InvalidInput where there is none."""
    found = books.tenancy.invitation(number)
    if found is None:
        raise InvalidInput(f"there is no invitation {number}", hint="run comity rendezvous invite list")
    if not found.revoked:
        found = replace(found, revoked=int(now))
        books.tenancy.put_invitation(found)
        act = Act(int(now), who, "invitation revoked", found.network, f"invitation {number}")
        books.tenancy.note(act)
    return found


def remove(books: Books, network: str, node: str, now: float, who: str) -> Node:
    """Forget a node and its mail; its key needs a new invitation to come back, and gets its address again."""
    found = node_of(books, network_of(books, network).number, node)
    removal = Removal(found.number, books.tenancy.last_invitation())
    books.tenancy.remove(found.network, found.key, removal)
    books.letters.drop(found.network, found.key)
    books.nodes.remove(found.network, found.key)
    books.tenancy.note(Act(int(now), who, "node removed", found.network, _named(found)))
    return found


def release(books: Books, network: str, hostname: str, now: float, who: str) -> Node:
    """Take a name from its key, which can't claim it again; any other key can. The node as it was."""
    number = network_of(books, network).number
    found = books.nodes.named(number, normalise_hostname(hostname))
    if found is None:
        raise UnknownPeer(
            f"nobody has the name {hostname} in this network", hint="run comity rendezvous nodes"
        )
    books.tenancy.release(number, found.hostname, found.key)
    books.nodes.put(registry.nameless(found))
    books.tenancy.note(Act(int(now), who, "name released", number, _named(found)))
    return found


def network_of(books: Books, text: str) -> Network:
    """The network of that number or name. InvalidInput."""
    for network in books.tenancy.networks():
        if text in (str(network.number), network.name):
            return network
    raise InvalidInput(f"there is no network {text}", hint="run comity rendezvous network list")


def node_of(books: Books, network: int, text: str) -> Node:
    """The node of that hostname, address or fingerprint. UnknownPeer, InvalidInput."""
    peer = parse_peer(text)
    found = None
    if isinstance(peer, Address):
        found = books.nodes.numbered(network, peer.node) if peer.network == network else None
    elif isinstance(peer, Fingerprint):
        found = next((node for node in books.nodes.everyone(network) if fingerprint(node) == str(peer)), None)
    else:
        found = books.nodes.named(network, peer.hostname)
    if found is None:
        raise UnknownPeer(f"no such node in network {network}", hint="run comity rendezvous nodes")
    return found


def fingerprint(node: Node) -> str:
    """The fingerprint of a node's key."""
    return str(PublicKey.parse(node.key).fingerprint)


def _quota(asked: int | None, otherwise: int, name: str) -> int:
    most = limits.NODES_PER_NETWORK if name == "max-nodes" else limits.MAIL_PER_NETWORK
    if asked is None:
        return otherwise
    if not 1 <= asked <= most:
        raise InvalidInput(f"the quota is 1 to {most}", hint=f"give --{name} another number")
    return asked


def _terms(network: Network) -> str:
    admission = "open" if network.open else "by invitation"
    quotas = "".join(f", {name.replace('_', '-')}: {value}" for name, value in network.quotas.set().items())
    return f"{network.name}, {admission}, nodes: {network.max_nodes}, mail: {network.max_mail}{quotas}"


def _named(node: Node) -> str:
    name = "(released)" if registry.is_nameless(node) else node.hostname
    return f"{name}, {registry.address(node)}, {fingerprint(node)}"
