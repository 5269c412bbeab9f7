"""The sender's machine against receivers that lie, hurry, repeat themselves or give up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from comity import limits
from comity.errors import (
    ComityError,
    DiskFull,
    FileChanged,
    LocalProtocolError,
    NameRefused,
    PeerRefused,
    RemoteProtocolError,
    TransferFailed,
    VerificationFailed,
)
from comity.identity.keys import Identity
from comity.protocol.exchange.events import (
    ContentHashed,
    Delivered,
    Failed,
    Hashed,
    MessageReceived,
    Send,
    SendChunk,
    SenderOutput,
    Started,
    Trouble,
)
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
from comity.protocol.exchange.receipt import Parties
from comity.protocol.exchange.sender import Need, Sender, State
from tests.exchanges import (
    NOW,
    OTHER_AGREEMENT,
    PARTIES,
    SENDER,
    TRANSFER,
    digest_of,
    entry_for,
    manifest_for,
    offer_for,
    signed_receipt,
)

PIECES = (b"first", b"second", b"first")
ALL = Want(3, (Range(0, 2),))


def tell(machine: Sender, message: Message) -> list[SenderOutput]:
    return machine.handle(MessageReceived(encode_message(message)), NOW)


def needs(machine: Sender) -> Need:
    return machine.needs


def sent(outputs: Sequence[SenderOutput]) -> list[Message]:
    return [parse_message(output.body) for output in outputs if isinstance(output, Send)]


def failure(outputs: Sequence[SenderOutput]) -> Failed:
    failed = [output for output in outputs if isinstance(output, Failed)]
    assert len(failed) == 1
    return failed[0]


def accepted(pieces: Sequence[bytes] = PIECES) -> Sender:
    machine = Sender(offer_for(pieces), PARTIES)
    machine.handle(Started(), NOW)
    assert tell(machine, Accept(transfer=TRANSFER)) == []
    return machine


def hashed(pieces: Sequence[bytes] = PIECES) -> Sender:
    """Every page and the content's digest are out, no answer has come."""
    machine = accepted(pieces)
    for piece in pieces:
        machine.handle(Hashed((entry_for(piece),)), NOW)
    machine.handle(ContentHashed(digest_of(b"".join(pieces))), NOW)
    return machine


def closed(pieces: Sequence[bytes] = PIECES) -> Sender:
    machine = hashed(pieces)
    tell(machine, Want(len(pieces), ()))
    assert machine.state is State.CLOSED
    return machine


def test_chunks_follow_their_pages_where_all_was_asked_for() -> None:
    machine = Sender(offer_for(PIECES), PARTIES)
    machine.handle(Started(), NOW)
    tell(machine, Accept(transfer=TRANSFER, all=True))
    offset = 0
    for index, piece in enumerate(PIECES):
        page, chunk = machine.handle(Hashed((entry_for(piece),)), NOW)
        assert sent([page]) == [Page(index, (entry_for(piece),))]
        assert chunk == SendChunk(index, offset, len(piece))
        offset += len(piece)
    (close,) = sent(machine.handle(ContentHashed(digest_of(b"".join(PIECES))), NOW))
    assert isinstance(close, Close)
    assert machine.state is State.CLOSED


def test_who_asked_for_all_asks_for_nothing_more() -> None:
    machine = Sender(offer_for(PIECES), PARTIES)
    machine.handle(Started(), NOW)
    tell(machine, Accept(transfer=TRANSFER, all=True))
    machine.handle(Hashed((entry_for(PIECES[0]),)), NOW)
    assert isinstance(failure(tell(machine, Want(1, (Range(0, 1),)))).error, RemoteProtocolError)


def test_a_transfer_runs_to_its_receipt() -> None:
    offer = offer_for(PIECES)
    machine = Sender(offer, PARTIES)
    assert needs(machine) is Need.NOTHING
    assert sent(machine.handle(Started(), NOW)) == [offer]
    assert needs(machine) is Need.PEER
    tell(machine, Accept(transfer=TRANSFER))
    assert needs(machine) is Need.CONTENT
    pages = [sent(machine.handle(Hashed((entry_for(piece),)), NOW)) for piece in PIECES]
    assert pages == [[Page(index, (entry_for(piece),))] for index, piece in enumerate(PIECES)]
    assert machine.handle(ContentHashed(digest_of(b"".join(PIECES))), NOW) == []
    assert needs(machine) is Need.PEER
    assert tell(machine, Want(1, (Range(0, 1),))) == [SendChunk(0, 0, 5)]
    assert machine.bytes_skipped == 0
    assert tell(machine, Want(2, (Range(1, 1),))) == [SendChunk(1, 5, 6)]
    assert tell(machine, Working(3)) == []
    manifest = manifest_for(offer, PIECES).total_digest
    closing = Close(digest=digest_of(b"".join(PIECES)), manifest=manifest)
    assert sent(tell(machine, Want(3, ()))) == [closing]
    assert machine.bytes_skipped == 5
    receipt = signed_receipt(offer, manifest, closing.digest)
    (delivered,) = tell(machine, SignedReceipt(receipt))
    assert isinstance(delivered, Delivered)
    assert delivered.receipt.manifest == manifest
    assert delivered.envelope.to_json() == receipt
    assert needs(machine) is Need.NOTHING


