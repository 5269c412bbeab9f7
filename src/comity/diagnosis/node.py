"""The node itself: whether it runs and is registered, how its NAT maps it, and who can dial it."""

from __future__ import annotations

from comity.control import DoctorHop
from comity.diagnosis import asking
from comity.diagnosis.facts import MappingFacts, NodeFacts, WayFacts
from comity.protocol.observing import mapping as mapped


def node(facts: NodeFacts) -> DoctorHop:
    """Whether there is one and whether it runs."""
    if facts.state == "absent":
        return DoctorHop(
            "node", "skipped", "none is set up here yet", "comity init --hostname NAME --join URL"
        )
    if facts.state == "stopped":
        return DoctorHop("node", "warning", f"{facts.hostname} is not running", "comity up")
    return DoctorHop("node", "ok", f"{facts.hostname} runs")


def registration(facts: NodeFacts) -> DoctorHop:
    """Whether the rendezvous has taken it in."""
    if facts.state != "running":
        return DoctorHop("registration", "skipped", "the node has to run for it")
    if facts.registration == "registered":
        return DoctorHop("registration", "ok", f"registered as {facts.hostname}, {facts.address}")
    if facts.problem is not None:
        final = " and does not try again" if facts.registration == "refused" else ""
        return DoctorHop(
            "registration", "failed", f"not registered{final}: {facts.problem.message}", facts.problem.hint
        )
    return DoctorHop("registration", "warning", "not registered yet", "run comity doctor again in a minute")


def mapping(facts: MappingFacts | None, way: WayFacts) -> DoctorHop:
    """How the NAT treats this machine's connections; what the punched path needs."""
    if facts is None or not facts.seen:
        why = "the rendezvous's observers do not answer"
        if way.proxy:
            why = "only the proxy gets out"
        elif way.websocket:
            why = "the rendezvous's port is behind a web server"
        detail = f"unknown, as {why}: partners are reached through the relay, or directly"
        return DoctorHop("mapping", "ok", detail)
    looks = mapped(facts.port, facts.seen)
    if looks is None and len(set(facts.seen)) > 1:
        return DoctorHop(
            "mapping",
            "warning",
            f"symmetric: each connection comes from another port ({' and '.join(facts.seen)}), so"
            " most partners are reached through the relay",
            "",
            asking.mapping(),
        )
    if looks is None:
        return DoctorHop(
            "mapping",
            "warning",
            f"the NAT changes ports ({facts.port} became {facts.seen[0]}), and one observer can't tell"
            " whether always to the same: the relay is used",
            "ask the rendezvous's operator for a second --listen address",
            asking.mapping(),
        )
    kept = looks.endswith(f":{facts.port}")
    how = "keeps ports" if kept else "gives all connections of a port the same one"
    return DoctorHop("mapping", "ok", f"seen as {looks.rpartition(':')[0]}, and the NAT, if any, {how}")


def inbound(facts: NodeFacts) -> DoctorHop:
    """Whether peers can dial this machine."""
    if not facts.listen:
        return DoctorHop("inbound", "ok", "not needed: without --listen nobody dials this node")
    if facts.state != "running":
        return DoctorHop("inbound", "skipped", "the node has to run for it")
    if facts.unheard:
        return DoctorHop(
            "inbound",
            "warning",
            f"peers are told {', '.join(facts.candidates) or 'nothing'}, and even this machine can't connect"
            f" there: {facts.unheard}",
            "check this machine's own firewall",
            asking.inbound(facts.listen),
        )
    told = ", ".join(facts.candidates)
    return DoctorHop(
        "inbound",
        "ok",
        f"listening at {facts.listen}; peers are told {told or 'no address'}; whether they get through shows"
        " when one runs comity doctor with this node's name",
    )
