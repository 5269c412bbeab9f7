"""What every keystore promises, on disk and in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from comity.errors import AlreadyInitialised, InvalidInput, NotInitialised, WrongPassphrase
from comity.identity.keys import Identity
from comity.storage.keystore import FileKeyStore, KeyStore, MemoryKeyStore

MakeStore = Callable[[Path], KeyStore]


def on_disk(folder: Path) -> KeyStore:
    return FileKeyStore(folder / "identity.key")


def in_memory(folder: Path) -> KeyStore:
    return MemoryKeyStore()


@pytest.fixture(params=[on_disk, in_memory])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    make: MakeStore = request.param
    return make(tmp_path)


def test_empty(store: KeyStore) -> None:
    with pytest.raises(NotInitialised):
        store.load()


@pytest.mark.parametrize("passphrase", [None, "Hörsaal 4, rechts"])
def test_loads_what_was_saved(store: KeyStore, passphrase: str | None) -> None:
    identity = Identity.generate()
    store.save(identity, passphrase)
    assert store.load(passphrase).public == identity.public


def test_unneeded_passphrase_is_ignored(store: KeyStore) -> None:
    identity = Identity.generate()
    store.save(identity)
    assert store.load("whatever").public == identity.public


@pytest.mark.parametrize("wrong", [None, "wrong", "right "])
def test_wrong_passphrase(store: KeyStore, wrong: str | None) -> None:
    store.save(Identity.generate(), "right")
    with pytest.raises(WrongPassphrase):
        store.load(wrong)


def test_same_text_typed_on_another_keyboard(store: KeyStore) -> None:
    identity = Identity.generate()
    store.save(identity, "caf\u00e9")
    assert store.load("cafe\u0301").public == identity.public


def test_never_replaced(store: KeyStore) -> None:
    identity = Identity.generate()
    store.save(identity)
    with pytest.raises(AlreadyInitialised):
        store.save(Identity.generate())
    assert store.load().public == identity.public


@pytest.mark.parametrize("passphrase", ["", "\ud800"])
def test_no_passphrase_at_all(store: KeyStore, passphrase: str) -> None:
    with pytest.raises(InvalidInput):
        store.save(Identity.generate(), passphrase)
    with pytest.raises(NotInitialised):
        store.load()
