"""The audit log of this node. Errors: those of ``Client``, and AuditInvalid."""

from __future__ import annotations

import dataclasses

from comity import limits
from comity.control import (
    AuditLogRequest,
    AuditLogResult,
    AuditVerifyResult,
    HandshakeResult,
    TrustedPeer,
)
from comity.errors import UnknownPeer
from comity.identity.card import Card, parse_peer
from comity.identity.fingerprint import Fingerprint
from comity.identity.text import printable
from comity.sdk import trust
from comity.sdk.client import Client


def log(client: Client, request: AuditLogRequest) -> AuditLogResult:
    """Entries in order. ``request.peer`` may be any PEER argument; UnknownPeer where it names nobody."""
    if request.peer is not None:
        request = dataclasses.replace(request, peer=_fingerprint(client, request.peer))
    return client.call("audit-log", request, AuditLogResult)


def verify(client: Client) -> AuditVerifyResult:
    """Recompute the whole log, which takes time in proportion to it; ``valid`` and ``problem`` tell."""
    return client.call("audit-verify", None, AuditVerifyResult, wait=limits.CONTROL_SILENCE_SECONDS)


def _fingerprint(client: Client, text: str) -> str:
    """The log names peers by fingerprint: names change hands, keys don't."""
    named = parse_peer(text)
    if isinstance(named, Card):
        return str(named.fingerprint)
    if isinstance(named, Fingerprint):
        return str(named)
    known = trust.agreements(client)
    peers: list[TrustedPeer | HandshakeResult] = [*known.trusted, *known.ended, *known.outgoing]
    for peer in peers:
        if str(named) in (peer.hostname, peer.address):
            return peer.fingerprint
    raise UnknownPeer(
        f"no peer of an agreement is known as {printable(text)}",
        hint="name it by its fingerprint or its card",
    )
