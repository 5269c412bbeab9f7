"""The log key: made once, private, certified by the identity in a statement that is renewed when it must."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from comity import limits
from comity.clock import ManualClock
from comity.entropy import PredictableEntropy
from comity.errors import HomeUnsafe, StorageUnusable
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity
from comity.protocol.statements import LogKey, open_statement
from comity.protocol.succession import NOWHERE
from comity.services.logkey import certify
from comity.services.notary import Notary
from comity.storage.database import MEMORY
from comity.storage.logkey import AuditKey, load_audit_key
from comity.storage.schema import open_node_database
from comity.storage.trust import TrustStore

IDENTITY = Identity.generate()
RENDEZVOUS = Fingerprint(bytes(32))


def notary(clock: ManualClock, network: int = 1, identity: Identity = IDENTITY) -> Notary:
    store = TrustStore(open_node_database(MEMORY), f"{RENDEZVOUS}/1")
    return Notary(identity, RENDEZVOUS, network, store, clock, PredictableEntropy(1))


def test_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    key = load_audit_key(path, IDENTITY.public)
    again = load_audit_key(path, IDENTITY.public)
    assert again.public == key.public
    assert again.origin == f"comity.audit/{IDENTITY.public.fingerprint}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "private" not in repr(key).lower()


def test_open_to_others_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    load_audit_key(path, IDENTITY.public)
    path.chmod(0o644)
    with pytest.raises(HomeUnsafe):
        load_audit_key(path, IDENTITY.public)
    path.chmod(0o600)
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(StorageUnusable, match="damaged"):
        load_audit_key(path, IDENTITY.public)


def test_certificate_says_which_key_signs_which_log(tmp_path: Path) -> None:
    clock, key = ManualClock(), AuditKey.generate(IDENTITY.public)
    envelope = certify(tmp_path / "log.key.json", key, notary(clock), clock, PredictableEntropy(2))
    statement = open_statement(
        envelope,
        LogKey,
        issuer=IDENTITY.public,
        rendezvous=NOWHERE.rendezvous,
        network=NOWHERE.network,
        now=clock.now(),
    )
    assert (statement.origin, statement.key) == (key.origin, key.public.hex())
    assert statement.expires - statement.issued == limits.LOG_KEY_LIFETIME


def test_certificate_is_kept_until_it_no_longer_holds(tmp_path: Path) -> None:
    path, clock, key = tmp_path / "log.key.json", ManualClock(), AuditKey.generate(IDENTITY.public)

    def renewed(key: AuditKey = key, network: int = 1) -> bool:
        before = path.read_bytes()
        certify(path, key, notary(clock, network), clock, PredictableEntropy(3))
        return path.read_bytes() != before

    certify(path, key, notary(clock), clock, PredictableEntropy(2))
    assert not renewed()
    assert not renewed(network=2)  # it is the same everywhere
    assert renewed(key=AuditKey.generate(IDENTITY.public))
    assert renewed(key=key)
    clock.advance(limits.LOG_KEY_LIFETIME + limits.CLOCK_SKEW + 1)
    assert renewed()
    path.write_bytes(b"damaged")
    assert renewed()
    assert not renewed()
