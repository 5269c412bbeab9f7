"""The home folder: private, complete, and its configuration read strictly."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from comity.errors import HomeUnsafe, InvalidInput, NotInitialised, StorageUnusable
from comity.storage.config import Config
from comity.storage.home import Home

CONFIG = Config(
    hostname="charité-trainer",
    join="comity://rv.example:7700#" + "5a" * 32,
    organization='Charité "Mitte"',
    contact="a@b.example",
    listen="0.0.0.0:7701",
    public=True,
    tags=("radiology", "fl"),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def initialise(home: Home) -> None:
    home.write_config(CONFIG)
    home.identity_key.touch(mode=0o600)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_named_by_the_environment(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Home.from_environment({"COMITY_HOME": str(tmp_path / "link")}).path == tmp_path.resolve() / "real"
    assert Home.from_environment({}).path == Path(os.path.realpath(Path.home())) / ".comity"
    assert Home.from_environment({"COMITY_HOME": ""}) == Home.from_environment({})


def test_created_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home = Home(tmp_path / "a" / "b")
        home.create()
        home.create()
        home.write_config(CONFIG)
    finally:
        os.umask(before)
    for folder in (home.path, home.received, home.incoming, home.logs):
        assert mode(folder) == 0o700
    assert mode(home.config) == 0o600


def test_strict_umask_does_no_harm(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        home = Home(tmp_path / "home")
        home.create()
    finally:
        os.umask(before)
    assert mode(home.path) == 0o700


def test_absent_home_is_not_initialised(tmp_path: Path) -> None:
    home = Home(tmp_path / "none")
    assert not home.initialised
    with pytest.raises(NotInitialised, match="none"):
        home.check()
    with pytest.raises(NotInitialised):
        home.read_config()


def test_half_a_home_is_not_initialised(home: Home) -> None:
    home.write_config(CONFIG)
    with pytest.raises(NotInitialised):
        home.check()


def test_whole_home_passes(home: Home) -> None:
    initialise(home)
    home.check()
    assert home.read_config() == CONFIG


@pytest.mark.parametrize(
    ("name", "bad"),
    [(".", 0o750), (".", 0o701), ("received", 0o755), ("config.toml", 0o644), ("identity.key", 0o640)],
)
def test_open_to_others_is_refused(home: Home, name: str, bad: int) -> None:
    initialise(home)
    (home.path / name).chmod(bad)
    with pytest.raises(HomeUnsafe, match=f"{bad:04o}") as caught:
        home.check()
    assert caught.value.hint.startswith("run chmod ")


def test_create_refuses_a_folder_that_others_can_enter(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    with pytest.raises(HomeUnsafe):
        Home(tmp_path / "home").create()


def test_create_refuses_a_file_and_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeUnsafe, match="not a folder"):
        Home(tmp_path / "file").create()
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(HomeUnsafe, match="symbolic link"):
        Home(tmp_path / "link").create()


def test_parent_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnusable, match="file exists"):
        Home(tmp_path / "file" / "home").create()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_other_owner_is_refused(home: Home) -> None:
    initialise(home)
    os.chown(home.identity_key, 12345, -1)
    with pytest.raises(HomeUnsafe, match="12345"):
        home.check()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('hostname = "a"\njoin = "b"\ncolour = 1\nshape = 2\n', "'colour', 'shape'"),
        ('hostname = "a"\n', "join"),
        ('hostname = 7\njoin = "b"\n', "hostname"),
        ('hostname = "a"\njoin = "b"\npublic = "yes"\n', "public"),
        ('hostname = "a"\njoin = "b"\ntags = "fl"\n', "tags"),
        ('hostname = "a"\nhostname = "b"\n', "not valid toml"),
        ("hostname = ", "not valid toml"),
        ("x = " + "[" * 20_000, "not valid toml"),
    ],
)
def test_wrong_configuration_is_named(home: Home, text: str, problem: str) -> None:
    home.config.write_text(text)
    home.config.chmod(0o600)
    with pytest.raises(InvalidInput) as caught:
        home.read_config()
    assert problem in caught.value.message.replace("TOML", "toml")


def test_configuration_that_is_no_text_or_too_long(home: Home) -> None:
    home.config.write_bytes(b"\xff\xfe")
    home.config.chmod(0o600)
    with pytest.raises(InvalidInput):
        home.read_config()
    home.config.write_bytes(b"#" * 70_000)
    with pytest.raises(StorageUnusable, match="larger"):
        home.read_config()


def test_configuration_open_to_others_is_not_read(home: Home) -> None:
    initialise(home)
    home.config.chmod(0o604)
    with pytest.raises(HomeUnsafe):
        home.read_config()


def test_rewriting_leaves_nothing_else_behind(home: Home) -> None:
    for _ in range(2):
        home.write_config(CONFIG)
    assert {path.name for path in home.path.iterdir()} == {"config.toml", "incoming", "logs", "received"}
