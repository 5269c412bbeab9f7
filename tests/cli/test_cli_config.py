"""config get, set and list: what is written, what goes before what, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comity.storage.home import Home
from tests.cli.conftest import Typed
from tests.cli.fake_daemon import JOIN, FakeDaemon

RUNNING = {"running": True, "hostname": "lab-a-trainer", "fingerprint": "ab" * 32}


def listed(comity: Typed) -> dict[str, tuple[object, str]]:
    result = json.loads(comity(["config", "list", "--json"]).out)
    return {each["name"]: (each["value"], each["source"]) for each in result["settings"]}


def test_list_says_where_each_value_was_said(
    comity: Typed, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert comity(["config", "set", "tags", "lung, trainer"]).out == "tags = lung,trainer\n"
    monkeypatch.setenv("COMITY_LISTEN", "127.0.0.1:9100")
    found = listed(comity)
    assert found["hostname"] == ("lab-a-trainer", "file")
    assert found["join"] == (JOIN, "file")
    assert found["tags"] == (["lung", "trainer"], "file")
    assert found["listen"] == ("127.0.0.1:9100", "environment")
    assert found["public"] == (False, "default")
    lines = comity(["config", "list"]).out.splitlines()
    assert lines[0].split() == ["SETTING", "FLAG", "VARIABLE", "FROM", "VALUE"]
    shown = [line.split() for line in lines]
    assert ["listen", "--listen", "COMITY_LISTEN", "COMITY_LISTEN", "127.0.0.1:9100"] in shown
    assert ["public", "-", "COMITY_PUBLIC", "default", "false"] in shown


def test_a_persons_comments_stay(comity: Typed, home: Home) -> None:
    home.config.write_text("# ask ana first\n" + home.config.read_text() + "# the end\n")
    assert comity(["config", "set", "listen", "127.0.0.1:9100"]).status == 0
    assert comity(["config", "set", "tags", "lung"]).status == 0
    written = home.config.read_text()
    assert written.startswith("# ask ana first\nhostname")
    assert written.endswith("# the end\n")
    assert home.config.stat().st_mode & 0o777 == 0o600
    assert listed(comity)["tags"] == (["lung"], "file")


def test_set_and_get(comity: Typed, home: Home) -> None:
    for name, value, back in (
        ("hostname", "LAB-B", "lab-b"),
        ("public", "yes", "true"),
        ("private_networks", "10.20.0.0/16 fd00::/8", "10.20.0.0/16,fd00::/8"),
        ("passphrase_file", "/run/secrets/passphrase", "/run/secrets/passphrase"),
        ("log_format", "json", "json"),
        ("organization", "Charité", "Charité"),
        ("organization", "", ""),
    ):
        assert comity(["config", "set", name, value]).status == 0
        assert comity(["config", "get", name]).out == back + "\n"
    written = home.read_config()
    assert (written.hostname, written.public, written.private_networks) == (
        "lab-b",
        True,
        ("10.20.0.0/16", "fd00::/8"),
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hostname", ""),
        ("hostname", "a b"),
        ("join", "http://example"),
        ("listen", "nowhere"),
        ("public", "perhaps"),
        ("tags", "UPPER"),
        ("private_networks", "10.0.0.1/8"),
        ("log_format", "xml"),
        ("passphrase_file", "relative"),
        ("contact", "x" * 513),
        ("colour", "red"),
    ],
)
def test_what_cannot_be_understood_changes_nothing(comity: Typed, home: Home, name: str, value: str) -> None:
    before = home.config.read_bytes()
    ran = comity(["config", "set", name, value])
    assert ran.status == 2
    assert name in ran.err
    assert home.config.read_bytes() == before


def test_an_unknown_setting_and_a_home_that_is_not_there(comity: Typed, folder: Path) -> None:
    assert comity(["config", "get", "colour"]).status == 2
    assert comity(["config", "get", "listen"]).status == 10
    assert comity(["config", "set", "listen", ""]).status == 10


def test_a_wrong_variable_is_named(comity: Typed, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMITY_PUBLIC", "perhaps")
    ran = comity(["config", "list"])
    assert ran.status == 2
    assert ran.err.startswith("error: COMITY_PUBLIC: ")


def test_a_running_node_has_to_start_again(comity: Typed, home: Home, daemon: FakeDaemon) -> None:
    daemon.answer("status", RUNNING)
    ran = comity(["config", "set", "listen", "127.0.0.1:9100"])
    assert "comity down, then comity up" in ran.err
    unchanged = json.loads(comity(["config", "set", "listen", "127.0.0.1:9100", "--json"]).out)
    assert (unchanged["restart_needed"], unchanged["before"]) == (False, "127.0.0.1:9100")


def test_an_override_is_told(comity: Typed, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMITY_LISTEN", "127.0.0.1:1")
    ran = comity(["config", "set", "listen", "127.0.0.1:9100"])
    assert ran.err == "note: COMITY_LISTEN is set here and goes before the file\n"
    assert listed(comity)["listen"] == ("127.0.0.1:1", "environment")


def test_the_credential_of_systemd(
    comity: Typed, home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert listed(comity)["passphrase_file"] == ("", "default")
    credential = folder / "comity-passphrase"
    credential.write_text("correct horse")
    assert listed(comity)["passphrase_file"] == (str(credential), "credential")
    comity(["config", "set", "passphrase_file", "/etc/passphrase"])
    assert listed(comity)["passphrase_file"] == ("/etc/passphrase", "file")
