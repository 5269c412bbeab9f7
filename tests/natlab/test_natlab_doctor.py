"""What ``comity doctor`` says behind real boxes: of the mapping, of each path to a peer, of what is shut."""

from __future__ import annotations

import pytest

from comity.control import DoctorHop
from comity.sdk.doctor import examine
from tests.natlab.firewalls import Kind
from tests.natlab.lab import Lab
from tests.natlab.nodes import Node, wait_for, world
from tests.natlab.proxies import own_proxy

pytestmark = pytest.mark.timeout(180)


def examined(node: Node, peer: str = "") -> dict[str, DoctorHop]:
    """Its hops by name: found by the daemon, in its own namespace."""
    return {hop.name: hop for hop in examine(peer, home=node.home, environ=node.environ).hops}


@pytest.mark.parametrize(
    ("kind", "status", "words", "punched"),
    [
        ("nat", "ok", "keeps ports", "ok"),
        ("symmetric", "warning", "symmetric: each connection comes from another port", "warning"),
        ("only-443", "ok", "keeps ports", "warning"),
    ],
)
def test_mapping_and_paths(kind: Kind, status: str, words: str, punched: str) -> None:
    with Lab(kind, kind) as lab, world(lab) as here:
        hops = examined(here.a, here.b.name)
        assert (hops["mapping"].status, words in hops["mapping"].detail) == (status, True)
        assert hops["peer punched"].status in (punched, "skipped")  # it rests after one that failed
        assert hops["peer relay"].status == "ok"
        assert {name for name, hop in hops.items() if hop.status == "failed"} == set()


def test_a_proxy_and_nothing_else() -> None:
    with Lab("proxy-only", "nat") as lab, own_proxy(lab) as proxy, world(lab, a=proxy.environment) as here:
        hops = examined(here.a, here.b.name)
        assert f"{proxy.url} (said by HTTPS_PROXY) lets" in hops["proxy"].detail
        assert "only the proxy gets out" in hops["mapping"].detail
        assert hops["peer relay"].status == "ok"


def test_a_firewall_that_is_shut_later() -> None:
    with Lab("nat", "nat") as lab, world(lab) as here:
        wait_for(lambda: here.a.session(), "a session stands")
        lab.run("box-a", "nft", "insert", "rule", "ip", "box", "forward", "iifname", "lan", "drop")
        hop = examined(here.a)["tcp"]
        assert hop.status == "failed"
        assert "something on the way drops it" in hop.detail
        assert "Please allow outbound TCP from this machine to 198.51.100.1" in hop.ask
