"""The books of a rendezvous in memory: the registry, the mailbox and the ticket office of a simulated world.

It answers what the real server answers, with the same errors; it has no rate limits, and one network. Each
answer is a method of its own: a test derives a hostile rendezvous by overriding one (another key in
``record_of``, another node in ``find_member``, an old letter in ``mail_for``, someone else's blob in
``forward``).

It moves nothing: ``memory_rendezvous`` does. It is not the server: ``comity.rendezvous`` is, and one contract
suite holds both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from comity import limits
from comity.clock import Clock
from comity.entropy import Entropy
from comity.errors import (
    InvalidInput,
    KeyRetired,
    MailboxFull,
    NameTaken,
    PeerUnreachable,
    RemoteProtocolError,
    UnknownPeer,
)
from comity.identity.address import Address
from comity.identity.keys import PublicKey
from comity.protocol.registration import Claim, Request, not_admitted
from comity.protocol.registry import (
    Acknowledge,
    AskRelay,
    Done,
    Failure,
    Find,
    Found,
    Mail,
    Ping,
    Post,
    Posted,
    Record,
    Registered,
    RelayOffer,
    Reserve,
    Resolve,
    Resolved,
    Retire,
    Retired,
    ServerMessage,
    Superseded,
    Ticket,
)
from comity.protocol.succession import open_retirement
from comity.protocol.tickets import TicketBook

LetterName = tuple[str, str]  # sender and message id, in hexadecimal


@dataclass(frozen=True, eq=False)
class Seat:
    """A node's connection: ``push`` hands it a message, ``leave`` ends it after that."""

    key: PublicKey
    instance: str
    observed: str
    push: Callable[[ServerMessage], None]
    leave: Callable[[], None]


@dataclass
class Member:
    """What the books say of one key."""

    key: PublicKey
    number: int
    claim: Claim
    last_seen: int
    seat: Seat | None = None
    reserved: frozenset[str] = frozenset()
    letters: dict[LetterName, Mail] = field(default_factory=dict)


