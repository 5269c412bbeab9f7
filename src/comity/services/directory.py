"""Other nodes: who they are, whether they are there, how far away; and what this node shows of itself.

Approved peers are named by the local store alone, the rendezvous only adds whether they are there. Whatever
it says of others is labelled so, and a record that claims an approved peer's name for another key is an error
where it was asked for by name, and shown as what it is in a list (SECURITY.md rule 6).
"""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from typing import Protocol

import msgspec

from comity import control, limits
from comity.clock import Clock, rfc3339
from comity.errors import (
    IdentityMismatch,
    InvalidInput,
    RemoteProtocolError,
    RendezvousUnreachable,
    TimedOut,
    UnknownPeer,
)
from comity.identity.keys import PublicKey
from comity.policy.operation import Operation
from comity.protocol.hello import ECHO_PORT
from comity.protocol.registry import Record
from comity.protocol.statements import Tags
from comity.protocol.trust.relationship import Relationship
from comity.services.guard import Guard
from comity.services.membership import Membership, Memberships, left_network
from comity.services.session import SessionService
from comity.services.settled import Settled
from comity.services.trust import KnownPeer, TrustService
from comity.services.trust.peers import Found, PeerBook
from comity.services.trust.views import identity
from comity.storage.config import Config
from comity.storage.settings import text_of
from comity.transport.interface import Network, Stream

_ECHO_BYTES = 32


class ConfigFile(Protocol):
    """Where what this node shows is kept (``storage.home.Home``)."""

    def read_config(self) -> Config:
        """What the file says."""

    def write_config(self, config: Config) -> None:
        """Replace it whole."""


