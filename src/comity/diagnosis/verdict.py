"""All hops in the order of the way, up to the first cause: what fails because of it is not worth a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from comity.control import DoctorHop, DoctorResult, HopStatus
from comity.diagnosis import node as here
from comity.diagnosis import peer as there
from comity.diagnosis import way as between
from comity.diagnosis.facts import MappingFacts, NodeFacts, PeerFacts, WayFacts

_WORST: tuple[HopStatus, ...] = ("failed", "warning", "ok")


def judge(
    node: NodeFacts, way: WayFacts, mapping: MappingFacts | None = None, peer: PeerFacts | None = None
) -> DoctorResult:
    """The result, of facts that reach as far as the probes got."""
    checks: list[tuple[str, Callable[[], DoctorHop]]] = [
        ("node", lambda: here.node(node)),
        ("name", lambda: between.name(way)),
        ("tcp", lambda: between.tcp(way)),
        ("proxy", lambda: between.proxy(way)),
        ("clock", lambda: between.clock(way)),
        ("inspection", lambda: between.inspection(way)),
        ("fingerprint", lambda: between.fingerprint(way)),
        ("registration", lambda: here.registration(node)),
        ("mapping", lambda: here.mapping(mapping, way)),
        ("inbound", lambda: here.inbound(node)),
        ("relay", lambda: between.relay(way)),
    ]
    hops: list[DoctorHop] = []
    cause = ""
    for name, check in checks:
        hops.append(DoctorHop(name, "skipped", f"not checked, as {cause} failed") if cause else check())
        if hops[-1].status == "failed":
            cause = name
    if peer is not None:
        hops += _peer(peer, cause)
    found = {hop.status for hop in hops}
    return DoctorResult(next((status for status in _WORST if status in found), "ok"), tuple(hops))


def _peer(peer: PeerFacts, cause: str) -> Iterator[DoctorHop]:
    """A session that stands needs nobody in between."""
    if cause and not peer.session:
        yield DoctorHop("peer", "skipped", f"not checked, as {cause} failed")
        return
    standing = there.standing(peer)
    yield standing
    if standing.status != "failed":
        yield from there.paths(peer)
