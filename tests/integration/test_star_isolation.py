"""A star of sites around an aggregator: who sees, names and reaches whom.

Members of a network may leave a handshake with each other and nothing else; for others it does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from comity.control.rendezvous import InviteCreateRequest, NetworkCreateRequest
from comity.errors import ComityError, TimedOut
from comity.identity.card import JoinUrl
from comity.sdk import rendezvous as admin
from comity.sdk.connection import connect
from tests.labs import Lab, eventually
from tests.region import Region, agree, region

NETWORK = "study"


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        admin.create_network(NetworkCreateRequest(NETWORK), made.rendezvous.state)
        yield made


def invited(here: Region, hostname: str, *, up: tuple[str, ...] = ()) -> Lab:
    """A member of the study's network."""
    lab = here.site(hostname)
    lab.init(admin.invite(InviteCreateRequest(NETWORK, 1, 3600), here.rendezvous.state).url)
    lab.up(*up)
    return lab


@pytest.fixture(scope="module")
def aggregator(here: Region) -> Lab:
    return invited(here, "aggregator", up=("--listen", "127.0.0.1:0"))


@pytest.fixture(scope="module")
def sites(here: Region, aggregator: Lab) -> tuple[Lab, Lab]:
    found = invited(here, "site-1"), invited(here, "site-2")
    for site in found:
        agree(site, aggregator)
    return found


def events_of(lab: Lab, topic: str, count: int, seconds: float) -> list[str]:
    """What a node hears of a topic in that time; no more than ``count``."""
    with connect(lab.home, environ=lab.environment) as node:
        found: list[str] = []
        with suppress(TimedOut), node.subscribe(topic, since="beginning", timeout=seconds) as events:
            while len(found) < count:
                found.append(next(events).data)
        return found


def nothing_but_a_handshake(asker: Lab, peer: Lab) -> None:
    """Whatever one node may want of another, besides an agreement."""
    refused = ("untrusted_peer", 31)
    for command in (
        ("ping", peer.hostname),
        ("send-file", peer.hostname, str(asker.home / "config.toml")),
        ("publish", "a/b", "--data", "x", "--to", peer.hostname),
        ("subscribe", "**", "--from", peer.hostname, "--timeout", "1"),
        ("expose", "8080", "--to", peer.hostname),
        ("forward", "--local", "0", f"{peer.hostname}:8080"),
    ):
        assert asker.refused(*command).told == refused, command
    with connect(asker.home, environ=asker.environment) as node:
        with pytest.raises(ComityError) as caught, node.dial(peer.hostname, 8080):
            pass
        assert caught.value.code == "untrusted_peer"


def is_met_by(lab: Lab, hostnames: list[str]) -> bool:
    return [session.hostname for session in lab.info().sessions] == hostnames


def test_sites_see_the_aggregator_only(aggregator: Lab, sites: tuple[Lab, Lab]) -> None:
    for site in sites:
        assert [peer["hostname"] for peer in site.ask("peers")["peers"]] == ["aggregator"]
        eventually(partial(is_met_by, site, ["aggregator"]), "the session stands, and no other")
    assert {peer["hostname"] for peer in aggregator.ask("peers")["peers"]} == {"site-1", "site-2"}


def test_sites_do_not_reach_each_other(sites: tuple[Lab, Lab]) -> None:
    nothing_but_a_handshake(sites[0], sites[1])
    assert sites[1].ask("received")["files"] == []


def test_what_a_site_leaves_with_the_aggregator_no_other_site_reads(
    aggregator: Lab, sites: tuple[Lab, Lab]
) -> None:
    one, two = sites
    one.ask("publish", "training/metrics", "--data", "0.5", "--to", "aggregator")
    one.ask("publish", "training/metrics", "--data", "0.6")
    two.ask("publish", "training/other", "--data", "mine")
    assert events_of(two, "**", 1, seconds=3) == []
    assert sorted(events_of(aggregator, "training/metrics", 2, seconds=45)) == ["0.5", "0.6"]


def test_without_an_invitation_nobody_gets_in_and_nothing_resolves(here: Region, aggregator: Lab) -> None:
    sixth = here.site("site-6")
    url = JoinUrl.parse(admin.invite(InviteCreateRequest(NETWORK, 1, 3600), here.rendezvous.state).url)
    sixth.init(str(replace(url, invitation=None)))
    assert sixth.refused("up").code == "not_admitted"
    stranger = here.lab("stranger")  # in the same server's first network, which is open
    for name in ("aggregator", "site-1", aggregator.fingerprint, aggregator.ask("status")["address"]):
        assert stranger.refused("find", name).code in ("unknown_peer", "invalid_input"), name
        assert stranger.refused("handshake", name, "let me in").code == "unknown_peer", name
    assert stranger.refused("handshake", aggregator.card, "let me in").code == "unknown_peer"
    assert stranger.ask("peers")["peers"] == []
    assert aggregator.ask("pending")["pending"] == []


def test_a_member_without_approval_may_leave_a_handshake_and_nothing_else(
    here: Region, aggregator: Lab
) -> None:
    seventh = invited(here, "site-7")
    assert seventh.ask("find", "aggregator")["trusted"] is False
    assert seventh.ask("peers")["peers"] == []
    assert seventh.ask("handshake", "aggregator", "Site 7 trainer, IRB #2026-0142")["status"] == "sent"
    eventually(lambda: bool(aggregator.ask("pending")["pending"]), "the handshake has arrived")
    (request,) = aggregator.ask("pending")["pending"]
    assert (request["hostname"], request["fingerprint"]) == ("site-7", seventh.fingerprint)
    nothing_but_a_handshake(seventh, aggregator)
    aggregator.ask("publish", "study/open", "--data", "secret")
    assert events_of(seventh, "**", 1, seconds=3) == []
    assert not [session for session in aggregator.info().sessions if session.hostname == "site-7"]
    assert aggregator.ask("received")["files"] == []
    assert seventh.fingerprint not in json.dumps(aggregator.ask("trust"))
