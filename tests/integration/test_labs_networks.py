"""One node in three networks of two rendezvous, as processes: who meets whom, what fails alone, leaving."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.control.rendezvous import NetworkCreateRequest
from comity.sdk import rendezvous as admin
from tests.labs import PATIENCE, Lab, eventually
from tests.region import Region, Rendezvous, agree, awaits, meet, region

TEXT = b"weights, as it were" * 1000
#: A join says how it went once the registration has: as long as a busy machine takes for it.
SLOWLY = ("--wait", "60")


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        yield made


def second_network(here: Region, name: str) -> str:
    """The join URL of one more network of the region's rendezvous, which is open."""
    return admin.create_network(NetworkCreateRequest(name, open=True), here.rendezvous.state).url


def sends(sender: Lab, receiver: Lab, name: str, to: str = "") -> None:
    path = sender.folder / name
    path.write_bytes(TEXT)
    sent = sender.ask("send-file", to or receiver.hostname, name)
    assert sent["bytes"] == len(TEXT)
    (arrived,) = receiver.ask("received", "--wait", name, "--timeout", "30")["files"]
    assert Path(arrived["path"]).read_bytes() == TEXT


def registered(lab: Lab, count: int) -> bool:
    networks = lab.ask("network", "list")["networks"]
    return len(networks) == count and all(each["state"] == "registered" for each in networks)


def test_a_node_takes_part_in_three_networks_and_none_learns_of_another(here: Region) -> None:
    oncology, cardiology = here.rendezvous.join, second_network(here, "cardiology")
    other = Rendezvous(here.folder / "rdv2")
    try:
        a, b, c, d = (here.site(name) for name in ("onco-a", "cardio-b", "centre", "faraway"))
        a.init(oncology)
        b.init(cardiology)
        c.init(oncology)
        d.init(other.join)
        for lab in (a, b, c, d):
            lab.up()
        heart = c.ask("network", "join", cardiology, "--name", "cardiology", *SLOWLY)
        assert (heart["state"], heart["network"], heart["hostname"]) == ("registered", 2, "centre")
        x = c.ask("network", "join", other.join, "--name", "x", "--hostname", "centre-x", *SLOWLY)
        assert (x["state"], x["hostname"]) == ("registered", "centre-x")
        again = c.refused("network", "join", cardiology, "--name", "twice")
        assert again.code == "invalid_input"

        agree(c, a)
        agree(c, b)
        c.ask("handshake", d.card, "IRB #2026-0142")
        awaits(d)
        assert d.ask("approve", "centre-x")["status"] == "trusted"
        meet(c, d)
        found = {each["hostname"]: each["network"] for each in c.ask("peers")["peers"]}
        assert found == {"onco-a": "main", "cardio-b": "cardiology", "faraway": "x"}
        sends(a, c, "from-a.bin")
        sends(c, b, "to-b.bin", "cardio-b@cardiology")
        sends(b, c, "from-b.bin")

        _nothing_is_told(a, b)

        other.kill()
        eventually(
            lambda: c.ask("network", "list")["networks"][2]["state"] == "connecting", "the loss is seen"
        )
        sends(b, c, "still-from-b.bin")
        states = [each["state"] for each in c.ask("status")["networks"]]
        assert states[:2] == ["registered", "registered"]
        other.start()
        eventually(lambda: registered(c, 3), "it comes back by itself", 2 * PATIENCE)

        left = c.ask("network", "leave", "cardiology")
        assert (left["name"], left["resting"]) == ("cardiology", 1)
        eventually(lambda: not b.sees(c), "the partner there sees it offline")
        assert c.refused("send-file", "cardio-b", "to-b.bin").code == "untrusted_peer"
        (resting,) = [one for one in c.ask("trust")["ended"] if one["hostname"] == "cardio-b"]
        assert (resting["status"], resting["network"]) == ("resting", "")
        c.ask("agreement", "export", "cardio-b", "--out", "rests.json")
        parties = [f"--party={lab.hostname}={lab.fingerprint}" for lab in (b, c)]
        assert c.ask("agreement", "verify", "rests.json", *parties)["valid"]

        c.ask("network", "join", cardiology, "--name", "hearts", *SLOWLY)
        meet(b, c)
        sends(c, b, "again.bin", "cardio-b@hearts")

        c.down()
        c.up()
        eventually(lambda: registered(c, 3), "a restart keeps every network")
        meet(a, c)
        meet(b, c)
        names = [each["name"] for each in c.ask("network", "list")["networks"]]
        assert names == ["main", "x", "hearts"]
    finally:
        other.end()


def _nothing_is_told(one: Lab, hidden: Lab) -> None:
    """No command of ``one`` tells ``hidden`` from a node that does not exist."""
    nobody, address = "nobody-here", hidden.info().address or ""
    card, nowhere = hidden.card.replace(hidden.hostname, nobody), address[:-4] + "fff0"
    for there, missing, command in (
        (hidden.hostname, nobody, ("find", "PEER")),
        (hidden.hostname, nobody, ("handshake", "PEER", "why")),
        (hidden.card, card, ("handshake", "PEER", "why")),
        (address, nowhere, ("ping", "PEER")),
    ):
        told, same = (
            one.refused(*(name if word == "PEER" else word for word in command)) for name in (there, missing)
        )
        assert (told.code, told.status, told.hint) == (same.code, same.status, same.hint), command
        assert told.message.replace(there, missing) == same.message, command
    for listing in ("peers", "pending", "info"):
        said = json.dumps(one.ask(*listing.split()))
        for secret in (hidden.hostname, hidden.fingerprint, address):
            assert secret not in said, listing
