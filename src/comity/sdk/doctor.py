"""``comity doctor``: the node's own examination while it runs, the same probes from here while it doesn't.

A node that runs is asked, because its surroundings are what counts: its settings, its environment, its
network namespace. Without one the way to the rendezvous is examined with this process's environment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from comity import limits
from comity.clock import SystemClock
from comity.control import DoctorRequest, DoctorResult
from comity.diagnosis.facts import Failure, MappingFacts, NodeFacts, PeerFacts, WayFacts
from comity.diagnosis.verdict import judge
from comity.errors import NotInitialised, NotRunning
from comity.identity.card import JoinUrl
from comity.protocol.proxying import Outlet
from comity.sdk.client import Client
from comity.storage import settings
from comity.storage.config import Config
from comity.storage.outlet import find_outlet
from comity.transport.probing import probe_mapping, probe_way


def examine(
    peer: str = "",
    *,
    join: str = "",
    home: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> DoctorResult:
    """Every hop to the rendezvous of a home, or to the one that ``join`` names, and to ``peer``.

    Raises NotInitialised where there is neither, InvalidJoinUrl, InvalidInput, HomeUnsafe; what fails on the
    way is in the result.
    """
    if join:
        target = JoinUrl.parse(join)
        config = Config(hostname="", join=str(target))
        return _from_here(NodeFacts(state="absent"), target, find_outlet(target, environ, config), peer)
    client = Client(home, environ=environ, patience=limits.DOCTOR_SECONDS)
    try:
        return client.call("doctor", DoctorRequest(peer), DoctorResult)
    except NotRunning:
        config = client.home.read_config()
    except NotInitialised as error:
        raise NotInitialised(error.message, hint="name a rendezvous: comity doctor --join URL") from error
    target = settings.parsed(settings.said("join", environ, config), JoinUrl.parse)
    node = NodeFacts(state="stopped", hostname=config.hostname, listen=config.listen)
    return _from_here(node, target, find_outlet(target, environ, config), peer)


def _from_here(node: NodeFacts, join: JoinUrl, outlet: Outlet, peer: str) -> DoctorResult:
    way, mapping = asyncio.run(_probe(join, outlet))
    missing = Failure(
        "not_running", "paths to a peer are tried by the node, which does not run", "run comity up"
    )
    return judge(node, way, mapping, PeerFacts(name=peer, problem=missing) if peer else None)


async def _probe(join: JoinUrl, outlet: Outlet) -> tuple[WayFacts, MappingFacts | None]:
    way = await probe_way(join, outlet, SystemClock())
    straight = way.pinned and not way.proxy and not way.websocket
    return way, await probe_mapping((way.connected,)) if straight else None
