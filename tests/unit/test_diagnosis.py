"""What the doctor says of each set of facts: one cause, and what to do about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comity.control import DoctorHop, DoctorResult
from comity.diagnosis.facts import (
    Certificate,
    Failure,
    MappingFacts,
    NodeFacts,
    PathTrial,
    PeerFacts,
    WayFacts,
)
from comity.diagnosis.verdict import judge

NODE = NodeFacts(state="running", hostname="lab-a", address="1:0001.0000.0010", registration="registered")
WAY = WayFacts(
    host="rendezvous.example.org",
    port=443,
    addresses=("198.51.100.7",),
    connected="198.51.100.7:443",
    pinned=True,
    skew=0.4,
    relay_checked=True,
)
MAPPING = MappingFacts(port=4000, asked=2, seen=("203.0.113.9:4000", "203.0.113.9:4000"))
PEER = PeerFacts(name="lab-b", hostname="lab-b", online=True, trials=(PathTrial("relay", True, "connected"),))
PLACE = "rendezvous.example.org:443"
LOGIN = Failure("proxy_authentication", "the proxy wants NTLM", "run cntlm")


def hops(result: DoctorResult) -> dict[str, DoctorHop]:
    return {hop.name: hop for hop in result.hops}


def test_all_is_well() -> None:
    result = judge(NODE, WAY, MAPPING, PEER)
    assert result.status == "ok"
    assert [hop.name for hop in result.hops] == [
        "node",
        "name",
        "tcp",
        "proxy",
        "clock",
        "inspection",
        "fingerprint",
        "registration",
        "mapping",
        "inbound",
        "relay",
        "peer",
        "peer relay",
    ]
    assert all(hop.status == "ok" and not hop.advice and not hop.ask for hop in result.hops)


@pytest.mark.parametrize(
    ("way", "cause", "detail", "advice", "ask"),
    [
        (
            replace(WAY, addresses=(), unresolved="no such"),
            "name",
            "cannot be resolved",
            "proxy",
            "name",
        ),
        (
            replace(WAY, connected="", unreachable="connection refused"),
            "tcp",
            "its port is closed, or a firewall says so",
            "operator",
            "Please allow outbound TCP from this machine to rendezvous.example.org (198.51.100.7), port 443.",
        ),
        (
            replace(WAY, connected="", unreachable="no answer in time"),
            "tcp",
            "something on the way drops it",
            "comity config set proxy",
            "Please allow outbound TCP",
        ),
        (
            replace(WAY, proxy="http://p:3128", origin="HTTPS_PROXY", addresses=(), unresolved="no such"),
            "name",
            "p cannot be resolved",
            "HTTPS_PROXY says http://p:3128",
            "",
        ),
        (
            replace(WAY, proxy="http://p:3128", origin="HTTPS_PROXY", connected="", unreachable="no answer"),
            "tcp",
            "the proxy http://p:3128 takes no connection",
            "HTTPS_PROXY says so",
            "",
        ),
        (
            replace(WAY, proxy="http://p:3128", origin="COMITY_PROXY", proxy_failure=LOGIN),
            "proxy",
            "the proxy wants NTLM (said by COMITY_PROXY)",
            "cntlm",
            f"Please exempt {PLACE} from the proxy's login",
        ),
        (
            replace(WAY, proxy="http://p:1", proxy_failure=Failure("proxy_failed", "it says 403", "ask")),
            "proxy",
            "it says 403",
            "ask",
            f"Please let this machine CONNECT to {PLACE} through the proxy p.",
        ),
        (
            replace(WAY, pinned=False, direct=Failure("", "cut"), wrapped=Failure("", "cut")),
            "inspection",
            "are cut as soon as TLS begins",
            "operator",
            "from TLS inspection",
        ),
        (
            replace(
                WAY,
                pinned=False,
                direct=Failure("", "a chain"),
                wrapped=Failure("", "it answers 403 Forbidden"),
                certificate=Certificate("rendezvous.example.org", "Hospital CA", trusted=True),
            ),
            "inspection",
            "a certificate for rendezvous.example.org by Hospital CA answers instead",
            "join URL",
            "from TLS inspection",
        ),
        (
            replace(
                WAY,
                pinned=False,
                direct=Failure("", "a chain"),
                wrapped=Failure("gateway_failed", "502: the rendezvous behind it can't be reached"),
                certificate=Certificate("rendezvous.example.org", "Web CA", trusted=True),
            ),
            "inspection",
            "502",
            "whether it runs behind its web server",
            "",
        ),
        (
            replace(WAY, pinned=False, mismatch=Failure("", "it holds the key abcd")),
            "fingerprint",
            "another rendezvous answers",
            "do not go on",
            "",
        ),
        (replace(WAY, refused=Failure("", "is busy", "wait")), "fingerprint", "is busy", "wait", ""),
        (replace(WAY, skew=3600.0), "clock", "60 minutes behind", "timedatectl", "NTP"),
        (replace(WAY, skew=-8000.0), "clock", "2 hours ahead of", "timedatectl", "NTP"),
        (replace(WAY, relay=Failure("", "connection reset")), "relay", "reset", "nginx", "by protocol"),
    ],
)
def test_the_first_cause_is_named_and_nothing_that_follows_from_it(
    way: WayFacts, cause: str, detail: str, advice: str, ask: str
) -> None:
    result = judge(NODE, way, MAPPING, PEER)
    assert result.status == "failed"
    assert [hop.name for hop in result.hops if hop.status == "failed"] == [cause]
    found = hops(result)[cause]
    assert detail in found.detail
    assert advice in found.advice
    assert bool(found.ask) == bool(ask)
    assert ask in found.ask
    after = result.hops[result.hops.index(found) + 1 :]
    assert {hop.detail for hop in after} == {f"not checked, as {cause} failed"}
    assert {hop.status for hop in after} == {"skipped"}


@pytest.mark.parametrize(
    ("way", "hop", "status", "detail"),
    [
        (replace(WAY, origin="NO_PROXY exempts it"), "proxy", "ok", "none is used: NO_PROXY exempts it"),
        (replace(WAY, proxy="http://p:1", origin="--proxy"), "proxy", "ok", "(said by --proxy) lets"),
        (replace(WAY, skew=None), "clock", "skipped", "told the time"),
        (replace(WAY, skew=100.0), "clock", "warning", "100 seconds behind"),
        (replace(WAY, skew=-30.0), "clock", "ok", "30 seconds from"),
        (replace(WAY, relay_checked=False), "relay", "skipped", "not checked"),
        (
            replace(
                WAY,
                direct=Failure("", "a chain"),
                websocket=True,
                certificate=Certificate("rendezvous.example.org", "Web CA", trusted=True),
            ),
            "inspection",
            "ok",
            "by Web CA ends TLS on the way",
        ),
        (
            replace(
                WAY,
                direct=Failure("", "a chain"),
                websocket=True,
                certificate=Certificate("rendezvous.example.org", "Hospital IT", trusted=False),
            ),
            "inspection",
            "warning",
            "by Hospital IT, which this machine does not trust",
        ),
    ],
)
def test_what_does_not_stop_anybody(way: WayFacts, hop: str, status: str, detail: str) -> None:
    result = judge(NODE, way, MAPPING, PEER)
    found = hops(result)[hop]
    assert found.status == status
    assert detail in found.detail
    assert result.status == ("warning" if status == "warning" else "ok")


@pytest.mark.parametrize(
    ("node", "hop", "status", "detail"),
    [
        (NodeFacts(state="absent"), "node", "skipped", "none is set up"),
        (NodeFacts(state="stopped", hostname="lab-a"), "node", "warning", "lab-a is not running"),
        (NodeFacts(state="stopped", hostname="lab-a"), "registration", "skipped", "has to run"),
        (replace(NODE, registration="connecting"), "registration", "warning", "not registered yet"),
        (
            replace(NODE, registration="refused", problem=Failure("not_admitted", "not admitted", "ask")),
            "registration",
            "failed",
            "not registered and does not try again: not admitted",
        ),
        (
            replace(NODE, registration="connecting", problem=Failure("x", "no answer", "ask")),
            "registration",
            "failed",
            "not registered: no answer",
        ),
        (replace(NODE, listen=":9", candidates=("10.0.0.1:9",)), "inbound", "ok", "are told 10.0.0.1:9"),
        (replace(NODE, listen=":9", unheard="refused"), "inbound", "warning", "even this machine can't"),
        (NodeFacts(state="stopped", listen=":9"), "inbound", "skipped", "has to run"),
    ],
)
def test_the_node_itself(node: NodeFacts, hop: str, status: str, detail: str) -> None:
    found = hops(judge(node, WAY, MAPPING))[hop]
    assert found.status == status
    assert detail in found.detail


@pytest.mark.parametrize(
    ("mapping", "way", "status", "detail"),
    [
        (None, WAY, "ok", "observers do not answer"),
        (MappingFacts(port=1, asked=1), replace(WAY, proxy="http://p:1"), "ok", "only the proxy gets out"),
        (MappingFacts(port=1, asked=1), replace(WAY, websocket=True, direct=LOGIN), "ok", "a web server"),
        (MappingFacts(port=4, asked=1, seen=("203.0.113.9:4",)), WAY, "ok", "keeps ports"),
        (MappingFacts(port=4, asked=2, seen=("203.0.113.9:7",) * 2), WAY, "ok", "the same one"),
        (MappingFacts(port=4, asked=1, seen=("203.0.113.9:7",)), WAY, "warning", "one observer can't tell"),
        (
            MappingFacts(port=4, asked=2, seen=("203.0.113.9:7", "203.0.113.9:8")),
            WAY,
            "warning",
            "symmetric",
        ),
    ],
)
def test_mappings(mapping: MappingFacts | None, way: WayFacts, status: str, detail: str) -> None:
    found = hops(judge(NODE, way, mapping))["mapping"]
    assert found.status == status
    assert detail in found.detail


def test_a_peer_that_may_not_or_cannot_be_reached() -> None:
    revoked = replace(PEER, problem=Failure("untrusted_peer", "they revoked it", "comity handshake"))
    assert hops(judge(NODE, WAY, MAPPING, revoked))["peer"].advice == "comity handshake"
    away = replace(PEER, online=False, last_seen="2026-11-21T05:18:00Z", trials=())
    found = hops(judge(NODE, WAY, MAPPING, away))["peer"]
    assert (found.status, found.detail) == ("failed", "lab-b is offline since 2026-11-21T05:18:00Z")
    unasked = replace(PEER, online=None)
    assert "the rendezvous can't be asked" in hops(judge(NODE, WAY, MAPPING, unasked))["peer"].detail


def test_one_path_is_enough() -> None:
    failed = PathTrial("direct", False, "10.0.0.1:9: no answer")
    none = PathTrial("punched", None, "not tried")
    some = judge(NODE, WAY, MAPPING, replace(PEER, trials=(failed, none, *PEER.trials)))
    assert some.status == "warning"
    assert [hops(some)[f"peer {path}"].status for path in ("direct", "punched", "relay")] == [
        "warning",
        "skipped",
        "ok",
    ]
    no_relay = PathTrial("relay", False, "nobody came")
    all_failed = judge(NODE, WAY, MAPPING, replace(PEER, trials=(failed, none, no_relay)))
    assert all_failed.status == "failed"
    assert "that side" in hops(all_failed)["peer relay"].advice


def test_a_session_that_stands_is_told_though_the_rendezvous_is_gone() -> None:
    gone = replace(WAY, connected="", unreachable="connection refused")
    result = judge(NODE, gone, None, replace(PEER, session="direct", online=None))
    assert result.status == "failed"
    assert hops(result)["peer"].detail == "lab-b is online, and a session stands (direct)"
