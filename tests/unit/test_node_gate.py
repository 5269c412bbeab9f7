"""Who is let in, what they are told, and what happens when a decision can't be recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from comity import limits
from comity.clock import ManualClock
from comity.control import AuditLogRequest
from comity.entropy import PredictableEntropy
from comity.errors import DiskFull
from comity.identity.keys import Identity, PublicKey
from comity.policy.operation import Decision, Operation, Standing
from comity.protocol.hello import (
    ECHO_PORT,
    EVENTS_PORT,
    EXCHANGE_PORT,
    SESSION_PORT,
    UNIFORM_REFUSAL,
    Hello,
)
from comity.services.audit import AuditService
from comity.services.gate import GuardedGate
from comity.services.guard import Guard
from comity.storage.database import MEMORY
from comity.storage.logkey import AuditKey
from comity.storage.schema import open_node_database

OWN, PEER, STRANGER = (Identity.generate().public for _ in range(3))
AGREEMENT = "sha256:" + "a" * 64


def hello(port: int, agreement: str | None = None) -> Hello:
    return Hello(oldest=1, newest=1, port=port, instance="0" * 32, agreement=agreement)


def standing(peer: PublicKey) -> Standing | None:
    if peer != PEER:
        return None
    return Standing(agreement=AGREEMENT, status="active", until=2_000_000_000, allow=("exchange",))


def approved(peer: PublicKey) -> bool:
    return peer == PEER


class FullDisk(Guard):
    """A guard that can't write."""

    def check(self, operation: Operation) -> Decision:
        raise DiskFull("no space left for node.db")


@pytest.fixture
def audit() -> Iterator[AuditService]:
    with open_node_database(MEMORY) as db:
        yield AuditService(db, AuditKey.generate(OWN), ManualClock(), PredictableEntropy(1))


def test_an_approved_peer_gets_what_its_agreement_opens_and_reasons_otherwise(audit: AuditService) -> None:
    gate = GuardedGate(approved, Guard(standing, audit, ManualClock()), ManualClock())
    for port in (SESSION_PORT, ECHO_PORT, EXCHANGE_PORT):
        assert gate.admit(PEER, hello(port)) is None
    assert gate.admit(PEER, hello(EXCHANGE_PORT, AGREEMENT)) is None
    events = gate.admit(PEER, hello(EVENTS_PORT))
    assert events is not None
    assert (events.code, events.reason) == ("denied", "the agreement does not open the service events")
    other = gate.admit(PEER, hello(EXCHANGE_PORT, "sha256:" + "b" * 64))
    assert other is not None
    assert "another agreement" in other.reason
    unknown = gate.admit(PEER, hello(4444))
    assert unknown is not None
    assert unknown.code == "unknown_port"
    entries = audit.log(AuditLogRequest(kind="decision")).entries
    assert [(entry.operation, entry.decision) for entry in entries] == [("accept", "allow")] * 4 + [
        ("accept", "deny")
    ] * 2


def test_a_stranger_always_gets_the_same_answer(audit: AuditService) -> None:
    gate = GuardedGate(approved, Guard(standing, audit, ManualClock()), ManualClock())
    assert not gate.approved(STRANGER)
    for port in (SESSION_PORT, ECHO_PORT, EXCHANGE_PORT, EVENTS_PORT, 4444):
        assert gate.admit(STRANGER, hello(port)) is UNIFORM_REFUSAL


def test_what_cannot_be_recorded_does_not_happen(audit: AuditService) -> None:
    gate = GuardedGate(approved, FullDisk(standing, audit, ManualClock()), ManualClock())
    refused = gate.admit(PEER, hello(SESSION_PORT))
    assert refused is not None
    assert refused.code == "unavailable"


def test_the_log_has_the_cause_that_the_wire_does_not_show(
    audit: AuditService, caplog: pytest.LogCaptureFixture
) -> None:
    gate = GuardedGate(approved, Guard(standing, audit, ManualClock()), ManualClock())
    with caplog.at_level(logging.WARNING):
        gate.refused(STRANGER, "192.0.2.7:4711", "classical_group", "evil\x1b[2J")
        gate.refused(None, "192.0.2.7:4711", "small_order_key", "no key")
    fields = [record.__dict__["fields"] for record in caplog.records]
    assert [(found["code"], found["why"]) for found in fields] == [
        ("classical_group", "evil\\u{1b}[2J"),
        ("small_order_key", "no key"),
    ]


def test_a_scan_does_not_fill_the_log(audit: AuditService, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    gate = GuardedGate(approved, Guard(standing, audit, clock), clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            gate.refused(None, "192.0.2.7:4711", "no_hello", "nothing came")
        assert len(caplog.records) == limits.REFUSALS_LOGGED_BURST
        clock.advance(1)
        gate.refused(None, "192.0.2.7:4711", "no_hello", "nothing came")
    assert caplog.records[-1].__dict__["fields"]["unlogged"] == 1000 - limits.REFUSALS_LOGGED_BURST
