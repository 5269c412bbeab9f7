"""``sign-artifact`` and ``send-file --signature``: what the daemon is asked, and what goes wrong before."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Typed
from tests.cli.fake_daemon import FakeDaemon

CONTENT = b"weights"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
SIGNED = {"digest": DIGEST, "bytes": len(CONTENT), "fingerprint": "ab" * 32, "signature": '{"payload":""}'}


@pytest.fixture
def model(folder: Path) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_signed_by_its_digest_and_size(comity: Typed, daemon: FakeDaemon, model: Path) -> None:
    daemon.answer("sign-artifact", SIGNED)
    out = model.with_name("signature.json")
    ran = comity(["sign-artifact", str(model), "--out", str(out)])
    assert (ran.status, ran.err) == (0, "")
    assert (
        ran.out.splitlines()[-1] == "The sender runs: comity send-file PEER PATH --signature signature.json"
    )
    assert daemon.requests == [("sign-artifact", {"digest": DIGEST, "bytes": len(CONTENT)})]
    assert json.loads(out.read_text()) == {"payload": ""}


@pytest.mark.parametrize("name", ["absent", "."])
def test_what_cannot_be_signed_is_said(comity: Typed, daemon: FakeDaemon, folder: Path, name: str) -> None:
    ran = comity(["sign-artifact", str(folder / name), "--out", str(folder / "out"), "--json"])
    assert (ran.status, json.loads(ran.err)["error"]["code"]) == (40, "file_unusable")
    assert not (folder / "out").exists()
    assert daemon.requests == []


def test_a_signature_is_read_before_anything_is_sent(comity: Typed, daemon: FakeDaemon, model: Path) -> None:
    bad = model.with_name("bad")
    bad.write_bytes(b"\xff")
    send = ["send-file", "lab-b", str(model), "--signature"]
    for words, status in (([str(bad)], 40), (["absent"], 40), ([str(bad), "--queue"], 2)):
        assert comity([*send, *words]).status == status
    assert daemon.requests == []
    good = model.with_name("good")
    good.write_text('{"payload":""}\n')
    daemon.answer("send-file", {"error": {"code": "denied", "message": "m", "hint": "h"}})
    assert comity([*send, str(good)]).status == 39
    [(operation, request)] = daemon.requests
    assert (operation, request["signature"]) == ("send-file", '{"payload":""}')
