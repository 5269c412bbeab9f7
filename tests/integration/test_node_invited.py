"""A real daemon joins a network by invitation, its key locked by a passphrase that systemd hands over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity.control import InitRequest
from comity.control import rendezvous as control
from comity.errors import NotAdmitted, WrongPassphrase
from comity.sdk import daemon
from comity.sdk import rendezvous as admin
from comity.sdk.home import init
from tests.cli.fake_daemon import short_folder
from tests.labs import eventually
from tests.rendezvous.program import running


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as path:
        (path / "run").mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(path / "run"))
        yield path


async def test_join_by_invitation_and_start_without_a_person(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, first, second = folder / "state", folder / "a", folder / "b"
    async with running(state):

        def joining() -> None:
            admin.create_network(control.NetworkCreateRequest("lung-study"), state)
            url = admin.invite(control.InviteCreateRequest("2", 1, 3600), state).url
            init(InitRequest(hostname="lab-a", join=url), home=first, passphrase="correct horse")
            with pytest.raises(WrongPassphrase):
                daemon.start(first)
            (folder / "comity-passphrase").write_text("correct horse\n")
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
            try:
                for _ in range(2):  # the second time it is known by its key
                    daemon.start(first)
                    eventually(lambda: daemon.status(first).address == "2:0002.0000.0010", "it is admitted")
                    daemon.stop(first)
            finally:
                daemon.stop(first)
            init(InitRequest(hostname="lab-b", join=url), home=second)
            with pytest.raises(NotAdmitted):
                daemon.start(second)

        await asyncio.to_thread(joining)
