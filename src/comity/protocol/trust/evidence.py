"""The agreement as a file: written by ``comity agreement export``, verified anywhere, offline (SECURITY.md
rule 19).

    {"format": "comity-agreement/1", "request": ENVELOPE, "approval": ENVELOPE, "revocation": ENVELOPE | null}

The file proves that two keys signed these statements about each other. Whose keys they are it cannot prove:
that takes fingerprints which the reader got elsewhere, so ``anchors`` never come from the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from comity import limits
from comity.errors import AgreementInvalid, ComityError
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import PublicKey
from comity.identity.text import printable
from comity.protocol.statements import Approval, HandshakeRequest, Revocation, open_statement, payload_type
from comity.protocol.statements import digest as statement_digest
from comity.protocol.succession import Retirement, open_retirement

FORMAT = "comity-agreement/1"
FILE_BYTES = 8 * limits.STATEMENT_BYTES


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    request: msgspec.Raw
    approval: msgspec.Raw
    revocation: msgspec.Raw  # an envelope, or null


class _Issuer(msgspec.Struct, frozen=True):
    issuer: str


@dataclass(frozen=True)
class Evidence:
    """What a verified agreement file says; ``anchored`` holds the names whose fingerprints the reader
    gave.
    """

    digest: str
    request: HandshakeRequest
    approval: Approval
    revocation: Revocation | Retirement | None
    requester: PublicKey
    approver: PublicKey
    anchored: frozenset[str]

    @property
    def identities(self) -> str:
        """``verified`` only when both parties were anchored."""
        names = {self.request.hostname, self.approval.hostname}
        return "verified" if names <= self.anchored else "unverified"


def write_agreement(request: str, approval: str, revocation: str | None) -> str:
    """The file's text from the envelopes' JSON texts."""
    content = {
        "format": FORMAT,
        "request": json.loads(request),
        "approval": json.loads(approval),
        "revocation": json.loads(revocation) if revocation else None,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def verify_agreement(data: bytes, anchors: Mapping[str, Fingerprint]) -> Evidence:
    """The evidence in ``data``; AgreementInvalid names the first check that failed.

    Checks, in order: form; both signatures under the keys that the statements name; that the approval quotes
    the request's digest and nonce, crosses its keys, and stays within its rendezvous, network, charter and
    end; the revocation, where there is one; then the anchors.
    """
    if len(data) > FILE_BYTES:
        raise AgreementInvalid(f"the file has {len(data)} bytes, more than an agreement can have")
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.format != FORMAT:
            raise AgreementInvalid(f"the file is not a {FORMAT}", hint="upgrade comity, or check the file")
        request_envelope = Envelope.from_json(bytes(file.request))
        approval_envelope = Envelope.from_json(bytes(file.approval))
        requester = _issuer(request_envelope)
        approver = _issuer(approval_envelope)
        request = open_statement(
            request_envelope, HandshakeRequest, issuer=requester, rendezvous=None, network=None, now=None
        )
        approval = open_statement(
            approval_envelope, Approval, issuer=approver, rendezvous=None, network=None, now=None
        )
        _check_pair(request, approval, statement_digest(request))
        digest = approval_envelope.digest
        revocation = _revocation(bytes(file.revocation), request, approval)
    except AgreementInvalid:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AgreementInvalid(f"the file is not an agreement: {printable(str(error), 200)}") from error
    except ComityError as error:
        raise AgreementInvalid(f"the agreement does not verify: {error.message}") from error
    anchored = _anchor({request.hostname: requester, approval.hostname: approver}, anchors)
    return Evidence(digest, request, approval, revocation, requester, approver, anchored)


def _issuer(envelope: Envelope) -> PublicKey:
    """The key that an unverified statement names as its signer: the signature is checked under it next."""
    try:
        return PublicKey.from_hex(msgspec.json.decode(envelope.payload, type=_Issuer).issuer)
    except msgspec.DecodeError as error:
        raise AgreementInvalid(f"a statement names no issuer: {printable(str(error), 200)}") from error


def _check_pair(request: HandshakeRequest, approval: Approval, request_digest: str) -> None:
    checks = (
        (request.issuer != request.subject, "both parties are the same key"),
        (approval.request == request_digest, "the approval quotes another request"),
        (approval.request_nonce == request.nonce, "the approval quotes another nonce"),
        (approval.issuer == request.subject, "the approval is not by the key that was asked"),
        (approval.subject == request.issuer, "the approval is not for the key that asked"),
        (approval.rendezvous == request.rendezvous, "request and approval name different rendezvous"),
        (approval.network == request.network, "request and approval name different networks"),
        (approval.charter == request.charter, "request and approval name different charters"),
        (approval.until <= request.until, "the approval lasts longer than what was asked for"),
        (
            approval.issued <= request.expires + limits.CLOCK_SKEW,
            "the approval came after the request lapsed",
        ),
        (request.hostname != approval.hostname, "both parties have the same name"),
    )
    for holds, problem in checks:
        if not holds:
            raise AgreementInvalid(problem)


def _revocation(raw: bytes, request: HandshakeRequest, approval: Approval) -> Revocation | Retirement | None:
    """The revocation, if its signer made it after its own half of the agreement: its sequence tells.

    A retirement of either key ends the agreement whenever it was made.
    """
    if raw == b"null":
        return None
    envelope = Envelope.from_json(raw)
    issuer = _issuer(envelope)
    if envelope.payload_type == payload_type(Retirement):
        if issuer.hex not in (request.issuer, request.subject):
            raise AgreementInvalid("the retirement is of another key")
        return open_retirement(issuer, raw.decode())
    said = open_statement(envelope, Revocation, issuer=issuer, rendezvous=None, network=None, now=None)
    if {said.issuer, said.subject} != {request.issuer, request.subject}:
        raise AgreementInvalid("the revocation is by or for another key")
    if (said.rendezvous, said.network) != (request.rendezvous, request.network):
        raise AgreementInvalid("the revocation names another rendezvous or network")
    half = request if said.issuer == request.issuer else approval
    if said.sequence <= half.sequence:
        raise AgreementInvalid("the revocation is older than the agreement")
    return said


def _anchor(parties: Mapping[str, PublicKey], anchors: Mapping[str, Fingerprint]) -> frozenset[str]:
    for name, fingerprint in anchors.items():
        if name not in parties:
            raise AgreementInvalid(
                f"no party of this agreement is named {name}",
                hint=f"the parties are {', '.join(sorted(parties))}",
            )
        if parties[name].fingerprint != fingerprint:
            raise AgreementInvalid(
                f"{name} signed with another key than the fingerprint that was given",
                hint="ask both institutions for their fingerprints (comity card); one of them may be forged",
            )
    return frozenset(anchors)
