"""The life of a key, with real daemons: retired by its certificate, retired by its owner, rotated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs import eventually
from tests.region import Region, region


@pytest.fixture
def place() -> Iterator[Region]:
    with region() as made:
        yield made
        made.check_logs()


def test_a_stolen_key_is_retired_by_its_certificate(place: Region) -> None:
    one, two = place.pair()
    certificate = place.folder / "safe.json"
    shutil.copy(one.home / "retirement.json", certificate)
    thief = one  # the laptop that was stolen goes on running
    owner = place.lab("lab-a-new")
    told = owner.ask("identity", "retire", "--certificate", str(certificate))
    assert told["published"]
    assert not told["own"]
    eventually(lambda: two.ask("trust")["trusted"] == [], "nothing is trusted any more")
    refused = two.refused("ping", "lab-a-trainer")
    assert refused.code == "untrusted_peer"
    assert "lost or stolen" in refused.message
    assert two.ask("trust")["trusted"] == []
    eventually(lambda: thief.ask("status")["rendezvous_state"] == "refused", "the thief is turned out")
    assert "retired" in thief.ask("status")["problem"]
    # The thief's rotation is refused, by the rendezvous and by whoever had an agreement with the key.
    thief.ask("down")
    thief.ask("identity", "rotate")
    assert thief.refused("up").code == "key_retired"
    # The name is free again for its owner.
    owner.ask("down")
    owner.ask("init", "--rename", "--hostname", "lab-a-trainer")
    owner.ask("up")
    assert owner.ask("status")["hostname"] == "lab-a-trainer"
    kinds = {entry["kind"] for entry in two.ask("audit", "log")["entries"]}
    assert "key.retired" in kinds


def test_a_thief_who_rotates_first_is_put_out_by_the_old_keys_certificate(place: Region) -> None:
    one, two = place.pair()
    certificate = place.folder / "safe.json"
    shutil.copy(one.home / "retirement.json", certificate)
    thief = one
    thief.ask("down")
    thief.ask("identity", "rotate")
    thief.up()
    eventually(lambda: two.ask("pending")["pending"] != [], "the thief asks to be trusted instead")
    two.ask("approve", "lab-a-trainer")  # and is
    eventually(lambda: len(two.ask("trust")["trusted"]) == 1, "the thief is trusted")
    owner = place.lab("lab-a-new")
    owner.ask("identity", "retire", "--certificate", str(certificate))
    eventually(lambda: two.ask("trust")["trusted"] == [], "nothing is trusted any more")
    eventually(lambda: thief.ask("status")["rendezvous_state"] == "refused", "the thief is turned out")
    refused = two.refused("ping", "lab-a-trainer")
    assert refused.code == "untrusted_peer"
    assert "the key follows one that was retired" in refused.message
    owner.ask("down")
    owner.ask("init", "--rename", "--hostname", "lab-a-trainer")
    owner.ask("up")
    assert owner.ask("status")["hostname"] == "lab-a-trainer", "the name is its owner's again"


def test_a_partner_who_was_away_hears_of_it_when_it_comes_back(place: Region) -> None:
    one, two = place.pair()
    two.kill()
    other = place.lab("lab-c-trainer")
    other.ask("identity", "retire", "--certificate", str(one.home / "retirement.json"))
    two.up()
    eventually(lambda: two.ask("trust")["trusted"] == [], "nothing is trusted any more")
    assert "lost or stolen" in two.refused("ping", "lab-a-trainer").message


def test_a_node_retires_itself_for_good(place: Region) -> None:
    one, two = place.pair()
    assert one.refused("identity", "retire").code == "invalid_input"
    told = one.ask("identity", "retire", "--permanently", "--reason", "the study is over")
    assert (told["own"], told["agreements_ended"], told["published"]) == (True, 1, True)
    eventually(lambda: two.ask("trust")["trusted"] == [], "nothing is trusted any more")
    assert "the study is over" in two.refused("ping", "lab-a-trainer").message
    one.ask("down")
    assert one.refused("up").code == "key_retired"
    exported = two.folder / "agreement.json"
    two.ask("agreement", "export", "lab-a-trainer", "--out", str(exported))
    verified = two.ask("agreement", "verify", str(exported))
    assert verified["valid"]
    assert verified["revoked"]
    assert verified["revoked_by"] == "lab-a-trainer"


def test_a_rotated_node_keeps_its_name_and_is_approved_again(place: Region) -> None:
    one, two = place.pair()
    before = one.ask("card")["fingerprint"]
    one.ask("down")
    old_agreement = two.ask("trust")["trusted"][0]["agreement"]
    made = one.ask("identity", "rotate")
    assert made["former_fingerprint"] == before != made["fingerprint"]
    one.ask("up")
    assert one.ask("status")["hostname"] == "lab-a-trainer"
    eventually(lambda: two.ask("pending")["pending"] != [], "the request waits")
    (waiting,) = two.ask("pending")["pending"]
    assert waiting["predecessor"] == before
    assert waiting["fingerprint"] == made["fingerprint"]
    assert waiting["verified"] == "signature"
    two.ask("approve", "lab-a-trainer")
    eventually(lambda: two.ask("peers")["peers"][-1]["state"] == "tunnel active", "the tunnel stands")
    (trusted,) = two.ask("trust")["trusted"]
    assert trusted["fingerprint"] == made["fingerprint"]
    ended = {each["agreement"]: each for each in two.ask("trust")["ended"]}
    assert ended[old_agreement]["status"] == "replaced"
    file = place.folder / "model.bin"
    file.write_bytes(b"weights" * 1000)
    assert one.ask("send-file", "lab-b-trainer", str(file))["bytes"] == 7000
    assert two.ask("audit", "verify")["valid"]
    assert one.ask("audit", "verify")["valid"]


def test_a_rotation_killed_half_way_is_undone_or_done(place: Region) -> None:
    one = place.lab("lab-a-trainer")
    one.ask("down")
    # Up to the rename the old key is the node's key, whatever lies beside it.
    (one.home / "rotation.json").write_text(json.dumps({"key": "00" * 32, "rotation": "{}"}))
    (one.home / "rotation.json").chmod(0o600)
    (one.home / "identity.key.next").write_text("half a key")
    (one.home / "identity.key.next").chmod(0o600)
    one.ask("up")
    one.ask("down")
    made = one.ask("identity", "rotate")
    # After it the new one is, though the fingerprint beside it is the old one's.
    (one.home / "fingerprint").write_text(made["former_fingerprint"] + "\n")
    one.ask("up")
    assert one.ask("status")["fingerprint"] == made["fingerprint"]
    assert one.ask("card")["fingerprint"] == made["fingerprint"]


def test_rotation_needs_a_node_that_is_down(place: Region) -> None:
    one = place.lab("lab-a-trainer")
    assert one.refused("identity", "rotate").code == "already_running"


def test_a_certificate_must_verify(place: Region, tmp_path: Path) -> None:
    one, two = place.pair()
    genuine = json.loads((one.home / "retirement.json").read_text())
    other = json.loads((two.home / "retirement.json").read_text())
    forged = {**genuine, "retirement": other["retirement"]}
    for content in ("", "{}", json.dumps(forged), "x" * 100_000):
        file = tmp_path / "certificate.json"
        file.write_text(content)
        assert two.refused("identity", "retire", "--certificate", str(file)).code == "file_unusable"
    assert len(two.ask("trust")["trusted"]) == 1
