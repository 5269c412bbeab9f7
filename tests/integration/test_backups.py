"""Backups of nodes and of a rendezvous: made while they run, restored elsewhere, refused where damaged."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import limits
from comity.control import InitRequest
from comity.control import rendezvous as control
from comity.errors import (
    AlreadyInitialised,
    AlreadyRunning,
    FileUnusable,
    InvalidInput,
    NotInitialised,
    TooLarge,
    WrongPassphrase,
)
from comity.identity.card import JoinUrl
from comity.protocol.registry import Post, Posted
from comity.sdk import config, daemon, identity
from comity.sdk import rendezvous as admin
from comity.sdk.home import card, init
from comity.storage.home import Home
from comity.storage.schema import open_node_database
from tests.cli.fake_daemon import JOIN, new_home, short_folder
from tests.labs import eventually
from tests.rendezvous.client import registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.program import running
from tests.rendezvous.server import serving

PASSPHRASE = "correct horse"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as path:
        (path / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(path / "run"))
        yield path


def test_an_identity_comes_back_as_it_was(folder: Path) -> None:
    home = new_home(folder)
    with open_node_database(home.database) as db:
        db.execute("UPDATE clock SET now = 1234")
    made = identity.backup(folder / "backup", PASSPHRASE, home.path)
    assert stat.S_IMODE((folder / "backup").stat().st_mode) == 0o600
    assert (made.name, made.fingerprint) == ("lab-a-trainer", card(home.path).fingerprint)
    key = home.identity_key.read_bytes()
    assert key not in (folder / "backup").read_bytes()
    restored = identity.restore(folder / "backup", PASSPHRASE, folder / "new")
    assert (restored.place, restored.created_at) == (str(folder / "new"), made.created_at)
    new = Home(folder / "new")
    new.check()
    assert new.identity_key.read_bytes() == key
    assert new.read_config() == home.read_config()
    assert card(new.path).card == card(home.path).card
    with open_node_database(new.database) as db:
        assert db.execute("SELECT now FROM clock").fetchone()[0] == 1234


def test_a_locked_key_stays_locked(folder: Path) -> None:
    init(InitRequest(hostname="lab-a", join=JOIN), home=folder / "home", passphrase="its own")
    identity.backup(folder / "backup", PASSPHRASE, folder / "home")
    identity.restore(folder / "backup", PASSPHRASE, folder / "new")
    assert b"comity-protected-key" in Home(folder / "new").identity_key.read_bytes()


def test_what_a_backup_and_a_restore_refuse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotInitialised):
        identity.backup(folder / "backup", PASSPHRASE, folder / "absent")
    home = new_home(folder)
    with pytest.raises(InvalidInput):
        identity.backup(folder / "backup", "", home.path)
    identity.backup(folder / "backup", PASSPHRASE, home.path)
    with pytest.raises(AlreadyInitialised):
        identity.backup(folder / "backup", PASSPHRASE, home.path)
    with pytest.raises(AlreadyInitialised):
        identity.restore(folder / "backup", PASSPHRASE, home.path)
    with pytest.raises(WrongPassphrase):
        identity.restore(folder / "backup", "another", folder / "new")
    with pytest.raises(FileUnusable, match="another kind: identity"):
        admin.restore(folder / "backup", PASSPHRASE, folder / "state")
    os.mkfifo(folder / "pipe")
    for unusable in ("nothing", "pipe", "."):
        with pytest.raises(FileUnusable):
            identity.restore(folder / unusable, PASSPHRASE, folder / "new")
    with pytest.raises(FileUnusable):
        identity.backup(folder / "nowhere" / "backup", PASSPHRASE, home.path)
    (folder / "link").symlink_to(folder / "target")
    with pytest.raises(AlreadyInitialised, match="exists already"):
        identity.backup(folder / "link", PASSPHRASE, home.path)
    assert not (folder / "target").exists()
    greedy = (folder / "backup").read_bytes().replace(b'"passes":3', b'"passes":64')
    (folder / "greedy").write_bytes(greedy)
    with pytest.raises(FileUnusable):  # at once: a forged header can't ask for minutes of work
        identity.restore(folder / "greedy", PASSPHRASE, folder / "new")
    home.lease.write_text('{"host": "elsewhere", "pid": 1, "boot": "", "runtime": ""}')
    home.lease.chmod(0o600)
    with pytest.raises(AlreadyRunning, match="elsewhere"):
        identity.backup(folder / "second", PASSPHRASE, home.path)
    home.lease.unlink()
    open_node_database(home.database).close()
    monkeypatch.setattr(limits, "BACKUP_DATABASE_BYTES", 10)
    with pytest.raises(TooLarge):
        identity.backup(folder / "second", PASSPHRASE, home.path)
    assert not (folder / "new").exists()


def test_a_damaged_backup_is_noticed_at_every_byte(folder: Path) -> None:
    home = new_home(folder)
    identity.backup(folder / "backup", PASSPHRASE, home.path)
    good = (folder / "backup").read_bytes()
    head = good.index(b"\n", 20)
    for at in (0, 5, head - 60, head + 1, len(good) // 2, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        (folder / "bad").write_bytes(bad)
        with pytest.raises((FileUnusable, WrongPassphrase)):
            identity.restore(folder / "bad", PASSPHRASE, folder / "new")
    for short in (b"", good[:30], good[: head + 1], good[:-1]):
        (folder / "bad").write_bytes(short)
        with pytest.raises((FileUnusable, WrongPassphrase)):
            identity.restore(folder / "bad", PASSPHRASE, folder / "new")


async def test_a_rendezvous_moves_with_its_mail_names_and_invitations(folder: Path) -> None:
    old, new, file = folder / "old", folder / "new", folder / "backup"
    async with serving(old) as join:
        anna = Registrant(join.fingerprint, "anna")
        bert = Registrant(join.fingerprint, "bert")
        async with registered(join, bert):
            pass
        async with registered(join, anna) as client:
            letter = Post(id=9, recipient=bert.key.hex(), message_id="22" * 16, blob=b"sealed", keep=True)
            await client.ask(letter, Posted)
            await asyncio.to_thread(admin.create_network, control.NetworkCreateRequest("study"), old)
            request = control.InviteCreateRequest("study", 1, 3600)
            invitation = JoinUrl.parse((await asyncio.to_thread(admin.invite, request, old)).url)
            made = await asyncio.to_thread(admin.backup, file, PASSPHRASE, old)
    assert (made.name, made.fingerprint) == (join.authority, str(join.fingerprint))
    with pytest.raises(AlreadyInitialised):
        admin.restore(file, PASSPHRASE, old)
    with pytest.raises(WrongPassphrase):
        admin.restore(file, "another", new)
    admin.restore(file, PASSPHRASE, new)
    async with serving(new) as moved:
        assert (moved.fingerprint, moved.port != join.port) == (join.fingerprint, True)
        async with registered(moved, bert) as client:
            assert (await client.mail()).blob == b"sealed"
        carl = Registrant(
            moved.fingerprint, "carl", network=invitation.network, invitation=invitation.invitation
        )
        async with registered(moved, carl) as client:
            assert (await client.register()).address == "2:0002.0000.0010"
        found = await asyncio.to_thread(admin.nodes, "1", new)
        assert [(node.hostname, node.address) for node in found.nodes] == [
            ("bert", "1:0001.0000.0010"),
            ("anna", "1:0001.0000.0020"),
        ]
        with pytest.raises(AlreadyRunning):
            await asyncio.to_thread(admin.restore, file, PASSPHRASE, new)


def registered_at(home: Path) -> str | None:
    """Start the node; its address, once the rendezvous has told it."""
    daemon.start(home)
    eventually(lambda: daemon.status(home).rendezvous_state == "registered", "it is registered")
    return daemon.status(home).address


async def test_a_running_node_is_backed_up_and_returns_when_told_the_new_url(folder: Path) -> None:
    home, copy = folder / "home", folder / "copy"
    async with running(folder / "old") as (_, join):

        def first() -> str | None:
            init(InitRequest(hostname="lab-a", join=str(join)), home=home)
            try:
                address = registered_at(home)
                identity.backup(folder / "node.backup", PASSPHRASE, home)
                admin.backup(folder / "server.backup", PASSPHRASE, folder / "old")
                return address
            finally:
                daemon.stop(home)

        address = await asyncio.to_thread(first)
    admin.restore(folder / "server.backup", PASSPHRASE, folder / "new")
    async with running(folder / "new") as (_, moved):

        def second() -> None:
            identity.restore(folder / "node.backup", PASSPHRASE, copy)
            config.change("join", str(moved), copy)
            try:
                assert registered_at(copy) == address == "1:0001.0000.0010"
            finally:
                daemon.stop(copy)

        await asyncio.to_thread(second)
