"""The guard decides, records every decision, and its denials outlive the transaction that they end."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from comity import limits
from comity.clock import ManualClock
from comity.control.audit import AuditEntry, AuditLogRequest
from comity.entropy import PredictableEntropy
from comity.errors import Denied
from comity.identity.keys import Identity, PublicKey
from comity.policy.operation import Operation, Standing
from comity.services.audit import AuditService
from comity.services.guard import Guard
from comity.storage.database import MEMORY, Database
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database

AGREEMENT = "sha256:" + "ab" * 32
DIGEST = "sha256:" + "12" * 32
OWNER = Identity.generate().public
PEER = Identity.generate().public
STRANGER = Identity.generate().public
SEND = Operation(
    kind="send", peer=PEER, service="exchange", name="model.safetensors", digest=DIGEST, bytes=142
)


class House:
    """A guard over a real log; ``standings`` is what the trust service would answer."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.db: Database = open_node_database(MEMORY)
        self.audit = AuditService(self.db, AuditKey.generate(OWNER), self.clock, PredictableEntropy(1))
        until = int(self.clock.now()) + 1000
        self.standings: dict[PublicKey, Standing] = {
            PEER: Standing(agreement=AGREEMENT, status="active", until=until, allow=("exchange",))
        }
        self.guard = Guard(self.standings.get, self.audit, self.clock)

    def entries(self) -> tuple[AuditEntry, ...]:
        return self.audit.log(AuditLogRequest(kind="decision")).entries


@pytest.fixture
def house() -> House:
    return House()


def test_allowed_is_recorded(house: House) -> None:
    assert house.guard.check(SEND).allowed
    house.guard.require(SEND)
    first, second = house.entries()
    assert (first.operation, first.decision, first.peer) == ("send", "allow", str(PEER.fingerprint))
    assert first.digest == DIGEST
    assert first.detail == {
        "service": "exchange",
        "agreement": AGREEMENT,
        "name": "model.safetensors",
        "bytes": 142,
    }
    assert second.detail == first.detail


def test_connect_is_recorded_too(house: House) -> None:
    house.guard.require(Operation(kind="connect", peer=PEER, service="session"))
    (entry,) = house.entries()
    assert (entry.operation, entry.decision, entry.detail["service"]) == ("connect", "allow", "session")


def test_denied_is_recorded_with_its_reasons(house: House) -> None:
    with pytest.raises(Denied, match="does not open the service events") as caught:
        house.guard.require(Operation(kind="connect", peer=PEER, service="events"))
    assert caught.value.message.startswith("connect (events) was denied: ")
    (entry,) = house.entries()
    assert (entry.decision, entry.reasons) == ("deny", ("the agreement does not open the service events",))


def test_revocation_and_expiry_bite_at_once(house: House) -> None:
    assert house.guard.check(SEND).allowed
    house.clock.advance(1000)
    assert not house.guard.check(SEND).allowed
    house.standings.pop(PEER)
    assert house.guard.check(SEND).reasons == ("there is no agreement with this peer",)
    assert [entry.decision for entry in house.entries()] == ["allow", "deny", "deny"]


def test_denial_outlives_the_transaction_that_it_ends(house: House) -> None:
    def serve() -> None:
        with house.db.transaction():
            house.audit.append("received")
            house.guard.require(Operation(kind="receive", peer=STRANGER, service="exchange"))

    with pytest.raises(Denied):
        serve()
    (entry,) = house.audit.log(AuditLogRequest()).entries
    assert (entry.kind, entry.decision, entry.peer) == ("decision", "deny", str(STRANGER.fingerprint))


def test_allowance_is_undone_with_its_transaction(house: House) -> None:
    def serve() -> None:
        with house.db.transaction():
            house.guard.require(SEND)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve()
    assert house.entries() == ()


def test_strangers_cannot_fill_the_log(house: House) -> None:
    knock = Operation(kind="accept", peer=STRANGER, service="session")
    for _ in range(limits.DENIALS_BURST + 50):
        assert not house.guard.check(knock).allowed
    assert len(house.entries()) == limits.DENIALS_BURST
    assert house.guard.check(SEND).allowed, "peers with an agreement are not affected"
    assert not house.guard.check(Operation(kind="connect", peer=PEER, service="events")).allowed
    assert len(house.entries()) == limits.DENIALS_BURST + 2
    house.clock.advance(1 / limits.DENIALS_PER_SECOND)
    for _ in range(2):
        assert not house.guard.check(knock).allowed
    last = house.entries()[-1]
    assert last.detail["unrecorded"] == 50
    assert len(house.entries()) == limits.DENIALS_BURST + 3


@pytest.mark.parametrize("status", ["active", "expired", "revoked"])
def test_a_partner_cannot_fill_the_log_from_outside(
    house: House, status: Literal["active", "expired", "revoked"]
) -> None:
    house.standings[PEER] = replace(house.standings[PEER], status=status)
    knock = Operation(kind="accept", peer=PEER, service="events")
    for _ in range(limits.DENIALS_BURST + 50):
        assert not house.guard.check(knock).allowed
    assert len(house.entries()) == limits.DENIALS_BURST
    stranger = Operation(kind="accept", peer=STRANGER, service="session")
    assert not house.guard.check(stranger).allowed
    assert len(house.entries()) == limits.DENIALS_BURST + 1, "it used up its own allowance alone"


def test_what_people_here_try_is_always_recorded(house: House) -> None:
    for _ in range(limits.DENIALS_BURST + 50):
        assert not house.guard.check(Operation(kind="send", peer=PEER, service="events")).allowed
    assert len(house.entries()) == limits.DENIALS_BURST + 50
