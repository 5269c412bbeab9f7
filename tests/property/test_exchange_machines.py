"""Both machines against each other through a simulated pipe that delays, ends, or has its bytes changed.

Whatever happens, a receiver that commits holds exactly the bytes that its receipt names, and a sender that
says delivered holds that receipt.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from comity.errors import RemoteProtocolError
from comity.protocol.exchange import receiver as receiving
from comity.protocol.exchange import sender as sending
from comity.protocol.exchange.events import (
    Admitted,
    ChunkArrived,
    Commit,
    Committed,
    ContentDigest,
    ContentHashed,
    CopyChunk,
    Delivered,
    Failed,
    Hashed,
    Judge,
    KeepChunk,
    MessageReceived,
    ReceiverEvent,
    Send,
    SendChunk,
    SenderEvent,
    Started,
    VerifyContent,
)
from comity.protocol.exchange.messages import Type, chunk_header, is_a, parse_chunk
from comity.protocol.exchange.sender import Need
from tests.exchanges import NOW, PARTIES, digest_of, entry_for, offer_for, signed_receipt

#: Few different pieces, so that equal chunks are frequent.
PIECES = st.lists(st.sampled_from([b"a", b"bb", b"ccc", b"dddd", b"0000", b"1111"]), max_size=60)

Channel = deque[bytes]


class SendingSide:
    def __init__(self, pieces: Sequence[bytes], page: int) -> None:
        self.pieces, self.page = list(pieces), page
        self.content = b"".join(pieces)
        self.machine = sending.Sender(offer_for(pieces), PARTIES)
        self.hashed = 0
        self.outbox: Channel = deque()
        self.delivered: Delivered | None = None
        self.failed: Failed | None = None
        self.sent: list[int] = []

    def perform(self, event: SenderEvent) -> None:
        for output in self.machine.handle(event, NOW):
            match output:
                case Send():
                    self.outbox.append(output.body)
                case SendChunk():
                    self.sent.append(output.index)
                    piece = self.content[output.offset : output.offset + output.length]
                    self.outbox.append(chunk_header(output.index) + piece)
                case Delivered():
                    self.delivered = output
                case Failed():
                    self.failed = output

    def step(self, inbox: Channel) -> bool:
        """One step if one is possible."""
        if self.machine.state is sending.State.NEW:
            self.perform(Started())
        elif self.machine.needs is Need.CONTENT:
            pieces = self.pieces[self.hashed : self.hashed + self.page]
            self.hashed += len(pieces)
            if pieces:
                self.perform(Hashed(tuple(map(entry_for, pieces))))
            else:
                self.perform(ContentHashed(digest_of(self.content)))
        elif self.machine.needs is Need.PEER and inbox:
            self.perform(MessageReceived(inbox.popleft()))
        else:
            return False
        return True


class ReceivingSide:
    def __init__(self) -> None:
        self.machine = receiving.Receiver()
        self.file = bytearray()
        self.outbox: Channel = deque()
        self.committed: Commit | None = None
        self.receipt = b""
        self.failed: Failed | None = None
        self.peak = 0

    def perform(self, event: ReceiverEvent, content: bytes = b"") -> None:
        for output in self.machine.handle(event, NOW):
            match output:
                case Send():
                    self.outbox.append(output.body)
                case Judge():
                    self.file = bytearray(output.offer.bytes)
                    self.perform(Admitted())
                case KeepChunk():
                    assert len(content) == output.length
                    self.write(output.offset, content)
                case CopyChunk():
                    self.write(output.offset, bytes(self.file[output.source : output.source + output.length]))
                case VerifyContent():
                    self.perform(ContentDigest(digest_of(bytes(self.file))))
                case Commit():
                    self.committed = output
                    offer = self.machine.offer
                    assert offer is not None
                    self.receipt = signed_receipt(offer, output.manifest, output.digest)
                    self.perform(Committed(self.receipt))
                case Failed():
                    self.failed = output

    def write(self, offset: int, content: bytes) -> None:
        assert offset + len(content) <= len(self.file)
        self.file[offset : offset + len(content)] = content

    def over(self) -> bool:
        ended = (receiving.State.RECEIVED, receiving.State.FAILED, receiving.State.REFUSED)
        return self.machine.state in ended

    def step(self, inbox: Channel) -> bool:
        if not inbox or self.over():
            return False
        body = inbox.popleft()
        if not is_a(Type.CHUNK, body):
            self.perform(MessageReceived(body))
            return True
        try:
            index, view = parse_chunk(memoryview(body))
        except RemoteProtocolError:
            self.failed = None
            inbox.clear()
            return False
        content = bytes(view)
        self.perform(ChunkArrived(index, len(content), hashlib.sha256(content).digest()), content)
        return True


def run(
    sender: SendingSide,
    receiver: ReceivingSide,
    seed: int,
    *,
    cut_after: int = 10**9,
    change: Callable[[bytes], bytes] = bytes,
) -> None:
    """Step both sides in a seeded order until neither can; after ``cut_after`` frames nothing arrives."""
    order = random.Random(seed)
    forward: Channel = deque()
    back: Channel = deque()
    while True:
        turns: list[tuple[SendingSide | ReceivingSide, Channel]] = [(sender, back), (receiver, forward)]
        order.shuffle(turns)
        if not any(side.step(inbox) for side, inbox in turns):
            return
        for outbox, pipe in ((sender.outbox, forward), (receiver.outbox, back)):
            while outbox:
                body = outbox.popleft()
                cut_after -= 1
                if cut_after >= 0:
                    pipe.append(change(body) if pipe is forward else body)


def check_commit(sender: SendingSide, receiver: ReceivingSide) -> None:
    """What is committed is what the manifest and the digest say, whoever the sender is."""
    if receiver.committed is None:
        return
    assert receiver.committed.digest == digest_of(bytes(receiver.file))
    if sender.delivered is not None:
        assert bytes(receiver.file) == sender.content
        assert sender.delivered.envelope.to_json() == receiver.receipt


@given(PIECES, st.integers(1, 20), st.integers(0, 2**32))
def test_whatever_the_order_the_artifact_arrives(pieces: list[bytes], page: int, seed: int) -> None:
    sender, receiver = SendingSide(pieces, page), ReceivingSide()
    run(sender, receiver, seed)
    assert sender.delivered is not None
    assert bytes(receiver.file) == sender.content
    check_commit(sender, receiver)
    assert len(sender.sent) == len(set(pieces))  # equal chunks travel once
    assert sender.machine.bytes_skipped == len(sender.content) - sum(map(len, set(pieces)))


@given(PIECES, st.integers(1, 20), st.integers(0, 2**32), st.integers(0, 200))
def test_a_link_that_ends_anywhere_leaves_no_wrong_file(
    pieces: list[bytes], page: int, seed: int, cut_after: int
) -> None:
    sender, receiver = SendingSide(pieces, page), ReceivingSide()
    run(sender, receiver, seed, cut_after=cut_after)
    check_commit(sender, receiver)
    assert sender.failed is None
    assert receiver.failed is None


@given(PIECES, st.integers(1, 5), st.integers(0, 2**32), st.data())
def test_changed_bytes_never_become_a_file(
    pieces: list[bytes], page: int, seed: int, data: st.DataObject
) -> None:
    sender, receiver = SendingSide(pieces, page), ReceivingSide()
    target = data.draw(st.integers(0, 30))
    count = -1

    def change(body: bytes) -> bytes:
        nonlocal count
        count += 1
        if count != target:
            return body
        changed = bytearray(body)
        changed[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
        return bytes(changed)

    run(sender, receiver, seed, change=change)
    check_commit(sender, receiver)
    if receiver.committed is not None and sender.delivered is None and target <= count:
        # Only what the receipt names may differ: the sender notices, or nothing that counts was changed.
        assert sender.failed is None or "receipt" in sender.failed.error.message


FRAMES = st.lists(
    st.binary(max_size=60)
    | st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(0, 11), st.binary()),
    max_size=20,
)


@given(PIECES, FRAMES, st.integers(0, 12))
def test_a_hostile_sender_only_ends_its_own_transfer(
    pieces: list[bytes], frames: list[bytes], at: int
) -> None:
    sender, receiver = SendingSide(pieces, 3), ReceivingSide()
    script: Channel = deque()
    honest: Channel = deque()
    while sender.step(honest) or receiver.step(script):  # an honest start, then anything
        script.extend(sender.outbox)
        honest.extend(receiver.outbox)
        sender.outbox.clear()
        receiver.outbox.clear()
        at -= 1
        if at < 0:
            break
    inbox: Channel = deque([*script, *frames])
    while receiver.step(inbox):
        pass
    check_commit(sender, receiver)


@given(PIECES, FRAMES, st.integers(0, 12))
def test_a_hostile_receiver_earns_no_delivery(pieces: list[bytes], frames: list[bytes], at: int) -> None:
    sender, receiver = SendingSide(pieces, 3), ReceivingSide()
    forward: Channel = deque()
    back: Channel = deque()
    while at > 0 and (sender.step(back) or receiver.step(forward)):
        forward.extend(sender.outbox)
        back.extend(receiver.outbox)
        sender.outbox.clear()
        receiver.outbox.clear()
        at -= 1
    back.extend(frames)
    while sender.step(back):
        pass
    if sender.delivered is not None:
        assert receiver.committed is not None
        assert bytes(receiver.file) == sender.content
    assert len(sender.sent) == len(set(sender.sent))
