"""Sealing keys: renewed in time, kept as long as mail lasts, then gone from the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity import limits
from comity.storage.database import MEMORY
from comity.storage.schema import open_node_database
from comity.storage.sealing import SealingKeyStore

NOW = 1_800_000_000.5


@pytest.fixture
def store() -> SealingKeyStore:
    return SealingKeyStore(open_node_database(MEMORY))


def test_first_key(store: SealingKeyStore) -> None:
    assert store.live(NOW) == []
    own = store.current(NOW)
    assert own.sequence == 1
    assert own.expires == int(NOW) + limits.SEALING_KEY_LIFETIME
    (live,) = store.live(NOW)
    assert live.to_bytes() == own.key.to_bytes()


def test_the_same_until_it_is_time(store: SealingKeyStore) -> None:
    own = store.current(NOW)
    renewal = own.expires - limits.SEALING_KEY_RENEWAL
    assert store.current(renewal - 1).key.to_bytes() == own.key.to_bytes()
    renewed = store.current(renewal)
    assert renewed.sequence == 2
    assert renewed.expires == renewal + limits.SEALING_KEY_LIFETIME
    assert [key.public for key in store.live(renewal)] == [renewed.key.public, own.key.public]


def test_kept_while_mail_may_come_then_deleted(tmp_path: Path) -> None:
    with open_node_database(tmp_path / "node.db") as db:
        store = SealingKeyStore(db)
        own = store.current(NOW)
        dead = own.expires + limits.MAIL_LIFETIME
        store.current(dead - 1)
        assert own.key.public in [key.public for key in store.live(dead - 1)]
        assert own.key.public not in [key.public for key in store.live(dead)]
        store.current(dead)
        for file in tmp_path.iterdir():
            assert own.key.to_bytes() not in file.read_bytes(), f"{file.name} still holds the private key"


def test_a_sequence_is_never_used_twice(store: SealingKeyStore) -> None:
    first = store.current(NOW)
    later = first.expires + limits.MAIL_LIFETIME + 1
    assert store.current(later).sequence == 2
    assert len(store.live(later)) == 1
