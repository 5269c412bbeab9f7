"""An artifact under a charter: what it is, before the guard is asked, and whether it was that, at the end.

The sender reads the open file once more than it would without a charter: digest and format have to be known
before the first byte goes out (SECURITY.md rule 18). The receiver judges by what the offer says and holds the
complete content against it before anything is visible. Who signed it is whoever the signature verifies for:
the sender, or whoever gave it a signature to send along.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import msgspec

from comity.control.exchange import SignArtifactRequest, SignArtifactResult
from comity.errors import (
    ComityError,
    InvalidInput,
    RemoteProtocolError,
    TransferFailed,
    VerificationFailed,
)
from comity.identity.envelope import Envelope
from comity.identity.keys import PublicKey
from comity.policy.charter.formats import format_of
from comity.policy.operation import Operation
from comity.protocol.charter.statements import claimed_issuer
from comity.protocol.exchange.described import Described
from comity.protocol.exchange.events import Commit
from comity.protocol.exchange.layout import equal_edges
from comity.protocol.exchange.manifest import digest_text
from comity.protocol.exchange.messages import Offer
from comity.protocol.statements import ArtifactSignature
from comity.protocol.wire import Count, Digest
from comity.services.exchange.content import Outgoing
from comity.services.exchange.progress import Meter
from comity.services.exchange.running_digests import RunningDigests
from comity.services.exchange.surroundings import SERVICE, Surroundings
from comity.services.exchange.threads import Threads
from comity.storage.parts import Part


def sign(around: Surroundings, request: SignArtifactRequest) -> SignArtifactResult:
    """This node stands for an artifact, for whoever sends it. InvalidInput."""
    try:
        msgspec.convert(request.digest, Digest)
        msgspec.convert(request.bytes, Count)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"nothing has that digest and size: {error}") from error
    with around.db.transaction():
        own = around.notary.public  # for the first network
        _, envelope = around.notary.declare(
            ArtifactSignature, own, digest=request.digest, bytes=request.bytes
        )
        around.audit.append("artifact.signed", digest=request.digest, bytes=request.bytes)
    fingerprint = str(around.notary.public.fingerprint)
    return SignArtifactResult(request.digest, request.bytes, fingerprint, envelope.to_json().decode())


async def describe(
    around: Surroundings,
    threads: Threads,
    content: Outgoing,
    digests: RunningDigests,
    name: str,
    peer: PublicKey,
    signature: str | None = None,
) -> Described | None:
    """What is about to be sent, signed with this node's key where no other ``signature`` is given; None where
    no charter governs what ``peer`` is sent. ``digests``, which begin, are complete then. FileUnusable,
    FileChanged, InvalidInput.
    """
    if not around.guard.governs(peer):
        return None
    stop = threading.Event()
    reading = threads.begin(lambda: _read(content, digests, name, stop))
    try:
        digest, kind = await asyncio.shield(reading)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([reading])
        reading.exception()  # seen: the cancellation is what counts
        raise
    if signature is not None:
        described = Described(digest=digest, format=kind, signature=signature)
        try:
            if _signer(around, content.size, described, peer) is None:
                raise RemoteProtocolError("the artifact's signature is empty")
        except RemoteProtocolError as error:
            hint = "ask whoever stands for the file to run comity sign-artifact on it"
            raise InvalidInput(error.message, hint=hint) from error
        return described
    _, envelope = around.notary.declare(ArtifactSignature, peer, digest=digest, bytes=content.size)
    return Described(digest=digest, format=kind, signature=envelope.to_json().decode())


def permitted(around: Surroundings, offer: Offer, peer: PublicKey) -> tuple[Offer, Operation]:
    """The offer under the charter that allows it, if one governs, and what was asked; Denied."""
    content = offer.content
    operation = Operation(
        kind="send",
        peer=peer,
        service=SERVICE,
        agreement=offer.agreement,
        name=offer.name,
        bytes=offer.bytes,
        transfer=offer.transfer,
        digest=content.digest if content else None,
        format=content.format if content else None,
        signer=_signer(around, offer.bytes, content, peer) if content else None,
    )
    charter = around.guard.require(operation).charter
    return msgspec.structs.replace(offer, charter=charter), replace(operation, charter=charter)


def settle_quota(
    around: Surroundings, offer: Offer, peer: PublicKey, meter: Meter, *, begun: bool, fresh: bool
) -> None:
    """What a charter has reserved for a transfer that stopped: consumed once all was sent, free again where
    nothing ever was; else it stays reserved for this transfer to go on.
    """
    if begun and meter.done >= meter.size:
        around.guard.consumed("send", peer, offer.transfer)
    elif fresh and not meter.sent:
        around.guard.released("send", peer, offer.transfer)


def receiving(around: Surroundings, offer: Offer, peer: PublicKey) -> Operation:
    """The question about what comes in. RemoteProtocolError where its signature does not verify."""
    content = offer.content if around.guard.governs(peer) else None
    return Operation(
        kind="receive",
        peer=peer,
        service=SERVICE,
        agreement=offer.agreement,
        charter=offer.charter,
        name=offer.name,
        bytes=offer.bytes,
        transfer=offer.transfer,
        digest=content.digest if content else None,
        format=content.format if content else None,
        signer=_signer(around, offer.bytes, content, peer) if content else None,
    )


def check_content(offer: Offer, part: Part, commit: Commit, tick: Callable[[], None]) -> None:
    """VerificationFailed unless what arrived is what the offer said, where it said anything."""
    content = offer.content
    if content is None:
        return
    if commit.digest != content.digest:
        raise VerificationFailed("the artifact is another one than the offer said")

    def read(offset: int, length: int) -> bytes:
        data = bytearray(min(length, offer.bytes - offset))
        part.read_into(offset, memoryview(data))
        return bytes(data)

    found = "" if offer.listing else format_of(read, offer.bytes, offer.name, tick) or ""
    if found != content.format:
        raise VerificationFailed(
            f"the artifact is {found or 'of no known format'}, and not what the offer said"
        )


def _read(content: Outgoing, digests: RunningDigests, name: str, stop: threading.Event) -> tuple[str, str]:
    """Digest and format of a whole artifact. What is hashed here is not hashed again to be sent."""
    edges = equal_edges(content.size)
    buffer = memoryview(bytearray(edges.longest))
    for offset, length in edges:
        if stop.is_set():
            raise TransferFailed("it was cancelled here")
        content.read_into(offset, buffer[:length])
        content.check_unchanged()
        digests.add(buffer[:length])

    def read(offset: int, length: int) -> bytes:
        data = bytearray(max(0, min(length, content.size - offset)))
        content.read_into(offset, memoryview(data))
        return bytes(data)

    # A folder has no format: files that are harmless one after another need not be so one by one.
    kind = "" if content.listing else format_of(read, content.size, name) or ""
    content.check_unchanged()
    return digest_text(digests.whole()), kind


def _signer(around: Surroundings, size: int, content: Described, peer: PublicKey) -> str | None:
    """The fingerprint of the key that signed exactly these bytes, if any did, for the network of ``peer``."""
    if not content.signature:
        return None
    try:
        envelope = Envelope.from_json(content.signature.encode())
        key = claimed_issuer(envelope.payload)
        said = around.notary.declared(envelope, ArtifactSignature, key, among=peer)
    except ComityError as error:
        raise RemoteProtocolError(f"the artifact's signature is not valid: {error.message}") from error
    if (said.digest, said.bytes) != (content.digest, size):
        raise RemoteProtocolError("the artifact's signature is for another artifact")
    return str(key.fingerprint)
