"""The doctor of a simulated node: its network is in memory, so the probes tell what a test gives them."""

from __future__ import annotations

from comity.diagnosis.facts import MappingFacts, PathTrial, WayFacts
from comity.identity.keys import PublicKey
from comity.services.doctor import DoctorService, Probes
from tests.simulated_nodes import SimulatedNode

OPEN_WAY = WayFacts(
    host="rendezvous",
    port=9000,
    addresses=("198.51.100.7",),
    connected="198.51.100.7:9000",
    pinned=True,
    skew=0.0,
    relay_checked=True,
)


def doctor_of(
    node: SimulatedNode, way: WayFacts = OPEN_WAY, trials: tuple[PathTrial, ...] = ()
) -> DoctorService:
    """``way`` and ``trials`` are what is found."""

    async def probe_way() -> WayFacts:
        return way

    async def probe_mapping() -> MappingFacts | None:
        return None

    async def probe_listener(_: tuple[str, ...]) -> str:
        return ""

    async def survey(_: PublicKey) -> tuple[PathTrial, ...]:
        return trials

    made = node.node
    return DoctorService(
        Probes(way=probe_way, mapping=probe_mapping, listener=probe_listener, survey=survey),
        listen="",
        memberships=made.memberships,
        network=made.network,
        trust=made.trust,
        sessions=made.sessions,
    )
