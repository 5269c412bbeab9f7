"""The answer to a handshake: pending, approve, reject, confirm."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli import wording
from comity.cli.asking import unconfirmed
from comity.cli.commands import command
from comity.cli.output import Output, columns
from comity.control import (
    ApproveRequest,
    ApproveResult,
    ConfirmRequest,
    ConfirmResult,
    PendingRequest,
    PendingResult,
    RejectRequest,
    RejectResult,
)
from comity.identity.fingerprint import Fingerprint
from comity.sdk import trust as sdk
from comity.sdk.client import Client


@command("pending", example="comity pending")
@click.option("--full", is_flag=True, help="Every request in full, also where several wait.")
@click.pass_obj
def pending(output: Output, full: bool) -> None:
    """Show the handshakes that wait for your answer.

    What you approve next is what you were shown here, and nothing that came later.
    """
    result = sdk.pending(Client())
    output.show(result, _waiting(result, full))
    if len(result.pending) > 1 and not full:
        output.note("Read them in full before you approve: comity pending --full")


@command("approve", example="comity approve 1:0001.0000.0010 --allow exchange")
@click.argument("peer")
@click.option(
    "--allow",
    metavar="SERVICES",
    help="What may be used: exchange,events,forward; if not given, the first two.",
)
@click.option("--digest", metavar="DIGEST", help="The request that you read, as pending --json names it.")
@click.option("--fingerprint", metavar="FP", help="The fingerprint that your partner read to you.")
@click.pass_obj
def approve(
    output: Output, peer: str, allow: str | None, digest: str | None, fingerprint: str | None
) -> None:
    """Approve PEER's handshake as pending showed it. With this the agreement exists."""
    services = None if allow is None else tuple(filter(None, map(str.strip, allow.split(","))))
    request = ApproveRequest(peer=peer, allow=services, digest=digest, fingerprint=fingerprint)
    result = sdk.approve(Client(), request)
    output.show(result, _approved(result))


@command("reject", example='comity reject 1:0001.0000.0010 "Not our study"')
@click.argument("peer")
@click.argument("why")
@click.pass_obj
def reject(output: Output, peer: str, why: str) -> None:
    """Reject PEER's handshake. PEER is told WHY."""
    result = sdk.reject(Client(), RejectRequest(peer=peer, reason=why))
    output.show(result, _rejected(result))


@command("confirm", example='comity confirm lab-b-trainer "5a2f 90c4 ..."')
@click.argument("peer")
@click.argument("fingerprint", nargs=-1, required=True)
@click.pass_obj
def confirm(output: Output, peer: str, fingerprint: tuple[str, ...]) -> None:
    """Record that you compared PEER's FINGERPRINT, all 64 digits, with what your partner read to you."""
    result = sdk.confirm(Client(), ConfirmRequest(peer=peer, fingerprint=" ".join(fingerprint)))
    output.show(result, _confirmed(result))


def _waiting(result: PendingResult, full: bool) -> Iterator[str]:
    several = len({request.network for request in result.pending}) > 1
    if not result.pending:
        yield "No handshakes wait for your answer."
    elif full or len(result.pending) == 1:
        for request in result.pending:
            yield from _in_full(request)
    else:
        yield from columns(
            [
                (
                    f"{request.address} ({request.hostname}{f'@{request.network}' if several else ''})",
                    f'— "{request.justification}"',
                )
                for request in result.pending
            ],
            gap=" ",
        )


def _in_full(request: PendingRequest) -> Iterator[str]:
    fingerprint = Fingerprint.parse(request.fingerprint)
    compared = request.verified == "fingerprint"
    yield f"{request.address} ({request.hostname})"
    yield f'  Justification: "{request.justification}"'
    yield f"  Signed by: {fingerprint.short} (verified{', fingerprint confirmed' if compared else ''})"
    yield f"  Fingerprint: {fingerprint.grouped}"
    if request.predecessor:
        old = Fingerprint.parse(request.predecessor)
        yield f"  Follows: {old.short}, a key that you trust, which signed that this one takes its place"
    if not compared:
        yield "  Identity: unconfirmed; have your partner read the fingerprint to you by phone"
    claims = (request.requested_by, request.organization, request.contact)
    if any(claims):
        yield f"  Asked by: {', '.join(filter(None, claims))} (claimed)"
    yield f"  Until: {wording.moment(request.until)}"
    yield f"  Received: {wording.moment(request.received_at)}"


def _approved(result: ApproveResult) -> Iterator[str]:
    yield f"Trust established with {result.hostname}"
    if result.session:
        yield f"Encrypted tunnel active ({wording.tunnel(result.group, result.cipher)})"
    else:
        yield "The encrypted tunnel comes up when both nodes are online"
    if result.identity != "confirmed":
        yield from unconfirmed(result.hostname, result.fingerprint)


def _rejected(result: RejectResult) -> Iterator[str]:
    yield f"Handshake rejected: {result.hostname} ({result.address})"


def _confirmed(result: ConfirmResult) -> Iterator[str]:
    yield f"Identity confirmed: {result.hostname} ({result.address})"
