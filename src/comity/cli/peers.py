"""Other nodes, and what they see of this one: find, peers, ping, set-tags, set-visibility."""

from __future__ import annotations

from collections.abc import Iterator

import click

from comity.cli import wording
from comity.cli.commands import command, seconds
from comity.cli.output import Output, table
from comity.control import (
    FindRequest,
    FindResult,
    PeersRequest,
    PeersResult,
    PingRequest,
    PingResult,
    SetTagsRequest,
    SetVisibilityRequest,
    VisibilityResult,
)
from comity.identity.fingerprint import Fingerprint
from comity.sdk import peers as sdk
from comity.sdk.client import Client


@command("find", example="comity find lab-b-trainer")
@click.argument("name")
@click.pass_obj
def find(output: Output, name: str) -> None:
    """Look a node up by its exact NAME."""
    result = sdk.find(Client(), FindRequest(name=name))
    output.show(result, _found(result))


@command("peers", example="comity peers --tag lung-cancer-study")
@click.option("--tag", metavar="TAG", help="Only nodes with this tag.")
@click.pass_obj
def peers(output: Output, tag: str | None) -> None:
    """List trusted peers, and the public nodes of this network."""
    result = sdk.peers(Client(), PeersRequest(tag=tag))
    output.show(result, _listed(result))


@command("ping", example="comity ping lab-b-trainer")
@click.argument("peer")
@click.option("-n", "--count", type=click.IntRange(1), default=3, show_default=True, help="Round trips.")
@click.option("--timeout", type=seconds, default=10.0, show_default=True, metavar="S", help="Seconds in all.")
@click.pass_obj
def ping(output: Output, peer: str, count: int, timeout: float) -> None:
    """Measure round trips to a trusted PEER, and tell what carries them."""
    result = sdk.ping(Client(), PingRequest(peer=peer, count=count, timeout=timeout))
    output.show(result, _measured(result))


@command("set-tags", example="comity set-tags aggregator lung-cancer-study")
@click.argument("tags", nargs=-1)
@click.pass_obj
def set_tags(output: Output, tags: tuple[str, ...]) -> None:
    """Choose the TAGS that this node is found by while it is public. They replace the old ones."""
    result = sdk.set_tags(Client(), SetTagsRequest(tags=tags))
    output.show(result, _shown_as(result))


@command("set-visibility", example="comity set-visibility public")
@click.argument("visibility", type=click.Choice(["public", "private"]))
@click.pass_obj
def set_visibility(output: Output, visibility: str) -> None:
    """List this node for others of its network (public), or not (private)."""
    result = sdk.set_visibility(Client(), SetVisibilityRequest(public=visibility == "public"))
    output.show(result, _shown_as(result))


def _found(result: FindResult) -> Iterator[str]:
    yield f"{result.hostname} ({result.address})"
    seen = "online" if result.online else f"offline, last seen {wording.moment(result.last_seen)}"
    yield f"  State: {seen}; {'trusted' if result.trusted else 'no agreement'}"
    yield f"  Identity: {result.identity}"
    yield f"  Fingerprint: {Fingerprint.parse(result.fingerprint).grouped}"
    yield f"  Visibility: {'public' if result.public else 'private'}; tags: {wording.listing(result.tags)}"


def _listed(result: PeersResult) -> list[str]:
    if not result.peers:
        return ["No peers yet."]
    rows = [
        (
            peer.address,
            peer.hostname,
            peer.state,
            peer.path or "-",
            wording.milliseconds(peer.rtt_ms),
            peer.identity,
            wording.listing(peer.tags),
        )
        for peer in result.peers
    ]
    header: tuple[str, ...] = ("ADDRESS", "NAME", "STATE", "PATH", "RTT", "IDENTITY", "TAGS")
    if len({peer.network for peer in result.peers}) > 1:
        header = ("NETWORK", *header)
        return table(header, [(peer.network, *row) for peer, row in zip(result.peers, rows, strict=True)])
    return table(header, rows)


def _measured(result: PingResult) -> Iterator[str]:
    yield f"{result.hostname} ({result.address}): {result.received} of {result.sent} answered"
    times = ", ".join(f"{rtt:.1f}" for rtt in result.rtts_ms)
    yield f"  Round trip: {wording.milliseconds(result.rtt_ms)} (median of {times})"
    yield f"  Path: {result.path}, {wording.tunnel(result.group, result.cipher)}"


def _shown_as(result: VisibilityResult) -> Iterator[str]:
    state = "public" if result.public else "private"
    yield f"{result.hostname} is {state}; tags: {wording.listing(result.tags)}"
