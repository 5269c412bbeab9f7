"""The sending side of one transfer over one lane (docs: protocol, "Exchange", states of the sender).

    handle(event, now) -> [outputs]        now: seconds UTC, used for the receipt's freshness only

Whoever runs it hashes the content and moves the bytes. ``needs`` tells what the machine waits for: the next
hashed chunks, or the peer's next message. Pages run ahead of their answers by a bounded number, so that
hashing, disk and network overlap, and one thread can do both directions without a deadlock. Every chunk is
sent at most once. It does not read files, sign, or decide whether the transfer is allowed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum, StrEnum

from comity import limits
from comity.errors import ComityError, LocalProtocolError, RemoteProtocolError, VerificationFailed
from comity.protocol.exchange.events import (
    ContentHashed,
    Delivered,
    Failed,
    Hashed,
    MessageReceived,
    Send,
    SendChunk,
    SenderEvent,
    SenderOutput,
    Started,
    Trouble,
)
from comity.protocol.exchange.failure import error_from, fail_for
from comity.protocol.exchange.manifest import Entry
from comity.protocol.exchange.messages import (
    Accept,
    Close,
    Fail,
    Offer,
    Page,
    Range,
    Refuse,
    SignedReceipt,
    Want,
    Working,
    encode_message,
    manifest_of,
    parse_message,
)
from comity.protocol.exchange.receipt import Parties, check_receipt

# ── the state chart ───────────────────────────────────────────────────────────────────────────────────


class State(StrEnum):
    NEW = "new"
    OFFERED = "offered"
    SENDING = "sending"
    CLOSED = "closed"
    DELIVERED = "delivered"
    FAILED = "failed"


class Need(Enum):
    """What ``handle`` is to be given next."""

    PEER = "a message of the peer"
    CONTENT = "the next hashed chunks, or the content's digest"
    NOTHING = "nothing: it is over"


#: (state, event) → the states it may lead to. What is not here is a bug of the caller.
TRANSITIONS: Mapping[tuple[State, type[SenderEvent]], frozenset[State]] = {
    (State.NEW, Started): frozenset({State.OFFERED}),
    (State.OFFERED, MessageReceived): frozenset({State.SENDING, State.FAILED}),
    (State.OFFERED, Trouble): frozenset({State.FAILED}),
    (State.SENDING, Hashed): frozenset({State.SENDING}),
    (State.SENDING, ContentHashed): frozenset({State.SENDING, State.CLOSED}),
    (State.SENDING, MessageReceived): frozenset({State.SENDING, State.CLOSED, State.FAILED}),
    (State.SENDING, Trouble): frozenset({State.FAILED}),
    (State.CLOSED, MessageReceived): frozenset({State.CLOSED, State.DELIVERED, State.FAILED}),
    (State.CLOSED, Trouble): frozenset({State.FAILED}),
}


class Sender:
    """One transfer of what ``offer`` announces, between ``parties``."""

    def __init__(self, offer: Offer, parties: Parties) -> None:
        self.state = State.NEW
        self.offer = offer
        self.manifest = manifest_of(offer)
        self.listing_wanted = False
        self.lanes = 1  # that the peer allows
        self._parties = parties
        self._digest: str | None = None
        self._unanswered: deque[int] = deque()  # where the pages that travel end
        self._judged = 0
        self._wanted = bytearray(offer.chunks)
        self._working = 0
        self._asked_bytes = 0
        self._all = False

    @property
    def needs(self) -> Need:
        """What to give to ``handle`` next."""
        if self.state in (State.NEW, State.DELIVERED, State.FAILED):
            return Need.NOTHING
        room = self.manifest.complete or len(self._unanswered) < limits.MANIFEST_AHEAD_PAGES
        hashing = self.state is State.SENDING and self._digest is None
        return Need.CONTENT if hashing and room else Need.PEER

    @property
    def all_wanted(self) -> bool:
        """Whether the peer has asked for everything in one word."""
        return self._all

    @property
    def bytes_skipped(self) -> int:
        """Logical bytes that the peer looked at and did not ask for: it has them."""
        return self.manifest.offset(self._judged) - self._asked_bytes

    def handle(self, event: SenderEvent, now: float) -> list[SenderOutput]:
        """Advance by one event. A peer that breaks the protocol is told so and ends in Failed."""
        allowed = TRANSITIONS.get((self.state, type(event)))
        if allowed is None:
            raise LocalProtocolError(f"{type(event).__name__} in sender state {self.state}")
        outputs = self._dispatch(event, now)
        if self.state not in allowed:
            raise LocalProtocolError(f"{type(event).__name__} led to sender state {self.state}")
        return outputs

    def _dispatch(self, event: SenderEvent, now: float) -> list[SenderOutput]:
        match event:
            case Started():
                self.state = State.OFFERED
                return [Send(encode_message(self.offer))]
            case Hashed():
                return self._page(event.entries)
            case ContentHashed():
                if not self.manifest.complete or self._digest is not None:
                    raise LocalProtocolError("the content's digest came too early, or twice")
                self._digest = event.digest
                return self._close_when_judged()
            case Trouble():
                return self._fail(event.error)
            case MessageReceived():
                try:
                    return self._received(event.body, now)
                except (RemoteProtocolError, VerificationFailed) as error:
                    return self._fail(error)

    def _received(self, body: bytes, now: float) -> list[SenderOutput]:
        message = parse_message(body)
        match message:
            case Fail() | Refuse():
                if isinstance(message, Refuse) and self.state is not State.OFFERED:
                    raise RemoteProtocolError("the peer refused what it had accepted")
                self.state = State.FAILED
                return [Failed(error_from(message), refused=isinstance(message, Refuse), by_peer=True)]
            case Accept() if self.state is State.OFFERED and message.transfer == self.offer.transfer:
                self.state = State.SENDING
                self._all = message.all
                self.listing_wanted = message.listing
                self.lanes = message.lanes
                return []
            case Want() if self.state is not State.OFFERED and not self._all:
                return self._want(message)
            case Working() if self.state is not State.OFFERED:
                self._working += 1
                if self._working > limits.WORKING_MOST:
                    raise RemoteProtocolError("the peer works without an end")
                return []
            case SignedReceipt() if self.state is State.CLOSED:
                return self._receipt(message, now)
        raise RemoteProtocolError(f"{type(message).__name__.lower()} does not belong here")

    def _page(self, entries: tuple[Entry, ...]) -> list[SenderOutput]:
        if self.needs is not Need.CONTENT or not 1 <= len(entries) <= limits.MANIFEST_PAGE_CHUNKS:
            raise LocalProtocolError("chunks were hashed that nobody asked for")
        first = len(self.manifest)
        try:
            for entry in entries:
                self.manifest.add(entry)
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"what was hashed is not what was offered: {error}") from error
        page = Send(encode_message(Page(first, entries)))
        if self._all:
            return [page, *self._want(Want(len(self.manifest), (Range(first, len(entries)),)))]
        self._unanswered.append(len(self.manifest))
        return [page]

    def _want(self, want: Want) -> list[SenderOutput]:
        if not self._judged <= want.judged <= len(self.manifest):
            raise RemoteProtocolError("the peer judged chunks that it was not told of")
        self._judged = want.judged
        while self._unanswered and self._unanswered[0] <= want.judged:
            self._unanswered.popleft()
        outputs: list[SenderOutput] = []
        for part in want.ranges:
            for index in range(part.first, part.first + part.count):
                if self._wanted[index]:
                    raise RemoteProtocolError(f"the peer asked for chunk {index} twice")
                self._wanted[index] = 1
                offset, length = self.manifest.offset(index), self.manifest.length(index)
                self._asked_bytes += length
                outputs.append(SendChunk(index, offset, length))
        return outputs + self._close_when_judged()

    def _close_when_judged(self) -> list[SenderOutput]:
        if self.state is not State.SENDING or self._digest is None or self._judged < self.offer.chunks:
            return []
        self.state = State.CLOSED
        return [Send(encode_message(Close(digest=self._digest, manifest=self.manifest.total_digest)))]

    def _receipt(self, message: SignedReceipt, now: float) -> list[SenderOutput]:
        if self._digest is None:
            raise LocalProtocolError("closed without a digest")
        receipt, envelope = check_receipt(
            message.envelope, self.offer, self._parties, self.manifest.total_digest, self._digest, now
        )
        self.state = State.DELIVERED
        return [Delivered(receipt, envelope)]

    def _fail(self, error: ComityError) -> list[SenderOutput]:
        self.state = State.FAILED
        return [Send(encode_message(fail_for(error))), Failed(error)]
