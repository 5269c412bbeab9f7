"""The networks of a node that does not run: joined, listed and left in its home, and taken along by key and
backup.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from comity import limits
from comity.clock import SystemClock
from comity.control import InitRequest, NetworkJoinRequest, NetworkLeaveRequest
from comity.errors import InvalidInput, NotInitialised
from comity.identity.card import JoinUrl
from comity.protocol.realm import Realm
from comity.protocol.statements import Predecessor
from comity.protocol.succession import Certificate, open_retirement, open_rotation
from comity.protocol.wire import decode
from comity.sdk import config, identity
from comity.sdk.home import init
from comity.sdk.networks import join, leave, networks
from comity.sdk.succession import rotate
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore

FIRST = "comity://127.0.0.1:9000#" + "ab" * 32
TOKEN = "cd" * 32
SECOND = f"comity://127.0.0.1:9000/2?invite={TOKEN}#" + "ab" * 32
PASSPHRASE = "eight words"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = tmp_path / "home"
    init(InitRequest(hostname="lab-c", join=FIRST), home=place)
    return place


def test_join_list_leave(home: Path) -> None:
    made = join(NetworkJoinRequest(SECOND, "hearts", "lab-h"), home)
    assert (made.name, made.network, made.hostname, made.state) == ("hearts", 2, "lab-h", "stopped")
    assert made.card.startswith("comity:lab-h@127.0.0.1:9000#")
    assert [each.name for each in networks(home).networks] == ["main", "hearts"]
    shown = config.get("networks", home, {})
    assert TOKEN not in str(shown)
    assert shown.value == ("hearts=lab-h@" + SECOND.replace(TOKEN, "..."),)
    with pytest.raises(InvalidInput):
        join(NetworkJoinRequest(SECOND, "again"), home)
    assert leave(NetworkLeaveRequest("hearts"), home).network == 2
    with pytest.raises(InvalidInput):
        leave(NetworkLeaveRequest("main"), home)
    assert Home(home).read_config().networks == ()


def test_there_has_to_be_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for ask in (
        lambda: networks(tmp_path / "none"),
        lambda: join(NetworkJoinRequest(SECOND), tmp_path / "none"),
        lambda: leave(NetworkLeaveRequest("main"), tmp_path / "none"),
    ):
        with pytest.raises(NotInitialised):
            ask()


def test_a_key_is_rotated_for_each_network_and_names_no_other(home: Path, tmp_path: Path) -> None:
    join(NetworkJoinRequest(SECOND, "hearts"), home)
    place, now = Home(home), SystemClock().now()
    old = FileKeyStore(place.identity_key).load().public
    rotate(home)
    new = FileKeyStore(place.identity_key).load().public
    realms = [Realm(JoinUrl.parse(url).named, JoinUrl.parse(url).network) for url in (FIRST, SECOND)]
    said = [
        decode(file.read_bytes(), Predecessor, limits.SUCCESSION_FILE_BYTES)
        for file in (place.rotation, place.rotation_in("hearts"))
    ]
    for word, realm in zip(said, realms, strict=True):
        found, _ = open_rotation(word, new, rendezvous=realm.rendezvous, network=realm.network, now=now)
        assert found == old
    certificate = Certificate.parse(place.retirement.read_bytes())
    retirement = open_retirement(new, certificate.retirement)
    assert (retirement.rendezvous, retirement.network) == ("00" * 32, 1)

    identity.backup(tmp_path / "backup", PASSPHRASE, home)
    identity.restore(tmp_path / "backup", PASSPHRASE, tmp_path / "other")
    assert networks(tmp_path / "other") == networks(home)
    assert [file.name for file in Home(tmp_path / "other").rotations] == [
        file.name for file in place.rotations
    ]
