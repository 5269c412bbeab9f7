"""The office: an administrator's requests and their answers, while the server runs and while it doesn't.

It joins ``acts`` with who is online, and makes the tokens. Requests and results are ``control.rendezvous``.
It knows no sockets: ``hatch`` does, and ``admin`` calls it directly where no server runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from comity import __version__, limits
from comity.clock import Clock, rfc3339
from comity.control import rendezvous as control
from comity.control.codec import from_plain
from comity.control.rendezvous_status import RendezvousStatus, StatusRequest
from comity.entropy import Entropy
from comity.errors import InvalidInput, NameTaken, RendezvousRefused
from comity.identity.card import JoinUrl
from comity.protocol.registration import not_admitted
from comity.rendezvous import actlog, acts, registry
from comity.rendezvous.actlog import parse_head
from comity.rendezvous.presence import Presence
from comity.rendezvous.stores import Books, Held, Node
from comity.rendezvous.tenancy import Act, Invitation, LogHead, Network
from comity.rendezvous.terms import Terms
from comity.rendezvous.usage import Usage
from comity.rendezvous.vitals import BACKUP, Vitals

T = TypeVar("T")

#: The act that says that there is a backup now; the time of it is kept.
BACKUP_DONE = "backup made"


class Run(Protocol):
    """Runs a function over the books in a transaction of its own: ``Scribe.run``, or without a thread."""

    def __call__(self, work: Callable[[Books], T], /) -> Awaitable[T]: ...


class Office:
    """``join`` says how nodes reach this server.

    ``terms``, ``usage`` and ``vitals`` are those of one that runs.
    """

    def __init__(
        self,
        run: Run,
        presence: Presence,
        clock: Clock,
        entropy: Entropy,
        join: Callable[[], JoinUrl],
        *,
        terms: Terms | None = None,
        usage: Usage | None = None,
        vitals: Vitals | None = None,
    ) -> None:
        self._terms = terms or Terms()
        self._usage = usage or Usage(clock)
        self._vitals = vitals
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
            "status": (StatusRequest, self._status),
            "note": (control.NoteRequest, self._note),
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

    async def head(self) -> LogHead:
        """The admin log's head now."""
        return await self._run(lambda books: books.tenancy.head())

    async def _create(self, request: control.NetworkCreateRequest, who: str) -> control.NetworkView:
        now = self._clock.now()
        network = await self._run(lambda books: acts.create_network(books, request, now, who))
        self._terms.put(network)
        return self._network(network, 0, Held())

    async def _change(self, request: control.NetworkChangeRequest, who: str) -> control.NetworkView:
        now = self._clock.now()

        def change(books: Books) -> tuple[Network, int, Held]:
            return _counted(books, acts.change_network(books, request, now, who))

        network, nodes, mail = await self._run(change)
        self._terms.put(network)
        return self._network(network, nodes, mail)

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
        def find(books: Books) -> list[tuple[Node, Held, Held]]:
            wanted = (
                [acts.network_of(books, request.network)] if request.network else books.tenancy.networks()
            )
            nodes = [node for network in wanted for node in books.nodes.everyone(network.number)]
            return [
                (
                    node,
                    books.letters.held_for(node.network, node.key),
                    books.letters.held_from(node.network, node.key),
                )
                for node in nodes
            ]

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
        known = parse_head(request.head) if request.head else None
        found, head = await self._run(lambda books: (books.tenancy.acts(most), books.tenancy.head()))
        problem = ""
        if request.verify or known is not None:
            problem = await self._run(lambda books: actlog.problem(books.tenancy, known))
        return control.AdminLogResult(
            acts=tuple(
                control.AdminAct(rfc3339(each.at), each.who, each.act, each.network, each.detail)
                for each in found
            ),
            head=str(head),
            valid=not problem if request.verify or known is not None else None,
            problem=problem,
        )

    async def _note(self, request: control.NoteRequest, who: str) -> control.Noted:
        """An act that is done beside the server, or to its folder."""
        now = self._clock.now()

        def note(books: Books) -> str:
            if request.act == BACKUP_DONE:
                books.tenancy.set_mark(BACKUP, int(now))
            return str(books.tenancy.note(Act(int(now), who, request.act, 0, request.detail)))

        return control.Noted(await self._run(note))

    async def _status(self, _: StatusRequest, __: str) -> RendezvousStatus:
        if self._vitals is not None:
            return await self._vitals.status()
        return RendezvousStatus(running=False, ready=False, version=__version__)

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

    def _network(self, network: Network, nodes: int, mail: Held) -> control.NetworkView:
        return control.NetworkView(
            network=network.number,
            name=network.name,
            admission="open" if network.open else "invitation",
            nodes=nodes,
            online=self._presence.count(network.number),
            max_nodes=network.max_nodes,
            mail=mail.all,
            max_mail=network.max_mail,
            created_at=rfc3339(network.created) if network.created else "",
            url=str(replace(self._join(), network=network.number)),
            mail_bytes=mail.bytes,
            relayed_today=self._usage.of_network(network.number),
            quotas=network.quotas.set(),
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

    def _node(self, node: Node, mail: Held, sent: Held) -> control.NodeView:
        return control.NodeView(
            network=node.network,
            address=registry.address(node),
            hostname="" if registry.is_nameless(node) else node.hostname,
            fingerprint=acts.fingerprint(node),
            public=node.public,
            tags=node.tags,
            online=self._presence.get(node.network, node.key) is not None,
            last_seen=rfc3339(node.last_seen),
            mail=mail.all,
            mail_bytes=mail.bytes,
            sent=sent.all,
            sent_bytes=sent.bytes,
            relayed_today=self._usage.of((node.network, node.key)),
        )


def _counted(books: Books, network: Network) -> tuple[Network, int, Held]:
    number = network.number
    return network, books.nodes.count(number), books.letters.held_in(number)
