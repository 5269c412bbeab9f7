"""The rendezvous's machine is lost: it is restored on another one under another address, and nothing else is
lost (docs/how-to/back-up-and-restore.md).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from comity.identity.card import JoinUrl
from tests.labs import Lab, eventually
from tests.region import Region, agree, awaits, meet, region

MINUTE = 60.0


@pytest.fixture
def place() -> Iterator[Region]:
    with region() as made:
        yield made


def lose(here: Region) -> None:
    """The machine and its disk are gone."""
    here.rendezvous.kill()
    shutil.rmtree(here.rendezvous.state)


def restore(here: Region, by: Lab, backup: str, passphrase: tuple[str, ...]) -> JoinUrl:
    """The same rendezvous elsewhere: another folder, another port."""
    server = here.rendezvous
    server.state, server.log = here.folder / "moved", here.folder / "moved.log"
    by.ask("rendezvous", "restore", backup, *passphrase, "--state", str(server.state))
    server.port = 0
    server.start()
    return server.url


def tell(lab: Lab, url: JoinUrl) -> float:
    """What its person types; how long until it is registered again."""
    began = time.monotonic()
    lab.ask("config", "set", "join", str(url))
    if lab.pid:
        lab.down()
    lab.up()
    eventually(lambda: lab.ask("status")["rendezvous_state"] == "registered", "it is back", MINUTE)
    return time.monotonic() - began


def test_nodes_return_to_a_rendezvous_that_was_restored_elsewhere(place: Region) -> None:
    one, two = place.pair()
    stranger = place.lab("lab-c-trainer")
    secret = place.folder / "passphrase"
    secret.write_text("correct horse battery staple\n")
    secret.chmod(0o600)
    passphrase = ("--passphrase-file", str(secret))
    two.down()
    stranger.ask("handshake", two.card, "IRB #2026-0200")  # sealed, in the mailbox
    backup = str(place.folder / "rendezvous.backup")
    state = str(place.rendezvous.state)
    made = one.ask("rendezvous", "backup", "--out", backup, *passphrase, "--state", state)  # while it serves
    assert made["fingerprint"] == str(place.rendezvous.url.fingerprint)
    before = {lab.hostname: lab.ask("trust")["trusted"] for lab in (one, stranger)}
    address = one.ask("status")["address"]
    url = place.rendezvous.url
    lose(place)
    eventually(lambda: one.ask("status")["rendezvous_state"] != "registered", "they notice")
    moved = restore(place, one, backup, passphrase)
    assert moved.fingerprint == url.fingerprint
    assert moved.authority != url.authority
    for lab in (one, two, stranger):
        assert tell(lab, moved) < MINUTE
    meet(one, two)
    assert one.ask("status")["address"] == address
    assert {lab.hostname: lab.ask("trust")["trusted"] for lab in (one, stranger)} == before
    assert one.ask("ping", "lab-b-trainer")["received"] > 0
    (waiting,) = awaits(two)
    assert waiting["justification"] == "IRB #2026-0200"
    two.ask("approve", "lab-c-trainer")
    meet(two, stranger)
    model = place.folder / "model.bin"
    model.write_bytes(b"weights" * 1000)
    assert one.ask("send-file", "lab-b-trainer", str(model))["receipt"]
    newcomer = place.lab("lab-d-trainer")
    assert newcomer.ask("status")["address"] == "1:0001.0000.0040", "numbers go on where they were"
    agree(newcomer, one)
