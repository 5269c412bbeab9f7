"""The receiving side of one transfer over one lane (docs: protocol, "Exchange", states of the receiver).

    handle(event, now) -> [outputs]

Whoever runs it asks the guard and the disk (``Judge``), hashes each chunk as it arrives, moves the bytes
where the outputs say, and signs (``Commit``). Nothing is written that was not asked for or whose digest
differs from the manifest's; of equal chunks one is asked for and the others are copied. An artifact is
committed only when the digest over the whole content, the manifest's digest and every length agree with what
the sender says.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from comity import limits
from comity.errors import (
    ComityError,
    LocalProtocolError,
    NameRefused,
    RemoteProtocolError,
    TooLarge,
    VerificationFailed,
    VersionMismatch,
)
from comity.protocol.exchange.asking import Asking
from comity.protocol.exchange.events import (
    Admitted,
    ChunkArrived,
    Commit,
    Committed,
    Complete,
    ContentDigest,
    Declined,
    Failed,
    Judge,
    KeepChunk,
    Look,
    Looked,
    MessageReceived,
    Received,
    ReceiverEvent,
    ReceiverOutput,
    Send,
    Trouble,
    VerifyContent,
)
from comity.protocol.exchange.failure import error_from, fail_for, refuse_for
from comity.protocol.exchange.manifest import RUNNING, Manifest
from comity.protocol.exchange.messages import (
    FILE,
    FOLDER,
    Accept,
    Close,
    Fail,
    Offer,
    Page,
    SignedReceipt,
    Want,
    encode_message,
    manifest_of,
    parse_message,
    ranges_of,
)
from comity.protocol.exchange.names import check_name

# ── the state chart ───────────────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    NEW = "new"
    JUDGING = "judging"
    RECEIVING = "receiving"
    VERIFYING = "verifying"
    COMMITTING = "committing"
    RECEIVED = "received"
    REFUSED = "refused"
    FAILED = "failed"


#: (state, event) → the states it may lead to. What is not here is a bug of the caller.
TRANSITIONS: Mapping[tuple[State, type[ReceiverEvent]], frozenset[State]] = {
    (State.NEW, MessageReceived): frozenset({State.JUDGING, State.REFUSED, State.FAILED}),
    (State.NEW, Trouble): frozenset({State.FAILED}),
    (State.JUDGING, Admitted): frozenset({State.RECEIVING}),
    (State.JUDGING, Complete): frozenset({State.RECEIVING}),
    (State.JUDGING, Declined): frozenset({State.REFUSED}),
    (State.JUDGING, Trouble): frozenset({State.FAILED}),
    (State.RECEIVING, MessageReceived): frozenset(
        {State.RECEIVING, State.VERIFYING, State.RECEIVED, State.FAILED}
    ),
    (State.RECEIVING, Looked): frozenset({State.RECEIVING}),
    (State.RECEIVING, ChunkArrived): frozenset({State.RECEIVING, State.FAILED}),
    (State.RECEIVING, Trouble): frozenset({State.FAILED}),
    (State.VERIFYING, ContentDigest): frozenset({State.COMMITTING, State.FAILED}),
    (State.VERIFYING, Trouble): frozenset({State.FAILED}),
    (State.COMMITTING, Committed): frozenset({State.RECEIVED}),
    (State.COMMITTING, Trouble): frozenset({State.FAILED}),
}


class Receiver:
    """One transfer, from its offer on."""

    def __init__(self) -> None:
        self.state = State.NEW
        self.offer: Offer | None = None
        self._manifest = Manifest(kind=FILE, name="", size=0, chunks=0)
        self._asking = Asking(self._manifest)
        self._close: Close | None = None
        self._held = False
        self._all = False  # asked for in one word, so that no WANT is needed
        self._looking: Look | None = None
        self._complete: Complete | None = None

    @property
    def manifest(self) -> Manifest:
        """What was announced, as far as it has come."""
        return self._manifest

    @property
    def silent(self) -> bool:
        """Whether everything was asked for in one word, so that pages lead to nothing."""
        return self._all

    @property
    def missing(self) -> int:
        """How many chunks were asked for and have not come: what may still be in flight after a failure."""
        return self._asking.missing

    def handle(self, event: ReceiverEvent, now: float) -> list[ReceiverOutput]:
        """Advance by one event. A peer that breaks the protocol is told so and ends in Failed."""
        allowed = TRANSITIONS.get((self.state, type(event)))
        if allowed is None:
            raise LocalProtocolError(f"{type(event).__name__} in receiver state {self.state}")
        try:
            outputs = self._dispatch(event)
        except (RemoteProtocolError, VerificationFailed) as error:
            outputs = self._fail(error)
        if self.state not in allowed:
            raise LocalProtocolError(f"{type(event).__name__} led to receiver state {self.state}")
        return outputs

    def _dispatch(self, event: ReceiverEvent) -> list[ReceiverOutput]:
        match event:
            case MessageReceived():
                return self._received(event.body)
            case ChunkArrived():
                return self._chunk(event)
            case Admitted():
                self._held = event.held
                return self._admitted()
            case Complete():
                self._complete = event
                return self._admitted()
            case Looked():
                return self._looked(event.found)
            case Declined():
                return self._refuse(event.error)
            case ContentDigest():
                return self._verified(event.digest)
            case Committed():
                self.state = State.RECEIVED
                return [Send(encode_message(SignedReceipt(event.receipt))), Received()]
            case Trouble():
                return self._fail(event.error)

    def _received(self, body: bytes) -> list[ReceiverOutput]:
        message = parse_message(body)
        match message:
            case Offer() if self.state is State.NEW:
                return self._offered(message)
            case Page() if self.state is State.RECEIVING:
                return self._page(message)
            case Close() if self.state is State.RECEIVING:
                return self._closed(message)
            case Fail():
                self.state = State.FAILED
                return [Failed(error_from(message), by_peer=True)]
        raise RemoteProtocolError(f"{type(message).__name__.lower()} does not belong here")

    def _offered(self, offer: Offer) -> list[ReceiverOutput]:
        self.offer = offer
        try:
            if offer.kind not in (FILE, FOLDER):
                raise VersionMismatch(f"this node cannot receive artifacts of kind {offer.kind}")
            if (offer.kind == FOLDER) != (offer.listing is not None):
                raise RemoteProtocolError("a listing belongs to folders, and to every one")
            if offer.items > limits.FOLDER_ITEMS:
                raise TooLarge(f"a folder of {offer.items} files is more than {limits.FOLDER_ITEMS}")
            check_name(offer.name)
            self._manifest = manifest_of(offer)
            self._asking = Asking(self._manifest)
        except (VersionMismatch, NameRefused, TooLarge, RemoteProtocolError) as error:
            return self._refuse(error)
        self.state = State.JUDGING
        return [Judge(offer)]

    def _admitted(self) -> list[ReceiverOutput]:
        if self.offer is None:
            raise LocalProtocolError("admitted without an offer")
        self.state = State.RECEIVING
        self._all = self._manifest.digests == RUNNING and not self._held and self._complete is None
        listing = self.offer.listing is not None and self._complete is None
        lanes = limits.LANES_MOST if self._complete is None else 1
        accept = Accept(transfer=self.offer.transfer, all=self._all, listing=listing, lanes=lanes)
        return [Send(encode_message(accept))]

    def _page(self, page: Page) -> list[ReceiverOutput]:
        if page.first != len(self._manifest):
            raise RemoteProtocolError("a manifest page came twice or out of order")
        self._asking.check_room()
        for entry in page.entries:
            self._manifest.add(entry)
        if self._complete is not None:
            return [Send(encode_message(Want(len(self._manifest), ())))]
        look = Look(page.first, len(page.entries))
        if self._held:
            self._looking = look
            return [look]
        return self._want(look, frozenset())

    def _looked(self, found: frozenset[int]) -> list[ReceiverOutput]:
        if self._looking is None:
            raise LocalProtocolError("looked for nothing")
        look, self._looking = self._looking, None
        return self._want(look, found)

    def _want(self, page: Look, found: frozenset[int]) -> list[ReceiverOutput]:
        asked, copies = self._asking.judge(page.first, page.count, found)
        if self._all:
            return []
        return [Send(encode_message(Want(len(self._manifest), ranges_of(asked)))), *copies]

    def place(self, index: int) -> tuple[int, bytes] | None:
        """Where this chunk would go, and its digest, if it may come now: ``handle`` has the last word."""
        return self._asking.place(index)

    def _chunk(self, chunk: ChunkArrived) -> list[ReceiverOutput]:
        copies = self._asking.arrived(chunk.index, chunk.length, chunk.digest)
        return [KeepChunk(self._manifest.offset(chunk.index), chunk.length), *copies]

    def _closed(self, close: Close) -> list[ReceiverOutput]:
        done = self._complete
        if done is not None:
            if (close.manifest, close.digest) != (done.manifest, done.digest):
                raise VerificationFailed("this transfer was completed before, with other content")
            self.state = State.RECEIVED
            return [Send(encode_message(SignedReceipt(done.receipt))), Received()]
        if not self._manifest.complete or self._asking.missing:
            raise RemoteProtocolError("the sender closed before everything was sent")
        if close.manifest != self._manifest.total_digest:
            raise VerificationFailed("the manifest is not the one that the sender closed with")
        self._close = close
        self.state = State.VERIFYING
        return [VerifyContent()]

    def _verified(self, digest: str) -> list[ReceiverOutput]:
        if self._close is None:
            raise LocalProtocolError("verified before the close")
        if digest != self._close.digest:
            raise VerificationFailed("the content is not what the sender's digest says")
        self.state = State.COMMITTING
        return [Commit(self._close.manifest, self._close.digest)]

    def _refuse(self, error: ComityError) -> list[ReceiverOutput]:
        self.state = State.REFUSED
        return [Send(encode_message(refuse_for(error))), Failed(error, refused=True)]

    def _fail(self, error: ComityError) -> list[ReceiverOutput]:
        self.state = State.FAILED
        return [Send(encode_message(fail_for(error))), Failed(error)]