class DirectoryService:
    """Operations take and return control types. ``shown`` is what this node shows at its start."""

    def __init__(
        self,
        *,
        network: Network,
        memberships: Memberships,
        trust: TrustService,
        book: PeerBook,
        sessions: SessionService,
        guard: Guard,
        config: ConfigFile,
        shown: control.VisibilityResult,
        settled: Settled,
        own: PublicKey,
        clock: Clock,
    ) -> None:
        self._own = own
        self._network = network
        self._memberships = memberships
        self._trust = trust
        self._book = book
        self._sessions = sessions
        self._guard = guard
        self._config = config
        self._shown = shown
        self._settled = settled
        self._clock = clock

    # ── others ────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, request: control.FindRequest) -> control.FindResult:
        """One node by its exact name, address, card or (where known) fingerprint.

        Raises UnknownPeer, AmbiguousPeer, IdentityMismatch, InvalidInput, and what ``Rendezvous.resolve``
        raises.
        """
        found = await self._book.look_up(request.name, None)
        known = self._book.known(found.key)
        record = await self._present(known) if known else await self._record(found)
        rel = self._relationships().get(found.key)
        return control.FindResult(
            address=found.address,
            hostname=found.hostname,
            fingerprint=str(found.key.fingerprint),
            online=self._sessions.tunnel(found.key) is not None or (record is not None and record.online),
            last_seen=rfc3339(record.last_seen) if record else "",
            tags=record.tags if record else (),
            public=record is not None and record.public,
            trusted=known is not None,
            identity=identity(rel) if rel and (known or rel.pinned) else "unknown",
            network=self._memberships.name_of(found.realm),
        )

    async def peers(self, request: control.PeersRequest) -> control.PeersResult:
        """Approved peers, and the public nodes of every network; with ``tag``, those that show it in
        public.
        """
        listed = await self._listed(request.tag)
        rels = self._relationships()
        views: list[control.PeerView] = []
        names: set[tuple[str, str]] = set()
        for known in sorted(self._trust.trusted_peers(), key=lambda known: known.hostname):
            names |= {(known.realm, known.hostname), (known.realm, known.address)}
            record = listed.pop((known.realm, known.key), None)
            if record is not None or request.tag is None:
                views.append(self._approved_view(known, rels[known.key], record))
        views += sorted(
            (
                dataclasses.replace(
                    _listed_view(key, record, {name for there, name in names if there == realm}),
                    network=self._memberships.name_of(realm),
                )
                for (realm, key), record in listed.items()
            ),
            key=lambda view: view.hostname,
        )
        return control.PeersResult(tuple(views))

    async def ping(self, request: control.PingRequest) -> control.PingResult:
        """Round trips on one echo stream. Raises what ``TrustService.resolve`` and ``Network.dial`` raise,
        Denied, and TimedOut where not one came back.
        """
        if not 1 <= request.count <= limits.PINGS or not 0 < request.timeout <= limits.HOUR:
            raise InvalidInput(f"a ping takes 1 to {limits.PINGS} round trips, and an hour at most")
        known = await self._trust.resolve(request.peer)
        charter = self._guard.require(Operation(kind="connect", peer=known.key, service="echo")).charter
        began = self._clock.monotonic()
        rtts: list[float] = []
        try:
            async with asyncio.timeout(request.timeout):
                stream = await self._network.dial(known.key, ECHO_PORT, charter=charter, purpose="ping")
                setup = self._clock.monotonic() - began
                async with stream:
                    for number in range(request.count):
                        rtts.append(await self._round_trip(stream, number))
        except TimeoutError:
            if not rtts:
                raise TimedOut(f"{known.hostname} did not answer within {request.timeout:g} s") from None
        return control.PingResult(
            address=known.address,
            hostname=known.hostname,
            path=stream.info.path,
            rtt_ms=round(statistics.median(rtts) * 1000, 3),
            cipher=stream.info.cipher,
            group=stream.info.group,
            sent=min(len(rtts) + 1, request.count),
            received=len(rtts),
            setup_ms=round(setup * 1000, 3),
            rtts_ms=tuple(round(rtt * 1000, 3) for rtt in rtts),
        )

    # ── this node ─────────────────────────────────────────────────────────────────────────────────────

    async def set_tags(self, request: control.SetTagsRequest) -> control.VisibilityResult:
        """What public listings show; replaces all tags. InvalidInput."""
        try:
            tags = msgspec.convert(tuple(dict.fromkeys(request.tags)), Tags)
        except msgspec.ValidationError as error:
            raise InvalidInput(
                f"at most {limits.TAGS} tags, each of lower-case letters, digits and dashes"
            ) from error
        return self._show(dataclasses.replace(self._shown, tags=tags))

    async def set_visibility(self, request: control.SetVisibilityRequest) -> control.VisibilityResult:
        """Whether this node is listed."""
        return self._show(dataclasses.replace(self._shown, public=request.public))

    def visibility(self) -> control.VisibilityResult:
        """What this node shows."""
        return self._shown

    def republish(self, member: Membership) -> None:
        """Register there again, as something that the registration carries has changed."""
        member.rendezvous.update(public=self._shown.public, tags=self._shown.tags)

    def _show(self, shown: control.VisibilityResult) -> control.VisibilityResult:
        config = dataclasses.replace(self._config.read_config(), public=shown.public, tags=shown.tags)
        self._settled.record({"public": text_of(shown.public), "tags": text_of(shown.tags)})
        self._config.write_config(config)
        self._shown = shown
        for member in self._memberships:
            self.republish(member)
        return shown

    # ── records ───────────────────────────────────────────────────────────────────────────────────────

    async def _present(self, known: KnownPeer) -> Record | None:
        """What the rendezvous says of an approved peer; IdentityMismatch where it names another key for
        it.
        """
        rendezvous = self._memberships.of(known.key).rendezvous
        try:
            try:
                record = await rendezvous.resolve(hostname=known.hostname)
            except UnknownPeer:  # it goes by another name now
                return await rendezvous.resolve(key=known.key)
        except (RendezvousUnreachable, UnknownPeer):
            return None
        if record.key != known.key.hex:
            raise IdentityMismatch(
                f"the rendezvous says that {known.hostname} has another key than the one of your agreement"
            )
        return record

    async def _record(self, found: Found) -> Record:
        """What the rendezvous where it was found says of a node."""
        member = self._memberships.at(found.realm)
        if member is None:
            raise left_network("that network")
        return await member.rendezvous.resolve(key=found.key)

    async def _listed(self, tag: str | None) -> dict[tuple[str, PublicKey], Record]:
        """By realm and key."""
        members = list(self._memberships)
        found = await asyncio.gather(*(_public(member, tag) for member in members))
        return {
            (str(member.realm), key): record
            for member, records in zip(members, found, strict=True)
            for record in records
            if (key := PublicKey.from_hex(record.key)) != self._own
        }

    def _approved_view(self, known: KnownPeer, rel: Relationship, record: Record | None) -> control.PeerView:
        session = self._sessions.view(known.key)
        return control.PeerView(
            address=known.address,
            hostname=known.hostname,
            fingerprint=str(known.key.fingerprint),
            trusted=True,
            state="tunnel active" if session else "offline",
            tags=record.tags if record else (),
            identity=identity(rel),
            path=session.path if session else None,
            rtt_ms=session.rtt_ms if session else None,
            cipher=session.cipher if session else None,
            group=session.group if session else None,
            network=self._memberships.name_of(known.realm),
        )

    def _relationships(self) -> dict[PublicKey, Relationship]:
        return {PublicKey.from_hex(rel.peer): rel for rel in self._trust.relationships()}

    async def _round_trip(self, stream: Stream, number: int) -> float:
        sent = number.to_bytes(_ECHO_BYTES, "big")
        began = self._clock.monotonic()
        await stream.send(sent)
        if await stream.receive() != sent:
            raise RemoteProtocolError("the peer's echo is not what was sent")
        return self._clock.monotonic() - began


async def _public(member: Membership, tag: str | None) -> tuple[Record, ...]:
    try:
        return await member.rendezvous.find(tag)
    except RendezvousUnreachable:
        return ()


def _listed_view(key: PublicKey, record: Record, approved: set[str]) -> control.PeerView:
    """A public node that we have no agreement with; ``approved`` are the names and addresses of those we
    have.
    """
    return control.PeerView(
        address=record.address,
        hostname=record.hostname,
        fingerprint=str(key.fingerprint),
        trusted=False,
        state="listed",
        tags=record.tags,
        identity="mismatch" if {record.hostname, record.address} & approved else "unknown",
    )
