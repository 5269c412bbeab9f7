"""The office: an administrator's requests and their answers, while the server runs and while it doesn't.

It joins ``acts`` with who is online, and makes the tokens. Requests and results are ``control.rendezvous``.
It knows no sockets: ``hatch`` does, and ``admin`` calls it directly where no server runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from comity import limits
from comity.clock import Clock, rfc3339
from comity.control import rendezvous as control
from comity.control.codec import from_plain
from comity.entropy import Entropy
from comity.errors import InvalidInput, NameTaken, RendezvousRefused
from comity.identity.card import JoinUrl
from comity.protocol.registration import not_admitted
from comity.rendezvous import acts, registry
from comity.rendezvous.presence import Presence
from comity.rendezvous.stores import Books, Node
from comity.rendezvous.tenancy import Invitation, Network

T = TypeVar("T")


class Run(Protocol):
    """Runs a function over the books in a transaction of its own: ``Scribe.run``, or without a thread."""

    def __call__(self, work: Callable[[Books], T], /) -> Awaitable[T]: ...


class Office:
    """``join`` says how nodes reach this server."""

    def __init__(
        self, run: Run, presence: Presence, clock: Clock, entropy: Entropy, join: Callable[[], JoinUrl]
    ) -> None:
        self._run = run
        self._presence = presence
        self._clock = clock
        self._entropy = entropy
        self._join = join
        self._operations: dict[str, tuple[type[Any], Callable[[Any, str], Awaitable[object]]]] = {
            "network-create": (control.NetworkCreateRequest, self._create),
            "network-change": (control.NetworkChangeRequest, self._change),
            "network-list": (control.NetworkListRequest, self._networks),
            "invite-create": (control.InviteCreateRequest, self._invite),
            "invite-list": (control.InviteListRequest, self._invitations),
            "invite-revoke": (control.InviteRevokeRequest, self._revoke),
            "nodes": (control.NodesRequest, self._nodes),
            "remove": (control.RemoveRequest, self._remove),
            "release": (control.ReleaseRequest, self._release),
            "admin-log": (control.AdminLogRequest, self._log),
        }

    async def answer(self, operation: str, request: object, who: str) -> object:
        """The result of one operation; a ComityError where the answer is no."""
        found = self._operations.get(operation)
        if found is None:
            raise InvalidInput(
                f"this server has no operation {operation!r}", hint="run the same version as the server"
            )
        kind, method = found
        return await method(from_plain(request, kind), who)

    async def _create(self, request: control.NetworkCreateRequest, who: str) -> control.NetworkView:
        now = self._clock.now()
        network = await self._run(lambda books: acts.create_network(books, request, now, who))
        return self._network(network, 0, 0)

    async def _change(self, request: control.NetworkChangeRequest, who: str) -> control.NetworkView:
        now = self._clock.now()

        def change(books: Books) -> tuple[Network, int, int]:
            return _counted(books, acts.change_network(books, request, now, who))

        return self._network(*await self._run(change))

    async def _networks(self, _: control.NetworkListRequest, __: str) -> control.NetworkListResult:
        found = await self._run(lambda books: [_counted(books, each) for each in books.tenancy.networks()])
        return control.NetworkListResult(tuple(self._network(*each) for each in found))

    async def _invite(self, request: control.InviteCreateRequest, who: str) -> control.InviteCreateResult:
        now, token = self._clock.now(), self._entropy.token(limits.TICKET_BYTES).hex()
        made = await self._run(lambda books: acts.invite(books, request, token, now, who))
        url = replace(self._join(), network=made.network, invitation=token)
        return control.InviteCreateResult(made.id, made.network, str(url), made.uses, rfc3339(made.expires))

    async def _invitations(self, request: control.InviteListRequest, _: str) -> control.InviteListResult:
        def find(books: Books) -> list[Invitation]:
            return books.tenancy.invitations(acts.network_of(books, request.network).number)

        return control.InviteListResult(tuple(map(self._invitation, await self._run(find))))

    async def _revoke(self, request: control.InviteRevokeRequest, who: str) -> control.InvitationView:
        now = self._clock.now()
        found = await self._run(lambda books: acts.revoke_invitation(books, request.id, now, who))
        return self._invitation(found)

    async def _nodes(self, request: control.NodesRequest, _: str) -> control.NodesResult:
        def find(books: Books) -> list[tuple[Node, int]]:
            wanted = (
                [acts.network_of(books, request.network)] if request.network else books.tenancy.networks()
            )
            nodes = [node for network in wanted for node in books.nodes.everyone(network.number)]
            return [(node, books.letters.held_for(node.network, node.key).all) for node in nodes]

        return control.NodesResult(tuple(self._node(*each) for each in await self._run(find)))

    async def _remove(self, request: control.RemoveRequest, who: str) -> control.NodeEnded:
        now = self._clock.now()
        node = await self._run(lambda books: acts.remove(books, request.network, request.node, now, who))
        return self._ended(node, not_admitted())

    async def _release(self, request: control.ReleaseRequest, who: str) -> control.NodeEnded:
        now = self._clock.now()
        node = await self._run(lambda books: acts.release(books, request.network, request.hostname, now, who))
        return self._ended(node, NameTaken(f"the name {node.hostname} was taken from this key"))

    async def _log(self, request: control.AdminLogRequest, _: str) -> control.AdminLogResult:
        most = min(max(request.limit, 0), limits.ADMIN_LOG_PAGE)
        found = await self._run(lambda books: books.tenancy.acts(most))
        return control.AdminLogResult(
            tuple(
                control.AdminAct(rfc3339(each.at), each.who, each.act, each.network, each.detail)
                for each in found
            )
        )

    # ── as it is shown ────────────────────────────────────────────────────────────────────────────────

    def _ended(self, node: Node, error: RendezvousRefused) -> control.NodeEnded:
        here = self._presence.get(node.network, node.key)
        if here is not None:
            here.expel(error)
        return control.NodeEnded(
            network=node.network,
            address=registry.address(node),
            hostname="" if registry.is_nameless(node) else node.hostname,
            fingerprint=acts.fingerprint(node),
            was_online=here is not None,
        )

    def _network(self, network: Network, nodes: int, mail: int) -> control.NetworkView:
        return control.NetworkView(
            network=network.number,
            name=network.name,
            admission="open" if network.open else "invitation",
            nodes=nodes,
            online=Counter(number for number, _ in self._presence.here())[network.number],
            max_nodes=network.max_nodes,
            mail=mail,
            max_mail=network.max_mail,
            created_at=rfc3339(network.created) if network.created else "",
            url=str(replace(self._join(), network=network.number)),
        )

    def _invitation(self, found: Invitation) -> control.InvitationView:
        state = "open"
        if found.revoked:
            state = "revoked"
        elif found.used >= found.uses:
            state = "used"
        elif found.expires <= self._clock.now():
            state = "expired"
        return control.InvitationView(
            id=found.id,
            network=found.network,
            state=state,
            uses=found.uses,
            used=found.used,
            created_at=rfc3339(found.created),
            expires_at=rfc3339(found.expires),
            note=found.note,
        )

    def _node(self, node: Node, mail: int) -> control.NodeView:
        return control.NodeView(
            network=node.network,
            address=registry.address(node),
            hostname="" if registry.is_nameless(node) else node.hostname,
            fingerprint=acts.fingerprint(node),
            public=node.public,
            tags=node.tags,
            online=self._presence.get(node.network, node.key) is not None,
            last_seen=rfc3339(node.last_seen),
            mail=mail,
        )


def _counted(books: Books, network: Network) -> tuple[Network, int, int]:
    number = network.number
    return network, books.nodes.count(number), books.letters.held_in(number).all
