"""The doctor of a running node: the probes of the network, bound to what this node was started with.

It holds no logic: ``services.doctor`` asks, ``comity.diagnosis`` judges.
"""

from __future__ import annotations

from comity.clock import Clock
from comity.diagnosis.facts import MappingFacts
from comity.node.config import Settings
from comity.node.parts import Node
from comity.node.surroundings import look_around
from comity.protocol.observing import choose_observers
from comity.services.doctor import DoctorService, Probes
from comity.transport.peers import PeerNetwork
from comity.transport.probing import probe_listener, probe_mapping, probe_way


def make_doctor(node: Node, network: PeerNetwork, settings: Settings, clock: Clock) -> DoctorService:
    """For a node that is assembled over ``network``."""

    async def mapping() -> MappingFacts | None:
        link = node.rendezvous.link
        around = look_around(
            [settings.join], listening=network.candidates(), allowed=settings.private_networks
        )
        remote = link.remote if link and not link.via else ""
        return await probe_mapping(choose_observers(node.presence.observers, remote, around))

    return DoctorService(
        Probes(
            way=lambda: probe_way(settings.join, settings.outlet(settings.join), clock),
            mapping=mapping,
            listener=probe_listener,
            survey=network.survey,
        ),
        listen=settings.listen,
        memberships=node.memberships,
        network=network,
        trust=node.trust,
        sessions=node.sessions,
    )
