"""The first half of the demo: a rendezvous, two nodes, and an agreement between them that a person has
read.

Côte Bleue's privacy officer gives St Mary's their card, as they would by phone or on paper; St Mary's asks by
it, so nothing is left to trust on that side. The officer compares the fingerprint of the request with St
Mary's card, confirms it, and only then approves, for file exchange and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from comity.control import (
    ApproveResult,
    ConfirmResult,
    HandshakeResult,
    InitResult,
    PendingRequest,
    PendingResult,
    PingResult,
    StatusResult,
    TrustedPeer,
    TrustResult,
)
from comity.demo.checks import Checks
from comity.demo.console import Console
from comity.demo.failure import DemoFailed
from comity.demo.narrator import Narrator, abridged, shortened
from comity.demo.stage import Hospital, Stage

JUSTIFICATION = "Federated breast cancer study, IRB #2026-0142: model weights only, no patient data"
ASKED_BY = "Dr Amara Okafor, Radiology"
GROUP = "X25519MLKEM768"
CIPHER = "TLS_AES_256_GCM_SHA384"
_PATIENCE = 20.0
_LOOK_EVERY = 0.2


@dataclass(frozen=True)
class Node:
    """A hospital's node, up and registered."""

    hospital: Hospital
    console: Console
    address: str
    fingerprint: str
    card: str

    @property
    def name(self) -> str:
        return self.hospital.hostname


@dataclass(frozen=True)
class Channel:
    """What a ping measured from one side: the path, and what TLS negotiated."""

    by: str
    path: str
    rtt_ms: float
    cipher: str
    group: str


@dataclass(frozen=True)
class Agreed:
    """The agreement as both sides hold it, and the channels both ways."""

    digest: str
    justification: str
    approved_at: str
    channels: tuple[Channel, ...]


def start_rendezvous(stage: Stage, narrator: Narrator) -> str:
    """Serve on a free port; its join URL."""
    narrator.step("A rendezvous, on neutral ground")
    rendezvous = stage.rendezvous()
    narrator.command("rendezvous", abridged(["comity", *rendezvous.command]))
    url = rendezvous.join_url()
    narrator.result(f"join URL {shortened(url)}")
    return url


def start_nodes(stage: Stage, narrator: Narrator, url: str, hospitals: tuple[Hospital, ...]) -> list[Node]:
    """Give each hospital an identity and start its node."""
    narrator.step("Two nodes, each with its own identity and its own home")
    return [_start_node(stage, hospital, url) for hospital in hospitals]


def _start_node(stage: Stage, hospital: Hospital, url: str) -> Node:
    console = stage.console(hospital.hostname, hospital.folder)
    claims = ("--organization", hospital.organization, "--contact", hospital.contact)
    made = console.comity(InitResult, "init", "--hostname", hospital.hostname, "--join", url, *claims)
    console.result(f"fingerprint {made.fingerprint}")
    status = stage.up(console, hospital.listens)
    address = status.address or _registered(console)
    console.result(f"online as {status.hostname} ({address}), process {status.pid}")
    return Node(hospital, console, address, made.fingerprint, made.card)


def _registered(console: Console) -> str:
    """The node's address, once the rendezvous has given it one."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        status = console.quietly(StatusResult, "status")
        if status.address is not None:
            return status.address
        time.sleep(_LOOK_EVERY)
    raise DemoFailed.of("the node registers", f"not within {_PATIENCE:.0f} s", console.printed)


def shake_hands(nodes: Sequence[Node], narrator: Narrator, checks: Checks) -> Agreed:
    """From the request, by the first of two nodes, to a channel that both have measured."""
    asker, asked = nodes
    narrator.step("A handshake: who asks, for what, and who approved it")
    narrator.says(f"{asked.name} has read its card to {asker.name} over the phone.")
    _ask(asker, asked)
    request = _read(asked, asker, checks)
    _approve(asked, asker, request)
    theirs, ours = _trusted(asked, asker), _trusted(asker, asked)
    checks.hold("both sides hold the same agreement", theirs.agreement == ours.agreement, ours.agreement)
    identities = (theirs.identity, ours.identity)
    checks.hold(
        "both identities are confirmed", identities == ("confirmed", "confirmed"), " and ".join(identities)
    )
    narrator.step("The tunnel")
    channels = (_ping(asker, asked, checks), _ping(asked, asker, checks))
    return Agreed(ours.agreement, ours.justification, ours.approved_at, channels)


def _ask(asker: Node, asked: Node) -> None:
    sent = asker.console.comity(
        HandshakeResult, "handshake", asked.card, JUSTIFICATION, "--as", ASKED_BY, "--expires", "90d"
    )
    asker.console.result(f"{sent.status}; identity {sent.identity}; request {sent.digest}")


def _read(asked: Node, asker: Node, checks: Checks) -> PendingRequest:
    """The request as it waits, once it has come through the mailbox."""
    console, deadline = asked.console, time.monotonic() + _PATIENCE
    while not console.quietly(PendingResult, "pending").pending and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    for request in console.comity(PendingResult, "pending").pending:
        if request.fingerprint == asker.fingerprint:
            break
    else:
        raise DemoFailed.of("the request arrives", f"not within {_PATIENCE:.0f} s", console.printed)
    console.result(f"{request.address} ({request.hostname}), {request.requested_by}, {request.organization}")
    console.result(f"“{request.justification}”")
    console.result(f"signed by {request.fingerprint} (verified: {request.verified})")
    checks.hold("the request arrived word for word", request.justification == JUSTIFICATION, request.digest)
    return request


def _approve(asked: Node, asker: Node, request: PendingRequest) -> None:
    console = asked.console
    # The fingerprint that was read out by phone, not the one that came with the request.
    confirmed = console.comity(ConfirmResult, "confirm", asker.name, asker.fingerprint)
    console.result(f"identity {confirmed.identity}")
    approved = console.comity(ApproveResult, "approve", request.address, "--allow", "exchange")
    tunnel = f"tunnel active ({approved.path})" if approved.session else "tunnel not up yet"
    console.result(f"trust established with {approved.hostname} until {approved.until}; {tunnel}")


def _trusted(node: Node, peer: Node) -> TrustedPeer:
    """The agreement as this side lists it, once it does."""
    console, deadline = node.console, time.monotonic() + _PATIENCE
    while not console.quietly(TrustResult, "trust").trusted and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    for trusted in console.comity(TrustResult, "trust").trusted:
        if trusted.fingerprint == peer.fingerprint:
            console.result(f"{trusted.hostname}, identity {trusted.identity}, for {', '.join(trusted.allow)}")
            return trusted
    raise DemoFailed.of(f"{node.name} trusts {peer.name}", "it does not list it", console.printed)


def _ping(node: Node, peer: Node, checks: Checks) -> Channel:
    pong = node.console.comity(PingResult, "ping", peer.name)
    node.console.result(f"{pong.rtt_ms:.1f} ms over {pong.path}, {pong.group}, {pong.cipher}")
    whole = f"{node.name}’s channel is encrypted, post-quantum hybrid"
    checks.hold(whole, (pong.group, pong.cipher) == (GROUP, CIPHER), f"{pong.group}, {pong.cipher}")
    return Channel(node.name, pong.path, pong.rtt_ms, pong.cipher, pong.group)