class MemoryRegistry:
    """``members`` by their keys in hexadecimal. Every method may be overridden; their errors become
    Failures."""

    def __init__(self, network: int, clock: Clock, entropy: Entropy) -> None:
        self.network = network
        self.clock = clock
        self.entropy = entropy
        self.members: dict[str, Member] = {}
        self.tickets = TicketBook()
        self.numbers = 0  # that were given out
        self.retired: dict[str, str] = {}

    # ── registration ──────────────────────────────────────────────────────────────────────────────────

    def admit(self, number: int, seat: Seat, claim: Claim) -> Registered:
        """Enter a verified claim and seat its node. NameTaken; RemoteProtocolError for an older sealing
        key."""
        if claim.network != self.network:
            raise not_admitted()
        if claim.key.hex in self.retired:
            raise KeyRetired("this key was retired")
        if claim.predecessor is not None and claim.key.hex not in self.members:
            self.succeed(claim.predecessor, claim)
        holder = self._named(claim.hostname)
        if holder is not None and holder.key != claim.key:
            raise NameTaken(f"the name {claim.hostname} belongs to another key")
        member = self.members.get(claim.key.hex)
        now = int(self.clock.now())
        if member is None:
            place = limits.NODE_FIRST + limits.NODE_STEP * self.numbers
            self.numbers += 1
            member = self.members[claim.key.hex] = Member(claim.key, place, claim, now)
        elif claim.sealing.sequence < member.claim.sealing.sequence:
            raise RemoteProtocolError("the sealing key is older than the one that is registered")
        before, member.seat, member.claim = member.seat, seat, claim
        if before is not None and before is not seat:
            before.push(Superseded(instance=seat.instance))
            before.leave()
        answer = Registered(
            id=number,
            address=self.address_of(member),
            hostname=claim.hostname,
            observed=seat.observed,
        )
        seat.push(answer)
        if before is not seat:
            for mail in self.mail_for(member):
                seat.push(mail)
        return answer

    def leave(self, seat: Seat) -> None:
        """The connection is over."""
        member = self.members.get(seat.key.hex)
        if member is not None and member.seat is seat:
            member.seat = None
            member.last_seen = int(self.clock.now())

    def forget_connections(self) -> None:
        """What a restart loses: who is here, and the tickets."""
        for member in self.members.values():
            member.seat = None
        self.tickets = TicketBook()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────

    def answer(self, seat: Seat, request: Request) -> ServerMessage | None:
        """What a registered node is told; None for nothing at all, which only a hostile rendezvous does."""
        match request:
            case Resolve():
                return Resolved(id=request.id, record=self.record_of(self.find_member(request)))
            case Find():
                return Found(id=request.id, records=self.list_for(request))
            case Post():
                return Posted(id=request.id, delivered=self.post(seat, request))
            case Acknowledge():
                self.members[seat.key.hex].letters.pop((request.sender, request.message_id), None)
            case Reserve():
                self.members[seat.key.hex].reserved = frozenset(request.senders)
                for key in filter(self.retired.get, request.senders):
                    seat.push(Retired(key=key, retirement=self.retired[key]))
            case Retire():
                self.retire(seat, request)
            case AskRelay():
                return Ticket(id=request.id, ticket=self.relay(seat, request).hex())
            case Ping():
                pass
        return Done(id=request.id)

    def retire(self, seat: Seat, request: Retire) -> None:
        """Turn a key out on its own word, and tell those who reserve slots for it."""
        open_retirement(PublicKey.from_hex(request.key), request.retirement)
        self.retired[request.key] = request.retirement
        gone = self.members.pop(request.key, None)
        for member in self.members.values():
            if member.seat is not None and request.key in member.reserved:
                member.seat.push(Retired(key=request.key, retirement=request.retirement))
        if gone is not None and gone.seat is not None:
            if gone.seat is seat:
                seat.push(Done(id=request.id))
            gone.seat.push(Failure(id=0, code=KeyRetired.code, message="this key was retired"))
            gone.seat.leave()

    def succeed(self, old: PublicKey, claim: Claim) -> None:
        """Turn a key out in favour of the one that it has named. KeyRetired."""
        if old.hex in self.retired:
            raise KeyRetired("the key that names this one its successor was retired before")
        self.members.pop(old.hex, None)
        self.retired[old.hex] = ""

    def find_member(self, request: Resolve) -> Member:
        """The one that is asked for. UnknownPeer; InvalidInput unless exactly one question was asked."""
        asked = [value for value in (request.hostname, request.address, request.key) if value is not None]
        if len(asked) != 1:
            raise InvalidInput("resolve takes exactly one of hostname, address and key")
        for member in self.members.values():
            if asked[0] in (member.claim.hostname, self.address_of(member), member.key.hex):
                return member
        raise UnknownPeer("no such node in this network")

    def list_for(self, request: Find) -> tuple[Record, ...]:
        """Public nodes by hostname, all or those with a tag."""
        listed = [
            member
            for member in self.members.values()
            if member.claim.public and (request.tag is None or request.tag in member.claim.tags)
        ]
        listed.sort(key=lambda member: member.claim.hostname.encode())
        return tuple(self.record_of(member) for member in listed[: limits.FIND_RESULTS])

    def record_of(self, member: Member) -> Record:
        """What others are told of a node."""
        claim = member.claim
        return Record(
            hostname=claim.hostname,
            address=self.address_of(member),
            key=member.key.hex,
            tags=claim.tags,
            public=claim.public,
            online=member.seat is not None,
            last_seen=int(self.clock.now()) if member.seat else member.last_seen,
            sealing_key=claim.sealing_key,
        )

    def address_of(self, member: Member) -> str:
        return str(Address(self.network, member.number))

    # ── mailbox ───────────────────────────────────────────────────────────────────────────────────────

    def post(self, seat: Seat, request: Post) -> bool:
        """Keep or hand on a sealed message; whether its recipient is online. UnknownPeer, MailboxFull."""
        if request.recipient == seat.key.hex:
            raise InvalidInput("a message to oneself")
        recipient = self.members.get(request.recipient)
        if recipient is None:
            if request.keep:
                raise UnknownPeer("no such node in this network")
            return False  # as to one that is away: nothing is looked up for a signal
        mail = Mail(
            sender=seat.key.hex,
            message_id=request.message_id,
            blob=request.blob,
            posted=int(self.clock.now()),
            keep=request.keep,
        )
        if request.keep:
            self._keep(recipient, mail)
        if recipient.seat is None:
            return False
        for letter in self.forward(recipient, mail):
            recipient.seat.push(letter)
        return True

    def forward(self, recipient: Member, mail: Mail) -> list[Mail]:
        """What a node that is online is pushed when a message for it comes in."""
        return [mail]

    def mail_for(self, recipient: Member) -> list[Mail]:
        """What a node is pushed when it has registered: all that it has not acknowledged, in order."""
        oldest = int(self.clock.now()) - limits.MAIL_LIFETIME
        recipient.letters = {name: mail for name, mail in recipient.letters.items() if mail.posted >= oldest}
        return list(recipient.letters.values())

    def _keep(self, recipient: Member, mail: Mail) -> None:
        if (mail.sender, mail.message_id) in recipient.letters:
            return
        strangers = [sender for sender, _ in recipient.letters if sender not in recipient.reserved]
        known = mail.sender in recipient.reserved
        between = sum(sender == mail.sender for sender, _ in recipient.letters)
        if (
            len(recipient.letters) >= limits.MAIL_PER_RECIPIENT
            or between >= (limits.MAIL_PER_SENDER if known else limits.MAIL_PER_STRANGER)
            or (not known and len(strangers) >= limits.MAIL_STRANGERS)
        ):
            raise MailboxFull("the recipient's mailbox is full")
        recipient.letters[mail.sender, mail.message_id] = mail

    # ── ticket office ─────────────────────────────────────────────────────────────────────────────────

    def relay(self, seat: Seat, request: AskRelay) -> bytes:
        """The asker's ticket, the other side's pushed to it. PeerUnreachable, RateLimited."""
        peer = self.members.get(request.peer)
        if peer is None or peer.seat is None or peer.seat is seat:
            raise PeerUnreachable("the peer is not online")
        own, theirs = self.entropy.token(limits.TICKET_BYTES), self.entropy.token(limits.TICKET_BYTES)
        self.tickets.issue(self.network, seat.key.raw, peer.key.raw, (own, theirs), self.clock.monotonic())
        for offer in self.offer(peer, RelayOffer(peer=seat.key.hex, call=request.call, ticket=theirs.hex())):
            peer.seat.push(offer)
        return own

    def offer(self, peer: Member, offer: RelayOffer) -> list[RelayOffer]:
        """What the other side of a lane is pushed."""
        return [offer]

    def _named(self, hostname: str) -> Member | None:
        return next((member for member in self.members.values() if member.claim.hostname == hostname), None)
