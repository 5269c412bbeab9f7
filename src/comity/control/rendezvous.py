"""What an administrator asks of a rendezvous, and is told: networks, invitations, nodes, the admin log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkCreateRequest:
    """``open``: whoever has the join URL may register. A quota of None is the largest that there is."""

    name: str
    open: bool = False
    max_nodes: int | None = None
    max_mail: int | None = None


@dataclass(frozen=True)
class NetworkChangeRequest:
    """``network`` by number or name. What is None stays."""

    network: str
    open: bool | None = None
    max_nodes: int | None = None
    max_mail: int | None = None


@dataclass(frozen=True)
class NetworkListRequest:
    """Asks for all of them."""


@dataclass(frozen=True)
class NetworkView:
    """``admission`` is ``open`` or ``invitation``; ``url`` is the join URL, without an invitation."""

    network: int
    name: str
    admission: str
    nodes: int
    online: int
    max_nodes: int
    mail: int
    max_mail: int
    created_at: str
    url: str


@dataclass(frozen=True)
class NetworkListResult:
    networks: tuple[NetworkView, ...]


@dataclass(frozen=True)
class InviteCreateRequest:
    """``expires`` in seconds from now; ``note`` is for the administrators."""

    network: str
    uses: int
    expires: int
    note: str = ""


@dataclass(frozen=True)
class InviteCreateResult:
    """``url`` carries the token, which is nowhere else: it can't be shown again."""

    id: int
    network: int
    url: str
    uses: int
    expires_at: str


@dataclass(frozen=True)
class InviteListRequest:
    network: str


@dataclass(frozen=True)
class InvitationView:
    """``state``: ``open``, ``used``, ``expired`` or ``revoked``."""

    id: int
    network: int
    state: str
    uses: int
    used: int
    created_at: str
    expires_at: str
    note: str


@dataclass(frozen=True)
class InviteListResult:
    invitations: tuple[InvitationView, ...]


@dataclass(frozen=True)
class InviteRevokeRequest:
    id: int


@dataclass(frozen=True)
class NodesRequest:
    """``network`` by number or name; empty for all."""

    network: str = ""


@dataclass(frozen=True)
class NodeView:
    """``hostname`` is empty where the name was taken from it; ``mail`` counts letters that wait for it."""

    network: int
    address: str
    hostname: str
    fingerprint: str
    public: bool
    tags: tuple[str, ...]
    online: bool
    last_seen: str
    mail: int


@dataclass(frozen=True)
class NodesResult:
    nodes: tuple[NodeView, ...]


@dataclass(frozen=True)
class RemoveRequest:
    """``node``: hostname, address or fingerprint."""

    network: str
    node: str


@dataclass(frozen=True)
class ReleaseRequest:
    network: str
    hostname: str


@dataclass(frozen=True)
class NodeEnded:
    """The node that was removed, or that lost its name; ``was_online``: its connection was ended."""

    network: int
    address: str
    hostname: str
    fingerprint: str
    was_online: bool


@dataclass(frozen=True)
class AdminLogRequest:
    limit: int = 100


@dataclass(frozen=True)
class AdminAct:
    """``who``: the administrator's user on the server, or the fingerprint of the key that joined."""

    at: str
    who: str
    act: str
    network: int
    detail: str


@dataclass(frozen=True)
class AdminLogResult:
    acts: tuple[AdminAct, ...]


@dataclass(frozen=True)
class RotateKeyRequest:
    pass


@dataclass(frozen=True)
class RotateKeyResult:
    """``url`` is the join URL for nodes that come; those that are there find the new key by themselves."""

    url: str
    fingerprint: str
    former_fingerprint: str
