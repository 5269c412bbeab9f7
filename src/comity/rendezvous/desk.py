"""The desk: what each request of a registered node does, and the one answer that it gets.

It joins the parts: rate limits first, then the books (through the scribe, so that what is answered is on
disk), then whoever else is online. It knows no frames and no sockets; ``visit`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity import limits
from comity.clock import Clock
from comity.errors import (
    ComityError,
    DiskFull,
    InvalidInput,
    KeyRetired,
    LocalProtocolError,
    PeerUnreachable,
    RateLimited,
    RendezvousRefused,
    StorageUnusable,
)
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.registration import Claim, Request
from comity.protocol.registry import (
    Acknowledge,
    AskRelay,
    Done,
    Failure,
    Find,
    Found,
    Ping,
    Post,
    Posted,
    Record,
    RelayOffer,
    Reserve,
    Resolve,
    Resolved,
    Retire,
    Retired,
    ServerMessage,
    Ticket,
)
from comity.protocol.succession import open_retirement
from comity.rendezvous import mailbox, membership, registry, retiring
from comity.rendezvous.buckets import Buckets, Rate
from comity.rendezvous.journal import Journal
from comity.rendezvous.meters import Meters
from comity.rendezvous.outgoing import Backlog
from comity.rendezvous.presence import NodeKey, Presence
from comity.rendezvous.quotas import LARGEST, exceeded
from comity.rendezvous.relay import Relay
from comity.rendezvous.scribe import Scribe
from comity.rendezvous.stores import Books, Kept, Node
from comity.rendezvous.terms import Terms


@dataclass(frozen=True)
class Rates:
    """How often one node may ask what."""

    resolve: Rate
    post: Rate
    register: Rate


RATES = Rates(
    resolve=Rate(limits.RESOLVE_BURST, limits.RESOLVE_PER_SECOND),
    post=Rate(limits.POST_BURST, limits.POST_PER_SECOND),
    register=Rate(limits.REGISTER_BURST, limits.REGISTER_PER_SECOND),
)


class Desk:
    """Shared by all visits. ``own`` is the fingerprint of the server's key."""

    def __init__(
        self,
        own: Fingerprint,
        *,
        scribe: Scribe,
        presence: Presence,
        relay: Relay,
        clock: Clock,
        journal: Journal,
        terms: Terms,
        meters: Meters,
        rates: Rates = RATES,
    ) -> None:
        self.own = own
        self.clock = clock
        self.journal = journal
        #: Where nodes may ask for their mapping; known once the doors are open.
        self.observers: tuple[str, ...] = ()
        self.backlog = Backlog()
        self._scribe = scribe
        self._presence = presence
        self._relay = relay
        self._terms = terms
        self.meters = meters
        self._rates = rates
        self._resolves: dict[Rate, Buckets] = {}
        self._posts = Buckets(rates.post)
        self._registers = Buckets(rates.register)

    # ── registration ──────────────────────────────────────────────────────────────────────────────────

    def may_register(self, key: bytes) -> None:
        """RateLimited where this key tries too often: verifying a statement costs something."""
        self._take(self._registers, key)

    async def admit(self, claim: Claim) -> Node:
        """The node as it is on disk now.

        What ``membership.admit`` raises, QuotaExceeded where as many are online as may be, or a storage
        failure.
        """
        now = self.clock.now()
        online = self._presence.count(claim.network)
        if (
            self._presence.get(claim.network, claim.key.raw) is None
            and online >= self._terms.of(claim.network).online
        ):
            # Not before the books have said that it may come in at all: strangers learn nothing.
            await self._scribe.run(lambda books: membership.check_known(books, claim))
            raise exceeded("as many nodes of this network are online as may be", "online")
        return await self._scribe.run(lambda books: membership.admit(books, claim, now))

    async def waiting(self, node: NodeKey, after: int) -> list[Kept]:
        """A page of the mail that waits for a node behind place ``after``."""
        now = self.clock.now()
        return await self._scribe.run(lambda books: mailbox.waiting(books, *node, after, now))

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────

    async def serve(self, node: NodeKey, request: Request) -> ServerMessage:
        """The answer; a ComityError where the answer is no."""
        match request:
            case Ping():
                return Done(id=request.id)
            case Resolve():
                return await self._resolve(node, request)
            case Find():
                return await self._find(node, request)
            case Post():
                self._take(self._posts, node)
                return await (self._keep(node, request) if request.keep else self._signal(node, request))
            case Acknowledge():
                sender, message_id = bytes.fromhex(request.sender), bytes.fromhex(request.message_id)
                await self._scribe.run(lambda books: books.letters.remove(*node, sender, message_id))
                return Done(id=request.id)
            case Reserve():
                self._take(self._posts, node)
                return await self._reserve(node, request)
            case Retire():
                self._take(self._posts, node)
                return await self._retire(node, request)
            case AskRelay():
                return self._ask_relay(node, request)

    async def _resolve(self, node: NodeKey, request: Resolve) -> Resolved:
        self._look_up(node)
        began = self.clock.monotonic()
        try:
            found = await self._scribe.run(lambda books: registry.resolve(books.nodes, node[0], request))
        finally:
            self.meters.resolved(self.clock.monotonic() - began)
        return Resolved(id=request.id, record=self._record(found))

    async def _find(self, node: NodeKey, request: Find) -> Found:
        self._look_up(node)
        found = await self._scribe.run(lambda books: registry.find(books.nodes, node[0], request))
        return Found(id=request.id, records=tuple(map(self._record, found)))

    async def _keep(self, node: NodeKey, request: Post) -> Posted:
        network, sender = node
        now = self.clock.now()
        recipient = await self._scribe.run(lambda books: mailbox.keep(books, network, sender, request, now))
        there = self._presence.get(network, recipient)
        if there is not None:
            there.mail_came()
        return Posted(id=request.id, delivered=there is not None)

    async def _signal(self, node: NodeKey, request: Post) -> Posted:
        """Not kept, so nothing is looked up: to a key that nobody has, it is as to one that is away."""
        network, sender = node
        recipient = bytes.fromhex(request.recipient)
        if recipient == sender:
            raise InvalidInput("a message to oneself")
        there = self._presence.get(network, recipient)
        pushed = there is not None and there.push(mailbox.signal(sender, request, self.clock.now()))
        return Posted(id=request.id, delivered=pushed)

    async def _reserve(self, node: NodeKey, request: Reserve) -> Done:
        def reserve(books: Books) -> list[Retired]:
            mailbox.reserve(books, *node, request)
            return retiring.reminders(books, node[0], [bytes.fromhex(sender) for sender in request.senders])

        reminders = await self._scribe.run(reserve)
        here = self._presence.get(*node)
        if here is not None:
            for each in reminders:
                here.push(each)
        return Done(id=request.id)

    async def _retire(self, node: NodeKey, request: Retire) -> Done:
        key, by = PublicKey.from_hex(request.key), PublicKey.parse(node[1])
        said, now = open_retirement(key, request.retirement), self.clock.now()
        outcome = await self._scribe.run(
            lambda books: retiring.retire(books, key, said, request.retirement, now, by)
        )
        for one in outcome.told:
            there = self._presence.get(*one)
            if there is not None:
                there.push(outcome.push)
        for one in outcome.ended:
            there = self._presence.get(*one)
            if there is not None and one != node:  # who retires itself is answered first
                there.expel(KeyRetired(f"this key was retired: {said.reason}"))
        return Done(id=request.id)

    def _ask_relay(self, node: NodeKey, request: AskRelay) -> Ticket:
        network, dialler = node
        acceptor = bytes.fromhex(request.peer)
        there = self._presence.get(network, acceptor)
        if there is None or acceptor == dialler:
            raise PeerUnreachable("the peer is not online")
        ours, theirs = self._relay.issue(network, dialler, acceptor)
        if not there.push(RelayOffer(peer=dialler.hex(), call=request.call, ticket=theirs.hex())):
            raise PeerUnreachable("the peer does not read what it is sent")
        return Ticket(id=request.id, ticket=ours.hex())

    # ── the rest ──────────────────────────────────────────────────────────────────────────────────────

    def failure(self, request: int, error: ComityError) -> Failure:
        """The answer no. What failed inside the server is written into its log, and not told to nodes."""
        if isinstance(error, DiskFull | StorageUnusable):
            self.journal.failure("storage failed", error)
            error = RendezvousRefused("the rendezvous cannot write to its disk")
        elif isinstance(error, LocalProtocolError):
            self.journal.failure("request failed", error)
            error = RendezvousRefused("the rendezvous failed on this request")
        return Failure(id=request, code=error.code, message=printable(error.message, limits.CLAIM_BYTES))

    async def expire(self) -> None:
        """Throw expired mail away."""
        oldest = mailbox.oldest(self.clock.now())
        gone = await self._scribe.run(lambda books: books.letters.expire(oldest))
        if gone:
            self.journal.info("mail expired", letters=gone)

    def sweep(self) -> None:
        """Forget the rate limits of nodes that have rested."""
        for buckets in (*self._resolves.values(), self._posts, self._registers):
            buckets.sweep(self.clock.monotonic())

    def _record(self, node: Node) -> Record:
        online = self._presence.get(node.network, node.key) is not None
        return registry.record(node, online=online, now=self.clock.now())

    def _look_up(self, node: NodeKey) -> None:
        quota, rate = self._terms.of(node[0]).node_lookups, self._rates.resolve
        if quota < LARGEST.node_lookups:
            share = quota / LARGEST.node_lookups
            rate = Rate(max(1.0, rate.burst * share), rate.per_second * share)
        self._take(self._resolves.setdefault(rate, Buckets(rate)), node)

    def _take(self, buckets: Buckets, key: NodeKey | bytes) -> None:
        if not buckets.take(key, self.clock.monotonic()):
            raise RateLimited("too many of these requests at once")
