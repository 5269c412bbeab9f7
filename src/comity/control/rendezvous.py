"""What an administrator asks of a rendezvous, and is told: networks, invitations, nodes, the admin log."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class NetworkCreateRequest:
    """``open``: whoever has the join URL may register. A quota of None is the largest that there is.

    ``quotas``: the others, by the names of the options, as in ``node_lanes``.
    """

    name: str
    open: bool = False
    max_nodes: int | None = None
    max_mail: int | None = None
    quotas: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkChangeRequest:
    """``network`` by number or name. What is None stays."""

    network: str
    open: bool | None = None
    max_nodes: int | None = None
    max_mail: int | None = None
    quotas: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkListRequest:
    """Asks for all of them."""


@dataclass(frozen=True)
class NetworkView:
    """``admission`` is ``open`` or ``invitation``; ``url`` is the join URL, without an invitation.

    ``quotas``: those that somebody set. ``relayed_today`` bytes went through the relay since midnight UTC.
    """

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
    mail_bytes: int = 0
    relayed_today: int = 0
    quotas: dict[str, int] = field(default_factory=dict)


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
    """``hostname`` is empty where the name was taken from it; ``mail`` counts letters that wait for it,
    ``sent`` those of its own that wait for others; ``relayed_today`` bytes it sent through the relay.
    """

    network: int
    address: str
    hostname: str
    fingerprint: str
    public: bool
    tags: tuple[str, ...]
    online: bool
    last_seen: str
    mail: int
    mail_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    relayed_today: int = 0


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
    """``verify``: compute the log's head anew. ``head``: one noted earlier, which it must have had."""

    limit: int = 100
    verify: bool = False
    head: str = ""


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
    """``head`` (``SIZE:ROOT``) commits to the whole log; ``valid`` is None where nobody asked."""

    acts: tuple[AdminAct, ...]
    head: str = ""
    valid: bool | None = None
    problem: str = ""


@dataclass(frozen=True)
class NoteRequest:
    """Note in the admin log what was done beside the server: ``act`` is one of a few words."""

    act: str
    detail: str


@dataclass(frozen=True)
class Noted:
    head: str


@dataclass(frozen=True)
class RotateKeyRequest:
    pass


@dataclass(frozen=True)
class RotateKeyResult:
    """``url`` is the join URL for nodes that come; those that are there find the new key by themselves."""

    url: str
    fingerprint: str
    former_fingerprint: str


@dataclass(frozen=True)
class ForceClockBackRequest:
    pass


@dataclass(frozen=True)
class ForcedClockBack:
    """``was``: the time at which the server stood, ``now``: this machine's. ``ended_invitations``: those that
    it had seen expire, or made, in the time that never was; they let nobody in any more.
    """

    was: str
    now: str
    nodes: int
    letters: int
    ended_invitations: int