def test_an_empty_artifact_needs_no_page() -> None:
    machine = accepted(())
    assert needs(machine) is Need.CONTENT
    (closing,) = sent(machine.handle(ContentHashed(digest_of(b"")), NOW))
    assert isinstance(closing, Close)
    assert closing.digest == digest_of(b"")


def test_pages_run_ahead_only_so_far() -> None:
    pieces = [bytes([index]) for index in range(limits.MANIFEST_AHEAD_PAGES + 2)]
    machine = accepted(pieces)
    for piece in pieces[: limits.MANIFEST_AHEAD_PAGES]:
        assert needs(machine) is Need.CONTENT
        machine.handle(Hashed((entry_for(piece),)), NOW)
    assert needs(machine) is Need.PEER
    with pytest.raises(LocalProtocolError):
        machine.handle(Hashed((entry_for(pieces[-1]),)), NOW)
    tell(machine, Want(1, ()))
    assert needs(machine) is Need.CONTENT


def test_a_chunk_may_be_wanted_after_the_close() -> None:
    machine = closed()
    assert tell(machine, Want(3, (Range(1, 1),))) == [SendChunk(1, 5, 6)]
    assert machine.state is State.CLOSED


@pytest.mark.parametrize(
    ("code", "kind"),
    [("disk_full", DiskFull), ("name_refused", NameRefused), ("denied", PeerRefused), ("what", PeerRefused)],
)
def test_a_refusal_carries_its_reason(code: str, kind: type[ComityError]) -> None:
    machine = Sender(offer_for(PIECES), PARTIES)
    machine.handle(Started(), NOW)
    failed = failure(tell(machine, Refuse(code=code, message="because", hint="do this")))
    assert type(failed.error) is kind
    assert failed.refused
    assert failed.error.message == "the peer refused: because"
    assert failed.error.hint == "do this"


@pytest.mark.parametrize(("code", "kind"), [("disk_full", DiskFull), ("transfer_failed", TransferFailed)])
@pytest.mark.parametrize("make", [accepted, hashed, closed])
def test_the_peer_may_give_up_at_any_time(make: object, code: str, kind: type[ComityError]) -> None:
    machine = make()  # type: ignore[operator]  # one of the functions above
    outputs = tell(machine, Fail(code=code, message="because"))
    assert type(failure(outputs).error) is kind
    assert sent(outputs) == []
    assert machine.state is State.FAILED


def test_local_trouble_is_told_to_the_peer() -> None:
    machine = hashed()
    outputs = machine.handle(Trouble(FileChanged("the file changed while it was sent")), NOW)
    (said,) = sent(outputs)
    assert isinstance(said, Fail)
    assert said.code == "file_changed"
    assert isinstance(failure(outputs).error, FileChanged)


@pytest.mark.parametrize(
    "message",
    [
        Want(4, ()),  # more than it was told of
        Want(3, (Range(0, 1), Range(2, 2))),  # beyond what it judged
        Working(2**64 - 1),
        SignedReceipt(b"{}"),
        Accept(transfer=TRANSFER),
        Refuse(code="denied", message="late"),
        Page(0, (entry_for(b"x"),)),
        Close(digest=digest_of(b""), manifest=digest_of(b"")),
        offer_for(PIECES),
    ],
)
def test_messages_out_of_place_end_the_transfer(message: Message) -> None:
    machine = hashed()
    outputs = tell(machine, message)
    if isinstance(message, Working):
        assert outputs == []
        return
    assert isinstance(failure(outputs).error, RemoteProtocolError)
    assert isinstance(sent(outputs)[0], Fail)


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\xff", b"\x02{}", b"\x06" + bytes(20), b"\x02" + b"[" * 5000]
)
def test_garbage_ends_the_transfer(body: bytes) -> None:
    machine = Sender(offer_for(PIECES), PARTIES)
    machine.handle(Started(), NOW)
    assert isinstance(failure(machine.handle(MessageReceived(body), NOW)).error, RemoteProtocolError)


