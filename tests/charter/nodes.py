"""Whole nodes in virtual time that stand under a charter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from comity import control
from comity.clock import rfc3339
from comity.control.audit import AuditEntry, AuditLogRequest
from comity.policy.charter.canonical import from_plain, to_canonical
from comity.services.guard import Guard
from comity.transport.simulation import Simulation
from tests import charters
from tests.simulated_nodes import SimulatedNode
from tests.worlds import Town

HOUR, DAY = 3600, 86400


def pair(
    simulation: Simulation, *, guard_a: type[Guard] = Guard, guard_b: type[Guard] = Guard
) -> tuple[SimulatedNode, SimulatedNode]:
    town = Town(simulation)
    return (
        SimulatedNode(town, "lab-a", guard=guard_a),
        SimulatedNode(town, "lab-b", listen=True, guard=guard_b),
    )


def trio(simulation: Simulation) -> tuple[SimulatedNode, SimulatedNode, SimulatedNode]:
    """A hub and two sites."""
    town = Town(simulation)
    return (
        SimulatedNode(town, "hub", listen=True),
        SimulatedNode(town, "site-1"),
        SimulatedNode(town, "site-2"),
    )


def terms(
    *nodes: SimulatedNode,
    roles: Mapping[str, str] | None = None,
    days: float = 30,
    accept_days: float = 1,
    **changes: Any,
) -> dict[str, Any]:
    """``charters.plain`` between these nodes: the first is the developer, the others are evaluators."""
    now = nodes[0].town.clock.now()
    plain = charters.plain()
    plain["window"] = {"from": rfc3339(now - DAY), "until": rfc3339(now + days * DAY)}
    plain["accept_by"] = rfc3339(now + accept_days * DAY)
    plain["parties"] = [
        {
            "name": node.card.hostname,
            "fingerprint": str(node.key.fingerprint),
            "roles": [(roles or {}).get(node.card.hostname) or ("evaluator" if at else "developer")],
            "organization": f"Hospital {at}",
        }
        for at, node in enumerate(nodes)
    ]
    for asset in plain["assets"]:
        asset["owner"] = nodes[0].card.hostname
    plain["ownership"]["outputs"] = [nodes[0].card.hostname]
    plain["incidents"]["contacts"] = []
    return plain | changes


def successor(plain: dict[str, Any], first: str, before: str, **changes: Any) -> dict[str, Any]:
    return plain | {"version": plain["version"] + 1, "lineage": first, "predecessor": before} | changes


async def propose(node: SimulatedNode, plain: dict[str, Any]) -> str:
    """The digest of what was proposed."""
    canonical = to_canonical(from_plain(plain)).decode()
    result = await node.node.charters.propose(control.CharterProposeRequest(canonical=canonical))
    await settled()
    return result.digest


async def sign(node: SimulatedNode, charter: str) -> control.CharterSignResult:
    read = node.node.charters.read(control.CharterReadRequest(charter))
    request = control.CharterSignRequest(charter=read.digest, policy=read.policy, signed_by="Dr. Osei, DPO")
    result = await node.node.charters.sign(request)
    await settled()
    return result


async def settled() -> None:
    """What was said has arrived, and links that were cut are up again."""
    await asyncio.sleep(5)


async def agree(plain: dict[str, Any], *nodes: SimulatedNode) -> str:
    """The first proposes, all sign; the digest of what is in force then."""
    digest = await propose(nodes[0], plain)
    for node in nodes:
        await sign(node, digest)
    for node in nodes:
        assert state(node, digest) == "in_force"
    return digest


def status(node: SimulatedNode, charter: str) -> control.CharterView:
    [view] = node.node.charters.status(control.CharterStatusRequest(charter)).charters
    return view


def state(node: SimulatedNode, charter: str) -> str:
    return status(node, charter).state


async def end(node: SimulatedNode, charter: str, why: str = "the study is over") -> control.CharterEndResult:
    result = await node.node.charters.end(control.CharterEndRequest(charter=charter, reason=why))
    await settled()
    return result


def suspended(node: SimulatedNode) -> list[tuple[str, str]]:
    """Who was suspended by whom, by which clause."""
    views = node.node.charters.status(control.CharterStatusRequest()).suspensions
    return [(view.by, view.clause) for view in views]


def entries(node: SimulatedNode, kind: str) -> list[AuditEntry]:
    return list(node.node.audit.log(AuditLogRequest(kind=kind)).entries)
