"""The audit log of this node. Errors: those of ``Client``, and AuditInvalid.

Whatever is written is a new file, mode 0600: evidence tells of people.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from comity import limits
from comity.control import (
    AuditCheckpoint,
    AuditCheckpointRequest,
    AuditExportRequest,
    AuditExportResult,
    AuditLogRequest,
    AuditLogResult,
    AuditProof,
    AuditProveRequest,
    AuditRedactRequest,
    AuditRedactResult,
    AuditVerifyRequest,
    AuditVerifyResult,
    AuditWitnessesResult,
    HandshakeResult,
    TrustedPeer,
)
from comity.errors import FileUnusable, UnknownPeer
from comity.identity.card import Card, parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.text import printable
from comity.sdk import trust
from comity.sdk.client import Client


def log(client: Client, request: AuditLogRequest) -> AuditLogResult:
    """Entries in order. ``request.peer`` may be any PEER argument; UnknownPeer where it names nobody."""
    if request.peer is not None:
        request = dataclasses.replace(request, peer=fingerprint_of(client, request.peer))
    return client.call("audit-log", request, AuditLogResult, wait=limits.CONTROL_SILENCE_SECONDS)


def verify(client: Client, request: AuditVerifyRequest | None = None) -> AuditVerifyResult:
    """Recompute the log, which takes time in proportion to it; ``valid`` and ``problem`` tell."""
    asked = request or AuditVerifyRequest()
    return client.call("audit-verify", asked, AuditVerifyResult, wait=limits.CONTROL_SILENCE_SECONDS)


def prove(client: Client, request: AuditProveRequest) -> AuditProof:
    """That an entry is in the log, or that the log only grew."""
    return client.call("audit-prove", request, AuditProof)


def redact(client: Client, indexes: Sequence[int], reason: str) -> AuditRedactResult:
    """Erase what entries say; that they were there, and that they were erased and why, stays."""
    return client.call("audit-redact", AuditRedactRequest(tuple(indexes), reason), AuditRedactResult)


def export(client: Client, out: str | os.PathLike[str], peer: str | None = None) -> AuditExportResult:
    """Write the log to a new file, or what is about ``peer`` (any PEER argument); FileUnusable, DiskFull."""
    about = None if peer is None else fingerprint_of(client, peer)
    path = Path(out)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise FileUnusable(
            f"{printable(str(path))} is already there", hint="give --out another name"
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise FileUnusable(f"{printable(str(path))} cannot be written: {reason}") from error
    try:
        request = AuditExportRequest(file=client.hand_over(descriptor), peer=about)
        return client.call("audit-export", request, AuditExportResult, wait=limits.CONTROL_SILENCE_SECONDS)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def witnesses(client: Client) -> AuditWitnessesResult:
    """Who countersigns whose log, and which logs contradict themselves."""
    return client.call("audit-witnesses", None, AuditWitnessesResult)


def checkpoint(client: Client, peer: str) -> AuditCheckpoint:
    """The latest head of a partner's log that this node countersigned; ``peer`` is any PEER argument."""
    request = AuditCheckpointRequest(fingerprint_of(client, peer))
    return client.call("audit-checkpoint", request, AuditCheckpoint)


def fingerprint_of(client: Client, text: str) -> str:
    """Whom a PEER argument means: the log names peers by fingerprint, as names change hands and keys don't.
    UnknownPeer.
    """
    is_card = text.strip().startswith("comity:")
    plain, _, network = (text, "", "") if is_card or "@" not in text else text.rpartition("@")
    named = parse_peer(plain)
    if isinstance(named, Card):
        return str(named.fingerprint)
    if isinstance(named, Fingerprint):
        return str(named)
    known = trust.agreements(client)
    peers: list[TrustedPeer | HandshakeResult] = [*known.trusted, *known.ended, *known.outgoing]
    for peer in peers:
        there = not network or (isinstance(peer, TrustedPeer) and peer.network == network)
        if there and str(named) in (peer.hostname, peer.address):
            return peer.fingerprint
    raise UnknownPeer(
        f"no peer of an agreement is known as {printable(text)}",
        hint="name it by its fingerprint or its card",
    )
