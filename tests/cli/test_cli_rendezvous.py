"""The administrator's commands and the backups, as they are typed and answered; the server is stopped."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest

from comity.identity.card import JoinUrl
from comity.storage.home import Home
from tests.cli.conftest import Typed
from tests.rendezvous.client import registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import serving


@pytest.fixture
def state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of a server that one node, lab-a, registered at."""
    state = folder / "state"
    monkeypatch.setenv("COMITY_RENDEZVOUS_HOME", str(state))

    async def serve() -> None:
        async with serving(state) as join, registered(join, Registrant(join.fingerprint, "lab-a")):
            pass

    asyncio.run(serve())
    return state


def test_networks(comity: Typed, state: Path) -> None:
    ran = comity(["rendezvous", "network", "create", "lung-study", "--max-nodes", "20"])
    assert ran.out.splitlines() == [
        "Network created: lung-study, number 2, by invitation",
        "Quotas: 20 nodes, 100000 letters",
        "Next: comity rendezvous invite create --network lung-study",
    ]
    ran = comity(["rendezvous", "network", "change", "default", "--by-invitation", "--max-mail", "50"])
    assert ran.out.splitlines()[:2] == [
        "Network changed: default, number 1, by invitation",
        "Quotas: 100000 nodes, 50 letters",
    ]
    ran = comity(["rendezvous", "network", "change", "1", "--open"])
    assert ran.out.splitlines()[2].startswith("Join URL: comity://127.0.0.1:")
    rows = [line.split() for line in comity(["rendezvous", "network", "list"]).out.splitlines()]
    assert rows[1:] == [
        ["1", "default", "open", "1", "of", "100000", "0", "0", "of", "50", "0B"],
        ["2", "lung-study", "invitation", "0", "of", "20", "0", "0", "of", "100000", "0B"],
    ]


def test_invitations(comity: Typed, state: Path, folder: Path) -> None:
    comity(["rendezvous", "network", "create", "lung-study"])
    typed = ["rendezvous", "invite", "create", "--network", "lung-study"]
    made = json.loads(comity([*typed, "--json", "--uses", "3", "--note", "Charité"]).out)
    url = JoinUrl.parse(made["url"])
    assert (url.network, made["id"], made["uses"]) == (2, 1, 3)
    assert url.invitation is not None
    file = folder / "charite.url"
    ran = comity([*typed, "--out", str(file)])
    assert ran.out == f"Invitation 2 written to {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert comity([*typed, "--out", str(file)]).status == 11
    assert comity(["init", "--hostname", "lab-b", "--join", f"@{file}"]).status == 0
    shown = comity(["config", "get", "join"]).out
    assert "?invite=...#" in shown
    assert str(JoinUrl.parse(file.read_text()).invitation) not in shown
    assert comity(["rendezvous", "invite", "revoke", "2"]).out == "Invitation 2 revoked; used: 0 of 1\n"
    lines = comity(["rendezvous", "invite", "list", "--network", "2"]).out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["1", "open"], ["2", "revoked"], ["3", "open"]]
    assert url.invitation not in "".join(lines)
    ran = comity(["rendezvous", "invite", "create", "--network", "heart-study"])
    assert (ran.status, ran.err.splitlines()[1]) == (2, "hint: run comity rendezvous network list")


def test_nodes_come_and_go(comity: Typed, state: Path) -> None:
    (row,) = comity(["rendezvous", "nodes"]).out.splitlines()[1:]
    assert row.startswith("1:0001.0000.0010  lab-a  ")
    assert comity(["rendezvous", "release", "lab-a"]).out.startswith("Released: lab-a, which ")
    assert "(released)" in comity(["rendezvous", "nodes"]).out
    ran = comity(["rendezvous", "remove", "1:0001.0000.0010"])
    assert ran.out.endswith("(1:0001.0000.0010)\n")
    assert json.loads(comity(["rendezvous", "nodes", "--json"]).out) == {"nodes": []}
    assert comity(["rendezvous", "remove", "lab-a"]).status == 30
    acts = json.loads(comity(["rendezvous", "admin-log", "--json"]).out)["acts"]
    assert [act["act"] for act in acts] == ["node joined", "name released", "node removed"]
    (last,) = comity(["rendezvous", "admin-log", "--limit", "1"]).out.splitlines()[1:]
    assert "  node removed  " in last


def test_a_folder_that_no_server_used(comity: Typed, folder: Path) -> None:
    ran = comity(["rendezvous", "nodes", "--state", str(folder / "nothing")])
    assert ran.status == 10
    assert "comity rendezvous serve" in ran.err
    assert not (folder / "nothing").exists()


def test_backups(
    comity: Typed, state: Path, home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passphrase = folder / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    under = ["--passphrase-file", str(passphrase)]
    node, server = folder / "node.backup", folder / "server.backup"
    ran = comity(["identity", "backup", "--out", str(node), *under])
    assert ran.out.startswith(f"Backup of lab-a-trainer: {node} (")
    assert comity(["rendezvous", "backup", "--out", str(server), *under]).status == 0
    monkeypatch.setenv("COMITY_HOME", str(folder / "restored"))
    ran = comity(["identity", "restore", str(node), *under])
    assert ran.out.splitlines()[0].endswith(f"in {folder / 'restored'}")
    assert ran.out.splitlines()[1] == "Next: comity up"
    assert json.loads(comity(["card", "--json"]).out)["hostname"] == "lab-a-trainer"
    there = ["--state", str(folder / "elsewhere")]
    assert comity(["rendezvous", "restore", str(server), *under, *there]).status == 0
    assert "lab-a" in comity(["rendezvous", "nodes", *there]).out
    passphrase.write_text("wrong\n")
    assert (
        comity(["rendezvous", "restore", str(server), *under, "--state", str(folder / "third")]).status == 16
    )
