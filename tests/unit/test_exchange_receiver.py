"""The receiver's machine against senders that lie, overrun, repeat themselves or stop early."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from comity import limits
from comity.errors import (
    ComityError,
    Denied,
    DiskFull,
    FileChanged,
    LocalProtocolError,
    NameRefused,
    RemoteProtocolError,
    TooLarge,
    TransferFailed,
    VerificationFailed,
    VersionMismatch,
)
from comity.protocol.exchange.events import (
    Admitted,
    ChunkArrived,
    Commit,
    Committed,
    ContentDigest,
    CopyChunk,
    Declined,
    Failed,
    Judge,
    KeepChunk,
    MessageReceived,
    Received,
    ReceiverOutput,
    Send,
    Trouble,
    VerifyContent,
)
from comity.protocol.exchange.manifest import Entry
from comity.protocol.exchange.messages import (
    Accept,
    Close,
    Fail,
    Message,
    Offer,
    Page,
    Range,
    Refuse,
    SignedReceipt,
    Want,
    Working,
    encode_message,
    parse_message,
)
from comity.protocol.exchange.receiver import Receiver, State
from tests.exchanges import NOW, TRANSFER, digest_of, entry_for, manifest_for, offer_for

PIECES = (b"first", b"second", b"first")
OFFER = offer_for(PIECES)
WHOLE = digest_of(b"".join(PIECES))
MANIFEST = manifest_for(OFFER, PIECES).total_digest
CLOSE = Close(digest=WHOLE, manifest=MANIFEST)


def tell(machine: Receiver, message: Message) -> list[ReceiverOutput]:
    return machine.handle(MessageReceived(encode_message(message)), NOW)


def give(machine: Receiver, index: int, content: bytes) -> list[ReceiverOutput]:
    entry = entry_for(content)
    return machine.handle(ChunkArrived(index, entry.length, entry.digest), NOW)


def page(first: int, *pieces: bytes) -> Page:
    return Page(first, tuple(entry_for(piece) for piece in pieces))


def sent(outputs: Sequence[ReceiverOutput]) -> list[Message]:
    return [parse_message(output.body) for output in outputs if isinstance(output, Send)]


def failure(outputs: Sequence[ReceiverOutput]) -> Failed:
    failed = [output for output in outputs if isinstance(output, Failed)]
    assert len(failed) == 1
    return failed[0]


def broke_off(machine: Receiver, outputs: Sequence[ReceiverOutput], kind: type[ComityError]) -> None:
    assert isinstance(failure(outputs).error, kind)
    assert isinstance(sent(outputs)[0], Fail)
    assert not [output for output in outputs if isinstance(output, KeepChunk | CopyChunk | Commit)]
    assert machine.state is State.FAILED


def accepted(offer: Offer = OFFER) -> Receiver:
    machine = Receiver()
    assert tell(machine, offer) == [Judge(offer)]
    assert sent(machine.handle(Admitted(), NOW)) == [Accept(transfer=TRANSFER, lanes=limits.LANES_MOST)]
    return machine


def filled() -> Receiver:
    machine = accepted()
    tell(machine, page(0, *PIECES))
    give(machine, 0, PIECES[0])
    give(machine, 1, PIECES[1])
    return machine


def test_a_transfer_runs_to_its_receipt() -> None:
    machine = accepted()
    assert sent(tell(machine, page(0, PIECES[0], PIECES[1]))) == [Want(2, (Range(0, 2),))]
    assert give(machine, 0, PIECES[0]) == [KeepChunk(0, 5)]
    outputs = tell(machine, page(2, PIECES[2]))
    assert sent(outputs) == [Want(3, ())]
    assert outputs[1:] == [CopyChunk(0, 11, 5)]
    assert give(machine, 1, PIECES[1]) == [KeepChunk(5, 6)]
    assert tell(machine, CLOSE) == [VerifyContent()]
    assert machine.handle(ContentDigest(WHOLE), NOW) == [Commit(MANIFEST, WHOLE)]
    outputs = machine.handle(Committed(b"receipt"), NOW)
    assert sent(outputs) == [SignedReceipt(b"receipt")]
    assert outputs[-1] == Received()


def test_equal_chunks_are_asked_for_once_and_copied() -> None:
    zero = b"0" * 10
    machine = accepted(offer_for([zero] * 6))
    assert sent(tell(machine, page(0, *[zero] * 4))) == [Want(4, (Range(0, 1),))]
    assert sent(tell(machine, page(4, zero))) == [Want(5, ())]
    outputs = give(machine, 0, zero)
    assert outputs == [KeepChunk(0, 10), *(CopyChunk(0, index * 10, 10) for index in (1, 2, 3, 4))]
    assert tell(machine, page(5, zero))[1:] == [CopyChunk(0, 50, 10)]


def test_an_empty_artifact_needs_no_page() -> None:
    offer = offer_for(())
    machine = accepted(offer)
    close = Close(digest=digest_of(b""), manifest=manifest_for(offer, ()).total_digest)
    assert tell(machine, close) == [VerifyContent()]
    assert machine.handle(ContentDigest(digest_of(b"")), NOW) == [Commit(close.manifest, close.digest)]


def changed(**fields: object) -> Offer:
    return msgspec.structs.replace(OFFER, **fields)


@pytest.mark.parametrize(
    ("offer", "kind"),
    [
        (changed(name="../../x"), NameRefused),
        (changed(name="/etc/x"), NameRefused),
        (changed(name="a\x1b[2Jb"), NameRefused),
        (changed(name=""), NameRefused),
        (changed(bytes=limits.ARTIFACT_BYTES + 1), TooLarge),
        (changed(chunks=limits.MANIFEST_CHUNKS + 1, bytes=2**40), TooLarge),
        (changed(chunks=17), RemoteProtocolError),
        (changed(chunks=0), RemoteProtocolError),
        (changed(bytes=0), RemoteProtocolError),
        (changed(kind="directory"), VersionMismatch),
    ],
)
def test_offers_that_cannot_be_are_refused(offer: Offer, kind: type[ComityError]) -> None:
    machine = Receiver()
    outputs = tell(machine, offer)
    assert isinstance(failure(outputs).error, kind)
    assert failure(outputs).refused
    assert isinstance(sent(outputs)[0], Refuse)
    assert machine.state is State.REFUSED


@pytest.mark.parametrize("error", [Denied("exchange is not allowed"), DiskFull("no room")])
def test_a_declined_offer_is_refused_with_its_reason(error: ComityError) -> None:
    machine = Receiver()
    tell(machine, OFFER)
    outputs = machine.handle(Declined(error), NOW)
    (said,) = sent(outputs)
    assert isinstance(said, Refuse)
    assert (said.code, said.message) == (error.code, error.message)
    assert failure(outputs).error is error


@pytest.mark.parametrize(
    "message",
    [page(0, b"first"), CLOSE, Accept(transfer=TRANSFER), Want(0, ()), SignedReceipt(b""), Working(1)],
)
def test_a_stream_begins_with_an_offer(message: Message) -> None:
    machine = Receiver()
    broke_off(machine, tell(machine, message), RemoteProtocolError)


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x01{}", b"\x01" + b"[" * 5000, b"\x04", b"\xff" * 9])
@pytest.mark.parametrize("make", [Receiver, accepted])
def test_garbage_ends_the_transfer(make: object, body: bytes) -> None:
    machine = make()  # type: ignore[operator]  # one of the two above
    broke_off(machine, machine.handle(MessageReceived(body), NOW), RemoteProtocolError)


@pytest.mark.parametrize("message", [OFFER, Accept(transfer=TRANSFER), Want(0, ()), SignedReceipt(b"")])
def test_messages_out_of_place_end_the_transfer(message: Message) -> None:
    machine = accepted()
    broke_off(machine, tell(machine, message), RemoteProtocolError)


@pytest.mark.parametrize(
    "second",
    [
        page(0, *PIECES[:2]),  # again
        page(1, PIECES[1]),  # overlapping
        page(3, PIECES[2]),  # leaving one out
        page(2, PIECES[2], b"x"),  # one too many
        page(2, b"firs"),  # too short for the total
        page(2, b"firsts"),  # too long
        Page(2, (Entry(0, bytes(32)),)),
        Page(2, (Entry(limits.CHUNK_BYTES + 1, bytes(32)),)),
    ],
)
def test_pages_that_do_not_fit_end_the_transfer(second: Page) -> None:
    machine = accepted()
    tell(machine, page(0, *PIECES[:2]))
    broke_off(machine, tell(machine, second), RemoteProtocolError)


def test_one_digest_has_one_length() -> None:
    machine = accepted()
    lying = Page(0, (Entry(5, bytes(32)), Entry(6, bytes(32)), Entry(5, bytes(32))))
    broke_off(machine, tell(machine, lying), RemoteProtocolError)


def test_pages_must_not_run_ahead_of_chunks() -> None:
    count = 20 * limits.MANIFEST_PAGE_CHUNKS
    for repeated in (False, True):  # all different, or all waiting for the first
        machine = accepted(changed(bytes=count, chunks=count))
        digests = (b"\0" * 32 if repeated else index.to_bytes(32) for index in range(count))
        outputs: list[ReceiverOutput] = []
        for first in range(0, count, limits.MANIFEST_PAGE_CHUNKS):
            entries = tuple(Entry(1, next(digests)) for _ in range(limits.MANIFEST_PAGE_CHUNKS))
            outputs = tell(machine, Page(first, entries))
            if machine.state is State.FAILED:
                break
        broke_off(machine, outputs, RemoteProtocolError)


def test_a_chunk_that_was_not_asked_for_ends_the_transfer() -> None:
    machine = accepted()
    broke_off(machine, give(machine, 0, PIECES[0]), RemoteProtocolError)  # before its page
    for index in (2, 3, 2**64 - 1):  # a copy, and what there is none of
        machine = accepted()
        tell(machine, page(0, *PIECES))
        broke_off(machine, give(machine, index, PIECES[2]), RemoteProtocolError)


def test_a_chunk_that_comes_twice_ends_the_transfer() -> None:
    machine = accepted()
    tell(machine, page(0, *PIECES))
    give(machine, 0, PIECES[0])
    broke_off(machine, give(machine, 0, PIECES[0]), RemoteProtocolError)


@pytest.mark.parametrize("content", [b"firsT", b"firs", b"firsts", b""])
def test_a_chunk_with_other_bytes_ends_the_transfer(content: bytes) -> None:
    machine = accepted()
    tell(machine, page(0, *PIECES))
    broke_off(machine, give(machine, 0, content), VerificationFailed)


def test_a_close_before_everything_is_there_ends_the_transfer() -> None:
    broke_off(machine := accepted(), tell(machine, CLOSE), RemoteProtocolError)
    machine = accepted()
    tell(machine, page(0, *PIECES))
    broke_off(machine, tell(machine, CLOSE), RemoteProtocolError)
    machine = accepted()
    tell(machine, page(0, *PIECES))
    give(machine, 0, PIECES[0])
    broke_off(machine, tell(machine, CLOSE), RemoteProtocolError)


def test_a_close_with_another_manifest_ends_the_transfer() -> None:
    machine = filled()
    broke_off(machine, tell(machine, Close(digest=WHOLE, manifest=WHOLE)), VerificationFailed)


def test_a_close_with_another_content_ends_the_transfer() -> None:
    machine = filled()
    tell(machine, Close(digest=MANIFEST, manifest=MANIFEST))
    broke_off(machine, machine.handle(ContentDigest(WHOLE), NOW), VerificationFailed)


def test_the_peer_may_give_up() -> None:
    for machine in (accepted(), filled()):
        outputs = tell(machine, Fail(code="file_changed", message="it changed"))
        assert isinstance(failure(outputs).error, FileChanged)
        assert failure(outputs).by_peer
        assert sent(outputs) == []


@pytest.mark.parametrize("stage", ["judging", "receiving", "verifying", "committing"])
def test_local_trouble_is_told_at_every_stage(stage: str) -> None:
    machine = Receiver()
    if stage == "judging":
        tell(machine, OFFER)
    else:
        machine = filled()
    if stage in ("verifying", "committing"):
        tell(machine, CLOSE)
    if stage == "committing":
        machine.handle(ContentDigest(WHOLE), NOW)
    assert machine.state == stage
    broke_off(machine, machine.handle(Trouble(TransferFailed("stopped")), NOW), TransferFailed)


def test_an_ended_transfer_takes_no_more_events() -> None:
    machine = accepted()
    machine.handle(Trouble(DiskFull("full")), NOW)
    with pytest.raises(LocalProtocolError):
        tell(machine, CLOSE)


def test_answers_to_nothing_are_bugs() -> None:
    for event in (Admitted(), ContentDigest(WHOLE), Committed(b"")):
        with pytest.raises(LocalProtocolError):
            Receiver().handle(event, NOW)
