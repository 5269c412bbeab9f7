"""A rendezvous gets a new key: nodes follow by themselves, and nobody else can lead them anywhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest

from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.errors import RemoteProtocolError
from comity.identity.card import JoinUrl
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.statements import Predecessor, payload, payload_type
from comity.protocol.succession import EVERY_NETWORK, Handover, Lineage
from comity.sdk import rendezvous as server
from tests.labs import Lab, eventually
from tests.region import Region, region


@pytest.fixture
def place() -> Iterator[Region]:
    with region() as made:
        yield made
        made.check_logs()


def registered(lab: Lab) -> bool:
    return bool(lab.ask("status")["rendezvous_state"] == "registered")


def test_nodes_follow_a_new_key_and_lose_nothing(place: Region) -> None:
    one, two = place.pair()
    away = place.lab("lab-c-trainer")
    away.down()
    first = place.rendezvous.url
    for _ in range(2):
        place.rendezvous.end()
        made = server.rotate_key(place.rendezvous.state)
        place.rendezvous.start()
        assert place.rendezvous.join == made.url
        eventually(lambda: registered(one) and registered(two), "they follow", 90)
    url = JoinUrl.parse(made.url)
    assert url.fingerprint != first.fingerprint
    assert url.named == first.fingerprint
    assert [peer["hostname"] for peer in one.ask("trust")["trusted"]] == ["lab-b-trainer"]
    assert one.ask("ping", "lab-b-trainer")["path"]
    away.up()  # two keys behind
    assert registered(away)
    away.down()
    away.up()  # and it remembers
    new = place.lab("lab-d-trainer")  # by the new join URL
    new.ask("handshake", "lab-a-trainer", "IRB #1")
    eventually(lambda: one.ask("pending")["pending"] != [], "old and new nodes understand each other")
    one.ask("approve", "lab-d-trainer")
    eventually(lambda: len(new.ask("trust")["trusted"]) == 1, "and agree")


def test_a_server_that_serves_keeps_its_key(place: Region) -> None:
    refused = place.lab("lab-a-trainer").refused(
        "rendezvous", "rotate-key", "--state", str(place.rendezvous.state)
    )
    assert refused.code == "already_running"


def test_another_server_leads_nobody_to_its_key(place: Region) -> None:
    one = place.lab("lab-a-trainer")
    place.rendezvous.end()
    # An attacker's server at the same address: with a key and a lineage of its own.
    (place.rendezvous.state / "rendezvous.key").unlink()
    place.rendezvous.start()
    place.rendezvous.end()
    server.rotate_key(place.rendezvous.state)
    place.rendezvous.start()
    eventually(lambda: "not the rendezvous" in str(one.ask("status")["problem"]), "it is refused")
    assert not (one.home / "rendezvous.json").exists()


# ── the lineage itself ────────────────────────────────────────────────────────────────────────────────

KEYS = [Identity.generate() for _ in range(4)]
FIRST = KEYS[0].public.fingerprint


def handover(old: Identity, new: Identity, named: Fingerprint = FIRST) -> Predecessor:
    now = int(SystemClock().now())
    said = Handover(
        rendezvous=str(named),
        network=EVERY_NETWORK,
        issuer=old.public.hex,
        nonce=SystemEntropy().token(32).hex(),
        issued=now,
        expires=now + 1,
        successor=new.public.hex,
    )
    envelope = old.sign_statement(payload_type(Handover), payload(said))
    return Predecessor(key=old.public.hex, rotation=envelope.to_json().decode())


def test_a_lineage_leads_from_any_of_its_keys_to_the_newest() -> None:
    lineage = Lineage(keys=tuple(handover(old, new) for old, new in itertools.pairwise(KEYS)))
    for key in KEYS:
        assert lineage.follow(key.public.fingerprint, FIRST) == KEYS[-1].public.fingerprint
    stranger = Identity.generate().public.fingerprint
    assert lineage.follow(stranger, stranger) == stranger
    assert Lineage.parse(lineage.to_json()) == lineage


def test_a_lineage_that_does_not_verify_leads_nowhere() -> None:
    other = Identity.generate()
    forged = Predecessor(key=KEYS[0].public.hex, rotation=handover(other, other).rotation)
    elsewhere = handover(KEYS[0], KEYS[1], other.public.fingerprint)
    for said in (forged, elsewhere, Predecessor(key=KEYS[0].public.hex, rotation="{}")):
        with pytest.raises(RemoteProtocolError):
            Lineage(keys=(said,)).follow(FIRST, FIRST)
    for text in (b"", b"[]", json.dumps({"keys": [{}]}).encode(), b"x" * 300_000):
        with pytest.raises(RemoteProtocolError):
            Lineage.parse(text)
