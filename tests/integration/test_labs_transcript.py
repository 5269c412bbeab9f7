"""The trust transcript of seed 000, line by line, with ``comity`` where it says ``pilotctl``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.sdk import node
from tests.labs import Lab, eventually
from tests.region import Region, awaits, meet, region, under_way

STUDY = "Federated lung cancer detection study, IRB #2026-0142"
LAB_A, LAB_B = "1:0001.0000.0010", "1:0001.0000.0020"
WEIGHTS = 142_000_000


@pytest.fixture
def here() -> Iterator[Region]:
    with region() as made:
        yield made


def short(lab: Lab) -> str:
    """``5a2f...c8d1``"""
    return f"{lab.fingerprint[:4]}...{lab.fingerprint[-4:]}"


def grouped(lab: Lab) -> str:
    return " ".join(re.findall("....", lab.fingerprint))


def joined(here: Region, hostname: str) -> Lab:
    """``pilotctl init``, as a person sees it."""
    lab = here.site(hostname)
    lines = lab.read("init", "--hostname", hostname, "--join", f"@{here.rendezvous.state / 'join.url'}")
    lab.card = lines[2].removeprefix("Card: ")
    lab.fingerprint = lab.card.partition("#")[2]
    assert lines == [
        f"Identity created: {hostname}",
        f"Fingerprint: {grouped(lab)}",
        f"Card: comity:{hostname}@{here.rendezvous.url.authority}#{lab.fingerprint}",
        f"Revocation certificate: {lab.home}/retirement.json (keep a copy off this machine)",
        "Next: comity up",
    ]
    return lab


def unconfirmed(lab: Lab) -> list[str]:
    return [
        f"Identity: unconfirmed. The rendezvous says that {lab.hostname} has this fingerprint:",
        f"  {grouped(lab)}",
        "Have your partner read theirs to you by phone (comity card). If it is the same:",
        f"  comity confirm {lab.hostname} FINGERPRINT",
    ]


def test_the_transcript(here: Region) -> None:
    a, b = joined(here, "lab-a-trainer"), joined(here, "lab-b-trainer")
    assert a.read("up") == [f"Agent online: lab-a-trainer ({LAB_A})"]
    assert b.read("up") == [f"Agent online: lab-b-trainer ({LAB_B})"]
    agreed(a, b)
    weights_sent(a, b)
    evidence_exported(a, b)
    untrusted(a, b)


def agreed(a: Lab, b: Lab) -> None:
    assert a.read("handshake", "lab-b-trainer", STUDY) == [
        "Handshake request sent. Waiting for approval...",
        *unconfirmed(b),
    ]
    eventually(lambda: node.status(b.client).pending == 1, "lab-b-trainer is asked")
    lines = b.read("pending")
    assert lines[:5] == [
        f"{LAB_A} (lab-a-trainer)",
        f'  Justification: "{STUDY}"',
        f"  Signed by: {short(a)} (verified)",
        f"  Fingerprint: {grouped(a)}",
        "  Identity: unconfirmed; have your partner read the fingerprint to you by phone",
    ]
    assert [line.split(":")[0] for line in lines[5:]] == ["  Until", "  Received"]
    (request,) = b.ask("pending")["pending"]
    assert (request["verified"], request["fingerprint"]) == ("signature", a.fingerprint)
    assert b.read("approve", LAB_A) == [
        "Trust established with lab-a-trainer",
        "Encrypted tunnel active (X25519MLKEM768 + AES-256-GCM)",
        *unconfirmed(a),
    ]
    meet(a, b)
    (trusted,) = a.ask("trust")["trusted"]
    assert (trusted["justification"], trusted["address"]) == (STUDY, LAB_B)
    assert b.read("confirm", "lab-a-trainer", *grouped(a).split()) == [
        f"Identity confirmed: lab-a-trainer ({LAB_A})"
    ]
    assert b.ask("trust")["trusted"][0]["identity"] == "confirmed"


def weights_sent(a: Lab, b: Lab) -> None:
    weights = a.folder / "round-3-weights.pt"
    content = os.urandom(WEIGHTS)
    weights.write_bytes(content)
    lines = a.read("send-file", "lab-b-trainer", str(weights))
    assert lines[0] == "Sending: round-3-weights.pt (142MB)"
    assert re.fullmatch(r"Transfer: █{20} 100% \(\d+\.\ds, \d+\.\d MB/s\)", lines[1])
    assert lines[2:] == ["File delivered (encrypted, verified)"]
    header, row, note = b.read("received")
    assert header.split() == ["NAME", "SIZE", "FROM", "RECEIVED", "PATH"]
    place = Path(row.split()[-1])
    assert row.split()[:3] == ["round-3-weights.pt", "142MB", "lab-a-trainer"]
    assert note == "Note: round-3-weights.pt may contain code that runs when loaded"
    assert place.name == "round-3-weights.pt"
    assert place.read_bytes() == content


def evidence_exported(a: Lab, b: Lab) -> None:
    """What the seed promises an auditor: who authorised the exchange and why, offline, from either side."""
    anchors = [f"--party={lab.hostname}={lab.fingerprint}" for lab in (a, b)]
    evidence = b.folder / "evidence.json"
    b.ask("agreement", "export", "lab-a-trainer", "--out", str(evidence))
    found = b.ask("agreement", "verify", str(evidence), *anchors)
    assert (found["valid"], found["identities"], found["justification"]) == (True, "verified", STUDY)


def untrusted(a: Lab, b: Lab) -> None:
    assert a.read("untrust", LAB_B) == [
        f"Trust revoked for lab-b-trainer ({LAB_B})",
        "Active tunnel torn down",
        "Peer notified",
    ]
    for lab, peer, who in ((a, b, "you"), (b, a, "they")):
        eventually(lambda: lab.info().sessions == (), "no tunnel is left")  # noqa: B023  read at once
        refusal = lab.refused("send-file", peer.hostname, str(a.folder / "round-3-weights.pt"))
        assert refusal.told == ("untrusted_peer", 31)
        assert refusal.message == f"the agreement with {peer.hostname} is over: {who} revoked it"
        assert refusal.hint == f'run comity handshake {peer.hostname} "WHY"'
        trust = lab.ask("trust")
        assert trust["trusted"] == []
        assert [past["status"] for past in trust["ended"]] == ["revoked"]
        assert lab.refused("ping", peer.hostname).told == ("untrusted_peer", 31)
    assert len(b.received()) == 1
    for lab in (a, b):
        assert lab.ask("audit", "verify")["valid"]


def test_the_same_by_card_and_on_a_direct_path(here: Region) -> None:
    """Lab B listens; lab A has B's card, so nothing is left to trust."""
    a, b = here.lab("lab-a-trainer"), here.lab("lab-b-trainer", up=("--listen", "127.0.0.1:0"))
    asked = a.ask("handshake", b.card, STUDY)
    assert (asked["status"], asked["identity"]) == ("sent", "confirmed")
    awaits(b)
    approved = b.ask("approve", LAB_A, "--fingerprint", a.fingerprint)
    assert (approved["session"], approved["identity"]) == (True, "confirmed")
    meet(a, b)
    weights = a.folder / "weights.safetensors"
    weights.write_bytes(os.urandom(1_000_000))
    sent = a.ask("send-file", "lab-b-trainer", str(weights))
    assert sent["bytes_sent"] == 1_000_000
    eventually(  # the relay may win on a machine that is busy for its head start
        lambda: a.ask("send-file", "lab-b-trainer", str(a.home / "config.toml"))["path"] == "direct",
        "files take the direct path",
    )
    revoked = b.ask("revoke", "lab-a-trainer", "--reason", "The study is over")
    assert revoked["notified"]
    eventually(lambda: a.info().sessions == (), "lab-a-trainer has no tunnel")
    assert a.refused("send-file", "lab-b-trainer", str(weights)).told == ("untrusted_peer", 31)


def test_a_revocation_stops_what_is_under_way() -> None:
    """The seed: lab b can no longer send or receive any data, the revocation is effective immediately."""
    with region(proxied=True) as here:
        a, b = here.pair()
        with under_way(here, a, b, os.urandom(40_000_000)) as (command, _):
            assert b.read("untrust", "lab-a-trainer")[1:] == ["Active tunnel torn down", "Peer notified"]
            refusal = command.refusal()
        assert refusal.told == ("transfer_failed", 44)
        assert refusal.message == "the agreement with lab-b-trainer ended while model.bin was sent"
        assert b.received() == []
        eventually(lambda: (a.info().sessions, b.info().sessions) == ((), ()), "no tunnel is left")