def test_an_accept_of_another_transfer_ends_it() -> None:
    machine = Sender(offer_for(PIECES), PARTIES)
    machine.handle(Started(), NOW)
    assert isinstance(failure(tell(machine, Accept(transfer="00" * 16))).error, RemoteProtocolError)


def test_no_chunk_is_sent_twice() -> None:
    machine = hashed()
    tell(machine, Want(1, (Range(0, 1),)))
    assert isinstance(failure(tell(machine, Want(2, (Range(0, 2),)))).error, RemoteProtocolError)


def test_judging_never_goes_back() -> None:
    machine = hashed()
    tell(machine, Want(2, ()))
    assert isinstance(failure(tell(machine, Want(1, ()))).error, RemoteProtocolError)


def test_a_receiver_that_works_for_ever_is_given_up() -> None:
    machine = closed()
    for done in range(limits.WORKING_MOST):
        assert tell(machine, Working(done)) == []
    assert isinstance(failure(tell(machine, Working(0))).error, RemoteProtocolError)


STRANGER = Identity.generate()


def forged(machine: Sender, what: str) -> bytes:
    offer, manifest = machine.offer, machine.manifest.total_digest
    digest = digest_of(b"".join(PIECES))
    fields = {
        "agreement": OTHER_AGREEMENT,
        "charter": OTHER_AGREEMENT,
        "nonce": "00" * 32,
        "bytes": offer.bytes + 1,
    }
    if what in fields:
        plain = {name: getattr(offer, name) for name in offer.__struct_fields__}
        return signed_receipt(Offer(**{**plain, what: fields[what]}), manifest, digest)
    match what:
        case "manifest":
            return signed_receipt(offer, digest_of(b"other"), digest)
        case "digest":
            return signed_receipt(offer, manifest, digest_of(b"other"))
        case "signer":
            return signed_receipt(offer, manifest, digest, by=STRANGER)
        case "issuer":
            own = Parties(SENDER.public, STRANGER.public, PARTIES.rendezvous, 1)
            return signed_receipt(offer, manifest, digest, by=STRANGER, parties=own)
        case "subject":
            own = Parties(STRANGER.public, PARTIES.receiver, PARTIES.rendezvous, 1)
        case "rendezvous":
            own = Parties(SENDER.public, PARTIES.receiver, STRANGER.public.fingerprint, 1)
        case _:
            own = Parties(SENDER.public, PARTIES.receiver, PARTIES.rendezvous, 2)
    return signed_receipt(offer, manifest, digest, parties=own)


@pytest.mark.parametrize(
    "what",
    [
        *("agreement", "charter", "nonce", "bytes", "manifest", "digest"),
        *("signer", "issuer", "subject", "rendezvous", "network"),
    ],
)
def test_a_receipt_for_anything_else_is_refused(what: str) -> None:
    machine = closed()
    outputs = tell(machine, SignedReceipt(forged(machine, what)))
    assert isinstance(failure(outputs).error, VerificationFailed)
    assert isinstance(sent(outputs)[0], Fail)
    assert machine.state is State.FAILED


def test_a_receipt_from_another_time_is_refused() -> None:
    for now in (NOW - 2 * limits.CLOCK_SKEW, NOW + 2 * limits.RECEIPT_LIFETIME):
        machine = closed()
        body = signed_receipt(machine.offer, machine.manifest.total_digest, digest_of(b"".join(PIECES)))
        outputs = machine.handle(MessageReceived(encode_message(SignedReceipt(body))), now)
        assert isinstance(failure(outputs).error, VerificationFailed)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"x" * 100])
def test_a_receipt_that_is_none_is_refused(data: bytes) -> None:
    outputs = tell(closed(), SignedReceipt(data))
    assert isinstance(failure(outputs).error, VerificationFailed)


def test_what_was_not_offered_cannot_be_hashed() -> None:
    machine = accepted()
    with pytest.raises(LocalProtocolError):
        machine.handle(Hashed((entry_for(b"x" * 100),)), NOW)
    with pytest.raises(LocalProtocolError):
        accepted().handle(ContentHashed(digest_of(b"")), NOW)


def test_an_ended_transfer_takes_no_more_events() -> None:
    machine = hashed()
    machine.handle(Trouble(FileChanged("changed")), NOW)
    with pytest.raises(LocalProtocolError):
        tell(machine, ALL)
