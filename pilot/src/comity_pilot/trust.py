"""Trust: handshake, pending, approve, untrust. Standard output has Pilot's lines; what Comity adds goes to
standard error.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli import wording
from comity.cli.commands import command
from comity.cli.output import Output, columns
from comity.control import ApproveRequest, HandshakeRequest, PendingRequest, PendingResult, RevokeRequest
from comity.identity.fingerprint import Fingerprint
from comity.sdk import trust as sdk
from comity.sdk.client import Client


@command("handshake", example='pilotctl handshake lab-b-trainer "Lung cancer study, IRB #2026-0142"')
@click.argument("peer")
@click.argument("why")
@click.pass_obj
def handshake(output: Output, peer: str, why: str) -> None:
    """Ask PEER for an agreement, and say WHY: the justification is signed."""
    result = sdk.handshake(Client(), HandshakeRequest(peer=peer, justification=why))
    if result.status == "approved":
        line = f"Trust established with {result.hostname}"
    elif result.delivered:
        line = "Handshake request sent. Waiting for approval..."
    else:
        line = "Handshake request signed. It will be sent once the registry can be reached."
    output.show(result, [line])
    _unconfirmed(output, result.identity, result.hostname, result.fingerprint)


@command("pending", example="pilotctl pending")
@click.pass_obj
def pending(output: Output) -> None:
    """Show who waits for your answer, and why they ask."""
    result = sdk.pending(Client())
    output.show(result, _waiting(result))
    for request in result.pending:
        if request.verified != "fingerprint":
            output.note(
                f"compare by phone before you approve {request.hostname}:"
                f" {Fingerprint.parse(request.fingerprint).grouped}"
            )


@command("approve", example="pilotctl approve 1:0001.0000.0010")
@click.argument("peer")
@click.pass_obj
def approve(output: Output, peer: str) -> None:
    """Trust PEER, as pending showed it."""
    result = sdk.approve(Client(), ApproveRequest(peer=peer))
    tunnel = "The encrypted tunnel comes up when both nodes are online"
    if result.session:
        tunnel = f"Encrypted tunnel active ({wording.tunnel(result.group, result.cipher)})"
    output.show(result, [f"Trust established with {result.hostname}", tunnel])
    _unconfirmed(output, result.identity, result.hostname, result.fingerprint)


@command("untrust", example="pilotctl untrust 1:0001.0000.0020")
@click.argument("peer")
@click.pass_obj
def untrust(output: Output, peer: str) -> None:
    """End the agreement with PEER, at once."""
    result = sdk.revoke(Client(), RevokeRequest(peer=peer))
    lines = [f"Trust revoked for {result.hostname} ({result.address})"]
    if result.links_closed:
        lines.append("Active tunnel torn down")
    lines.append("Peer notified" if result.notified else "Peer will be told when it next appears")
    output.show(result, lines)


def _waiting(result: PendingResult) -> Iterator[str]:
    if not result.pending:
        yield "No pending requests"
    elif len(result.pending) == 1:
        yield from _block(result.pending[0])
    else:
        rows = [
            (f"{request.address} ({request.hostname})", f'— "{request.justification}"')
            for request in result.pending
        ]
        yield from columns(rows, gap=" ")


def _block(request: PendingRequest) -> Iterator[str]:
    yield f"{request.address} ({request.hostname})"
    yield f'  Justification: "{request.justification}"'
    yield f"  Signed by: {Fingerprint.parse(request.fingerprint).short} (verified)"


def _unconfirmed(output: Output, identity: str, hostname: str, fingerprint: str) -> None:
    if identity != "confirmed":
        output.note(f"identity of {hostname} not confirmed: {Fingerprint.parse(fingerprint).grouped}")
        output.note(f"hint: compare it by phone, then run pilotctl confirm {hostname} FINGERPRINT")
