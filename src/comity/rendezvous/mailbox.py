"""The mailbox: sealed messages wait here for nodes that are away (SECURITY.md rule 8).

Unread mail is never evicted: what does not fit is refused. A recipient reserves slots for the senders that it
approved; strangers have few places each and a share of every mailbox, of every sender's outgoing mail and of
the whole network, so that a flood of theirs leaves the reserved slots free. Mail expires after
``limits.MAIL_LIFETIME``.

Functions over the stores, inside the caller's transaction: no IO of their own, no clock.
"""

from __future__ import annotations

from comity import limits
from comity.errors import InvalidInput, MailboxFull, UnknownPeer
from comity.protocol.registry import Mail, Post, Reserve
from comity.rendezvous.quotas import LARGEST, exceeded
from comity.rendezvous.stores import Books, Kept, Letter


def recipient_of(books: Books, network: int, sender: bytes, request: Post) -> bytes:
    """The key that ``request`` is for. UnknownPeer where it is not registered in ``network``."""
    recipient = bytes.fromhex(request.recipient)
    if recipient == sender:
        raise InvalidInput("a message to oneself")
    if books.nodes.get(network, recipient) is None:
        raise UnknownPeer("no such node in this network")
    return recipient


def keep(books: Books, network: int, sender: bytes, request: Post, now: float) -> bytes:
    """Put a letter into its recipient's mailbox and return the recipient's key.

    The same message id again is no error, and the first letter stays: a sender that missed the answer seals
    anew, and sealing never gives the same bytes twice. MailboxFull, QuotaExceeded, UnknownPeer.
    """
    recipient = recipient_of(books, network, sender, request)
    message_id = bytes.fromhex(request.message_id)
    if books.letters.find(network, recipient, sender, message_id) is not None:
        return recipient
    reserved = books.letters.reserves(network, recipient, sender)
    _check_room(books, network, sender, recipient, len(request.blob), reserved=reserved)
    books.letters.add(
        Letter(
            network=network,
            recipient=recipient,
            sender=sender,
            message_id=message_id,
            blob=request.blob,
            posted=int(now),
            reserved=reserved,
        )
    )
    return recipient


def reserve(books: Books, network: int, recipient: bytes, request: Reserve) -> None:
    """Take the recipient's list of senders, in place of the one before."""
    books.letters.reserve(network, recipient, (bytes.fromhex(sender) for sender in request.senders))


def waiting(books: Books, network: int, recipient: bytes, after: int, now: float) -> list[Kept]:
    """A page of unexpired letters behind place ``after``, in the order in which they came."""
    books.letters.expire(oldest(now))
    return books.letters.waiting(network, recipient, after, limits.MAIL_PAGE)


def oldest(now: float) -> int:
    """What was posted before this is expired."""
    return int(now) - limits.MAIL_LIFETIME


def mail(letter: Letter) -> Mail:
    """The push that carries a kept letter."""
    return Mail(
        sender=letter.sender.hex(),
        message_id=letter.message_id.hex(),
        blob=letter.blob,
        posted=letter.posted,
        keep=True,
    )


def signal(sender: bytes, request: Post, now: float) -> Mail:
    """The push that carries a message which is not kept."""
    return Mail(
        sender=sender.hex(), message_id=request.message_id, blob=request.blob, posted=int(now), keep=False
    )


def _check_room(
    books: Books, network: int, sender: bytes, recipient: bytes, size: int, *, reserved: bool
) -> None:
    """MailboxFull, naming the bound that was met; QuotaExceeded where it is the sender's own."""
    letters, kept = books.letters, books.tenancy.network(network)
    most_mail, strangers_mail = limits.MAIL_PER_NETWORK, limits.MAIL_PER_NETWORK_STRANGERS
    quotas = LARGEST if kept is None else kept.quotas
    if kept is not None and kept.max_mail < most_mail:
        most_mail, strangers_mail = kept.max_mail, kept.max_mail // 2
    everywhere, there = letters.held_in(network), letters.held_for(network, recipient)
    ours, between = letters.held_from(network, sender), letters.held_between(network, sender, recipient)
    if ours.all >= quotas.node_sent:
        raise exceeded("too many messages of this node wait", "node_sent")
    if ours.bytes + size > quotas.node_sent_bytes:
        raise exceeded("the messages of this node that wait are too large", "node_sent_bytes")
    strangers_there = min(limits.MAIL_STRANGERS, max(1, quotas.node_mail * 2 // 5))
    bounds = [
        (everywhere.all, most_mail, "the rendezvous's mailboxes are full"),
        (everywhere.bytes + size, quotas.mail_bytes + 1, "the rendezvous's mailboxes are full"),
        (there.all, quotas.node_mail, "the recipient's mailbox is full"),
        (there.bytes + size, quotas.node_mail_bytes + 1, "the recipient's mailbox is full"),
        (between, limits.MAIL_PER_SENDER, "too many messages to this recipient wait"),
    ]
    if not reserved:
        bounds += [
            (everywhere.strangers, strangers_mail, "the rendezvous's mailboxes are full"),
            (there.strangers, strangers_there, "the recipient's mailbox is full for first contacts"),
            (between, limits.MAIL_PER_STRANGER, "too many messages to this recipient wait"),
            (ours.strangers, limits.MAIL_PER_SENDER, "too many messages to strangers wait"),
        ]
    for held, most, message in bounds:
        if held >= most:
            raise MailboxFull(message)
