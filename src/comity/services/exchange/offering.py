"""From what a client handed over to the offer: everything that can be refused without dialling.

Listing a folder and looking into a file for its edges takes a thread; nothing of the content is hashed here.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from comity.control.exchange import SendFileRequest
from comity.errors import Denied, TransferFailed
from comity.policy.operation import Operation
from comity.protocol.exchange.described import Described
from comity.protocol.exchange.manifest import check_announced
from comity.protocol.exchange.messages import FILE, FOLDER, Offer
from comity.protocol.exchange.names import check_name
from comity.services.exchange.content import Content, Outgoing
from comity.services.exchange.finding import require
from comity.services.exchange.folder import FolderContent
from comity.services.exchange.planning import Plan, plan
from comity.services.exchange.running_digests import RunningDigests
from comity.services.exchange.surroundings import Surroundings
from comity.services.exchange.terms import describe, permitted
from comity.services.exchange.threads import Threads
from comity.services.trust import KnownPeer
from comity.storage.exchange import NewTransfer, StoredTransfer


@dataclass(frozen=True)
class Offering:
    """``operation``: what the guard allowed. ``before``: the interrupted transfer that this one continues.

    ``content`` is to be closed; ``digests``: how far it is hashed.
    """

    peer: KnownPeer
    offer: Offer
    content: Outgoing
    plan: Plan
    digests: RunningDigests
    operation: Operation
    before: StoredTransfer | None

    def row(self, started: float) -> NewTransfer:
        """What is recorded when it begins."""
        return NewTransfer(
            direction="out",
            peer=self.peer.key,
            transfer=self.offer.transfer,
            hostname=self.peer.hostname,
            address=self.peer.address,
            name=self.offer.name,
            bytes=self.offer.bytes,
            agreement=self.offer.agreement,
            started=started,
            nonce=self.offer.nonce,
        )


async def make_offering(
    around: Surroundings,
    threads: Threads,
    request: SendFileRequest,
    peer: KnownPeer,
    fd: int,
    *,
    queued: int | None = None,
) -> Offering:
    """NameRefused, FileUnusable, FileChanged, TooLarge, Denied. ``queued``: the row that waited for it."""
    check_name(request.name)
    content = await threads.apart(open_content, fd)
    try:
        digests = RunningDigests(content)
        described = await describe(
            around, threads, content, digests, request.name, peer.key, request.signature
        )
        return await _offering(around, threads, request.name, peer, content, digests, described, queued)
    except BaseException:
        content.close()
        raise


def open_content(fd: int) -> Outgoing:
    """A file, or a folder, by its descriptor. FileUnusable, NameRefused, TooLarge."""
    try:
        folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    except OSError:
        folder = False  # Content says what is wrong
    return FolderContent(fd) if folder else Content(fd)


async def _offering(
    around: Surroundings,
    threads: Threads,
    name: str,
    peer: KnownPeer,
    content: Outgoing,
    digests: RunningDigests,
    described: Described | None,
    queued: int | None,
) -> Offering:
    agreement, listing = peer.agreement.digest, content.listing
    if queued is None:
        before = around.store.waiting(peer.key, agreement, name, content.size)
    else:
        before = _waited(around, queued, agreement, content)
    basis = around.store.sent_before(peer.key, agreement, name)
    planned = await threads.apart(plan, content, sparse=content.sparse, basis=basis)
    check_announced(content.size, len(planned.edges))
    offer = Offer(
        transfer=before.transfer if before else around.entropy.token(16).hex(),
        nonce=before.nonce if before else around.entropy.token(32).hex(),
        kind=FILE if listing is None else FOLDER,
        name=name,
        bytes=content.size,
        chunks=len(planned.edges),
        agreement=agreement,
        charter=None,
        digests=planned.digests,
        basis=planned.basis,
        listing=None if listing is None else listing.digest,
        items=0 if listing is None else len(listing.items),
        content=described,
    )
    offer, operation = permitted(around, offer, peer.key)
    return Offering(peer, offer, content, planned, digests, operation, before)


def _waited(around: Surroundings, row: int, agreement: str, content: Outgoing) -> StoredTransfer:
    """The queued transfer, if it still waits and nothing about it is another now."""
    stored, queued = around.store.get(row), around.queue.get(row)
    if queued is not None:
        require(content.identity, queued.identity, queued.path)
    if (stored.agreement, stored.bytes) != (agreement, content.size):
        raise Denied("what was queued is not what would be sent now")
    if stored.state not in ("queued", "interrupted"):
        raise TransferFailed(f"it is {stored.state} already", hint="run comity transfers")
    return stored
