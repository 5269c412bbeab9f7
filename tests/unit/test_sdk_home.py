"""Setting a node up: what an interruption, a wrong passphrase or a full field does to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity import errors, limits
from comity.control import InitRequest
from comity.identity.fingerprint import Fingerprint
from comity.sdk.home import card, init, read_passphrase
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore

JOIN = "comity://127.0.0.1:9000/2#" + "ab" * 32


def request(**more: object) -> InitRequest:
    fields: dict[str, object] = {"hostname": "lab-a", "join": JOIN} | more
    return InitRequest(**fields)  # type: ignore[arg-type]  # test sugar


def test_card_and_key_agree(tmp_path: Path) -> None:
    result = init(request(), home=tmp_path / "home")
    key = FileKeyStore(tmp_path / "home" / "identity.key").load().public
    assert Fingerprint.parse(result.fingerprint) == key.fingerprint
    assert card(tmp_path / "home") == result
    (tmp_path / "home" / "fingerprint").unlink()
    assert card(tmp_path / "home") == result


def test_join_url_is_kept_in_its_one_spelling(tmp_path: Path) -> None:
    shouted = JOIN.replace("ab", "AB")
    init(request(join=f"  {shouted}\n"), home=tmp_path / "home")
    assert Home(tmp_path / "home").read_config().join == JOIN


def test_interrupted_init_is_finished_with_the_same_key(tmp_path: Path) -> None:
    first = init(request(), home=tmp_path / "home")
    (tmp_path / "home" / "config.toml").unlink()
    assert init(request(), home=tmp_path / "home").fingerprint == first.fingerprint


def test_interrupted_init_with_another_passphrase(tmp_path: Path) -> None:
    init(request(), home=tmp_path / "home", passphrase="one")
    (tmp_path / "home" / "config.toml").unlink()
    with pytest.raises(errors.WrongPassphrase):
        init(request(), home=tmp_path / "home", passphrase="two")
    with pytest.raises(errors.WrongPassphrase):
        init(request(), home=tmp_path / "home")


def test_home_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert init(request(), home=tmp_path / "link").home == str(tmp_path / "real")


def test_folder_that_was_there_and_is_open_to_others(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    with pytest.raises(errors.HomeUnsafe):
        init(request(), home=tmp_path / "home")


@pytest.mark.parametrize("field", ["organization", "contact"])
def test_claims_are_bounded(tmp_path: Path, field: str) -> None:
    init(request(**{field: "x" * limits.CLAIM_BYTES}), home=tmp_path / "fits")
    with pytest.raises(errors.InvalidInput, match=field):
        init(request(**{field: "é" * limits.CLAIM_BYTES}), home=tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_text_that_is_not_unicode_leaves_no_home(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput):
        init(request(organization="\udcff"), home=tmp_path / "home")
    assert not Home(tmp_path / "home").initialised


def test_rename_to_another_rendezvous(tmp_path: Path) -> None:
    before = init(request(organization="O"), home=tmp_path / "home")
    other = "comity://rendezvous.example:9001#" + "cd" * 32
    after = init(request(hostname="lab-a-2", join=other, rename=True), home=tmp_path / "home")
    assert after.fingerprint == before.fingerprint
    assert "@rendezvous.example:9001#" in after.card
    assert Home(tmp_path / "home").read_config().organization == "O"


@pytest.mark.parametrize("content", [b"x" * (limits.PASSPHRASE_BYTES + 1), b"\xff"])
def test_passphrase_files_that_hold_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(errors.ComityError):
        read_passphrase(file)
    with pytest.raises(errors.ComityError):
        read_passphrase(tmp_path / "absent")


def test_passphrase_ends_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(b" correct horse \r\n")
    file.chmod(0o600)
    assert read_passphrase(file) == " correct horse "
