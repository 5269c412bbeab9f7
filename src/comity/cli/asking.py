"""This side's will: handshake, trust, revoke."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity import limits
from comity.cli import wording
from comity.cli.commands import Command, command, seconds
from comity.cli.output import Output
from comity.control import HandshakeRequest, HandshakeResult, RevokeRequest, RevokeResult, TrustResult
from comity.control.amounts import parse_duration
from comity.identity.fingerprint import Fingerprint
from comity.sdk import trust as sdk
from comity.sdk.client import Client


class _Handshake(Command):
    """``--wait`` may stand alone anywhere: a word behind it that is no number is not its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _spelled_out(args))


@command(
    "handshake",
    cls=_Handshake,
    example='comity handshake lab-b-trainer "Lung cancer detection study, IRB #2026-0142" --expires 90d',
)
@click.argument("peer")
@click.argument("why")
@click.option("--as", "requested_by", default="", metavar="WHO", help="Who asks, shown as a claim.")
@click.option("--expires", metavar="90d", help="How long the agreement lasts; a year if not given.")
@click.option("--fingerprint", metavar="FP", help="The peer's fingerprint, where PEER is not a card.")
@click.option(
    "--wait",
    type=seconds,
    default=0.0,
    metavar="[SECONDS]",
    help=f"Wait for the answer; {limits.ANSWER_WAIT_SECONDS} seconds if no number is given.",
)
@click.pass_obj
def handshake(
    output: Output,
    peer: str,
    why: str,
    requested_by: str,
    expires: str | None,
    fingerprint: str | None,
    wait: float,
) -> None:
    """Ask PEER for an agreement, and say WHY: the justification is signed, and an auditor will read it.

    PEER is a card (comity:NAME@...), a hostname or an address. By card nothing is left to trust; by name
    alone the peer is unconfirmed until you compare fingerprints.
    """
    request = HandshakeRequest(
        peer=peer,
        justification=why,
        requested_by=requested_by,
        lifetime_seconds=None if expires is None else parse_duration(expires),
        fingerprint=fingerprint,
        wait_seconds=wait,
    )
    if wait and output.live:
        output.rewrite("Asking, and waiting for the answer...")
    result = sdk.handshake(Client(), request)
    output.show(result, _asked(result))


@command("trust", example="comity trust --json")
@click.pass_obj
def trust(output: Output) -> None:
    """List agreements in force, those that ended, and your requests that wait for an answer."""
    result = sdk.agreements(Client())
    output.show(result, _agreements(result))


@command("revoke", example='comity revoke lab-b-trainer --reason "The study is over"')
@click.argument("peer")
@click.option("--reason", default="", metavar="TEXT", help="Why; the peer is told.")
@click.pass_obj
def revoke(output: Output, peer: str, reason: str) -> None:
    """End the agreement with PEER, at once. Either side can; it can't be undone, only agreed anew."""
    result = sdk.revoke(Client(), RevokeRequest(peer=peer, reason=reason))
    output.show(result, _revoked(result))


def unconfirmed(hostname: str, fingerprint: str) -> Iterator[str]:
    """What is left to do where only the rendezvous vouches for a key (SECURITY.md rule 5)."""
    yield f"Identity: unconfirmed. The rendezvous says that {hostname} has this fingerprint:"
    yield f"  {Fingerprint.parse(fingerprint).grouped}"
    yield "Have your partner read theirs to you by phone (comity card). If it is the same:"
    yield f"  comity confirm {hostname} FINGERPRINT"


def _spelled_out(args: list[str]) -> list[str]:
    end = args.index("--") if "--" in args else len(args)
    spelled = [
        f"--wait={limits.ANSWER_WAIT_SECONDS}" if arg == "--wait" and not _number_at(args, at + 1) else arg
        for at, arg in enumerate(args[:end])
    ]
    return spelled + args[end:]


def _number_at(args: list[str], at: int) -> bool:
    return at < len(args) and args[at].replace(".", "", 1).isdecimal()


def _asked(result: HandshakeResult) -> Iterator[str]:
    if result.status == "approved":
        yield f"Trust established with {result.hostname}"
    elif result.delivered:
        yield "Handshake request sent. Waiting for approval..."
    else:
        yield "Handshake request signed. It will be sent once the rendezvous can be reached."
    if result.identity != "confirmed":
        yield from unconfirmed(result.hostname, result.fingerprint)


def _agreements(result: TrustResult) -> Iterator[str]:
    if not (result.trusted or result.ended or result.outgoing):
        yield "No agreements yet."
    several = len({peer.network for peer in result.trusted}) > 1
    for peer in result.trusted:
        yield f"{peer.address} ({peer.hostname}{f'@{peer.network}' if several else ''})"
        yield f'  Justification: "{peer.justification}"'
        if peer.requested_by:
            yield f"  Asked by: {peer.requested_by} (claimed)"
        if peer.organization or peer.contact:
            yield f"  Partner: {', '.join(filter(None, (peer.organization, peer.contact)))} (claimed)"
        yield f"  Identity: {peer.identity}, {Fingerprint.parse(peer.fingerprint).short}"
        yield f"  Allowed: {wording.listing(peer.allow)}"
        yield f"  Approved: {wording.moment(peer.approved_at)}, until {wording.moment(peer.until)}"
        yield f"  Agreement: {peer.agreement}"
    for peer in result.ended:
        by = {"us": " by us", "them": " by them"}.get(peer.revoked_by, "")
        yield f"Ended: {peer.address} ({peer.hostname}), {peer.status}{by}: {peer.agreement}"
    for asked in result.outgoing:
        yield f"Waiting for approval: {asked.address} ({asked.hostname})"


def _revoked(result: RevokeResult) -> Iterator[str]:
    yield f"Trust revoked for {result.hostname} ({result.address})"
    if result.links_closed:
        yield "Active tunnel torn down"
    yield "Peer notified" if result.notified else "Peer will be told when it next appears"
