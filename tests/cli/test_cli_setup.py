"""init, card, status and down without a daemon: what a person types first, right and wrong."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from comity.identity.card import Card
from comity.storage.home import Home
from tests.cli.conftest import Typed
from tests.cli.fake_daemon import JOIN, FakeDaemon


def test_init_makes_a_private_home_and_says_what_to_do_next(comity: Typed, folder: Path) -> None:
    ran = comity(["init", "--hostname", "charité-trainer", "--join", JOIN, "--organization", "Charité"])
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0] == "Identity created: charité-trainer"
    assert lines[1].startswith("Fingerprint: ")
    card = Card.parse(lines[2].removeprefix("Card: "))
    assert (card.hostname, card.rendezvous) == ("charité-trainer", "127.0.0.1:9000")
    assert lines[3].startswith("Revocation certificate: ")
    assert lines[4] == "Next: comity up"
    home = Home(folder / "home")
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.identity_key.stat().st_mode) == 0o600
    assert home.read_config().organization == "Charité"


def test_init_json(comity: Typed, folder: Path) -> None:
    ran = comity(["--json", "init", "--hostname", "lab-a", "--join", JOIN])
    result = json.loads(ran.out)
    assert set(result) >= {"hostname", "fingerprint", "card", "home"}
    assert result["home"] == str(folder / "home")
    assert Card.parse(result["card"]).fingerprint.digest.hex() == result["fingerprint"]


def test_join_url_from_file_and_from_standard_input(
    comity: Typed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "join.url"
    file.write_text(JOIN + "\n")
    assert comity(["init", "--hostname", "lab-a", "--join", f"@{file}"]).status == 0
    monkeypatch.setenv("COMITY_HOME", str(folder / "second"))
    monkeypatch.setattr("sys.stdin", io.StringIO(JOIN + "\n"))
    assert comity(["init", "--hostname", "lab-b", "--join", "-"]).status == 0


@pytest.mark.parametrize(
    ("join", "code", "status"),
    [
        ("http://rendezvous.example:9000", "invalid_join_url", 2),
        ("comity://127.0.0.1:9000", "invalid_join_url", 2),
        ("comity://127.0.0.1:9000#abcd", "invalid_join_url", 2),
        ("comity://127.0.0.1:99999#" + "ab" * 32, "invalid_join_url", 2),
        (JOIN.replace("#", "?token=1#"), "invalid_join_url", 2),
        ("@FOLDER/absent", "file_unusable", 40),
        ("@FOLDER", "file_unusable", 40),
        ("@FOLDER/empty", "invalid_join_url", 2),
        ("@FOLDER/binary", "invalid_join_url", 2),
    ],
)
def test_malformed_join_url(comity: Typed, folder: Path, join: str, code: str, status: int) -> None:
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    ran = comity(["init", "--hostname", "lab-a", "--join", join.replace("FOLDER", str(folder)), "--json"])
    assert (json.loads(ran.err)["error"]["code"], ran.status) == (code, status)
    assert ran.out == ""
    assert not (folder / "home").exists()


@pytest.mark.parametrize("hostname", ["", "../x", "a b", "lab\u202ea", "1:0001.0000.0010", "pаypal"])
def test_malformed_hostname_leaves_nothing_behind(comity: Typed, folder: Path, hostname: str) -> None:
    ran = comity(["init", "--hostname", hostname, "--join", JOIN])
    assert ran.status == 2
    assert ran.err.startswith("error: ")
    assert "\u202e" not in ran.err
    assert not (folder / "home").exists()


def test_a_node_needs_a_rendezvous(comity: Typed) -> None:
    ran = comity(["init", "--hostname", "lab-a"])
    assert ran.status == 2
    assert "--join" in ran.err


def test_second_init_is_refused_and_changes_nothing(comity: Typed, home: Home) -> None:
    before = home.identity_key.read_bytes(), home.config.read_bytes()
    ran = comity(["init", "--hostname", "other", "--join", JOIN])
    assert ran.status == 11
    assert "--rename" in ran.err
    assert (home.identity_key.read_bytes(), home.config.read_bytes()) == before


def test_rename_keeps_the_identity_and_what_is_not_given(comity: Typed, home: Home) -> None:
    before = json.loads(comity(["card", "--json"]).out)
    ran = comity(["init", "--rename", "--hostname", "lab-a-2", "--contact", "it@a.example", "--json"])
    after = json.loads(ran.out)
    assert after["fingerprint"] == before["fingerprint"]
    assert after["hostname"] == "lab-a-2"
    assert home.read_config().join == JOIN
    assert home.read_config().contact == "it@a.example"


def test_rename_needs_a_node(comity: Typed) -> None:
    assert comity(["init", "--rename", "--hostname", "lab-a"]).status == 10


def test_home_open_to_others_is_refused(comity: Typed, home: Home) -> None:
    home.path.chmod(0o755)
    ran = comity(["card"])
    assert ran.status == 14
    assert f"hint: run chmod 700 {home.path}" in ran.err


def test_card_is_one_line_on_standard_output(comity: Typed, home: Home) -> None:
    ran = comity(["card"])
    card = Card.parse(ran.out)
    assert ran.out == f"{card}\n"
    assert ran.err == f"Fingerprint, to be read by phone: {card.fingerprint.grouped}\n"


def test_card_with_a_passphrase_on_the_key(comity: Typed, folder: Path) -> None:
    secret = folder / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    created = comity(["init", "--hostname", "a", "--join", JOIN, "--passphrase-file", str(secret), "--json"])
    assert b"PRIVATE KEY" not in (folder / "home" / "identity.key").read_bytes()
    assert json.loads(comity(["card", "--json"]).out)["card"] == json.loads(created.out)["card"]


def test_passphrase_file_that_others_can_read_is_refused(comity: Typed, folder: Path) -> None:
    secret = folder / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o644)
    ran = comity(["init", "--hostname", "a", "--join", JOIN, "--passphrase-file", str(secret)])
    assert ran.status == 14


def test_status_and_down_when_nothing_runs(comity: Typed, home: Home) -> None:
    for command in ("status", "down"):
        ran = comity([command, "--json"])
        assert ran.status == 0
        result = json.loads(ran.out)
        assert result["running"] is False
        assert result["hostname"] == "lab-a-trainer"
        assert result["pid"] is None
        assert len(result["fingerprint"]) == 64
    assert comity(["status"]).out.splitlines()[0] == "Agent is not running: lab-a-trainer"


@pytest.mark.parametrize(
    "args",
    [
        ["ping", "x"],
        ["info"],
        ["pending"],
        ["trust"],
        ["peers"],
        ["received"],
        ["transfers"],
        ["audit", "verify"],
        ["handshake", "x", "y"],
    ],
)
def test_commands_that_need_a_daemon(comity: Typed, home: Home, args: list[str]) -> None:
    ran = comity(args)
    assert ran.status == 12
    assert ran.out == ""
    assert ran.err == f"error: the node in {home.path} is not running\nhint: run comity up\n"


@pytest.mark.parametrize("args", [["status"], ["up"], ["down"], ["info"], ["card"], ["logs"], ["pending"]])
def test_commands_that_need_a_home(comity: Typed, folder: Path, args: list[str]) -> None:
    ran = comity([*args, "--json"])
    assert ran.status == 10
    assert json.loads(ran.err)["error"]["hint"] == "run comity init --hostname NAME --join URL"


def test_daemon_that_left_its_socket_behind(comity: Typed, daemon: FakeDaemon, home: Home) -> None:
    daemon.stop()
    assert comity(["pending"]).status == 12
    assert json.loads(comity(["status", "--json"]).out)["running"] is False


def test_folder_of_sockets_that_others_can_enter(comity: Typed, daemon: FakeDaemon, folder: Path) -> None:
    (folder / "run" / "comity").chmod(0o777)
    assert comity(["pending"]).status == 14
