"""The rules before charters: trusted, unexpired, service allowed; a denial names everything against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from comity.identity.keys import Identity
from comity.policy.operation import Kind, Operation, Standing
from comity.policy.rules import ALWAYS, decide

NOW = 1_800_000_000
AGREEMENT = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
PEER = Identity.generate().public
STANDING = Standing(agreement=AGREEMENT, status="active", until=NOW + 100, allow=("exchange",))
SEND = Operation(kind="send", peer=PEER, service="exchange", agreement=AGREEMENT)


def test_agreement_in_force_allows_its_services() -> None:
    decision = decide(SEND, STANDING, NOW)
    assert decision.allowed
    assert decision.reasons == ("an agreement until 2027-01-15T08:01:40Z allows exchange",)


@pytest.mark.parametrize("service", sorted(ALWAYS))
def test_session_and_echo_need_no_mention(service: str) -> None:
    standing = replace(STANDING, allow=())
    assert decide(Operation(kind="accept", peer=PEER, service=service), standing, NOW).allowed


@pytest.mark.parametrize("service", ["events", "", "Exchange", "exchange "])
def test_other_services_are_denied(service: str) -> None:
    decision = decide(replace(SEND, service=service), STANDING, NOW)
    assert not decision.allowed
    assert decision.reasons == (f"the agreement does not open the service {service}",)


@pytest.mark.parametrize("kind", ["connect", "accept", "send", "receive"])
def test_strangers_are_denied_everything_but_a_handshake(kind: Kind) -> None:
    decision = decide(Operation(kind=kind, peer=PEER, service="session"), None, NOW)
    assert not decision.allowed
    assert decision.reasons == ("there is no agreement with this peer",)


def test_anybody_may_shake_hands() -> None:
    handshake = Operation(kind="handshake", peer=PEER, service="handshake")
    for standing in (None, STANDING, replace(STANDING, status="revoked")):
        assert decide(handshake, standing, NOW).allowed


@pytest.mark.parametrize(("now", "allowed"), [(NOW + 99.9, True), (NOW + 100, False), (NOW + 101, False)])
def test_ends_on_the_second(now: float, allowed: bool) -> None:
    decision = decide(SEND, STANDING, now)
    assert decision.allowed is allowed
    if not allowed:
        assert decision.reasons == ("the agreement expired on 2027-01-15T08:01:40Z",)


def test_status_counts_before_its_time_does() -> None:
    for status in ("expired", "revoked"):
        assert not decide(SEND, replace(STANDING, status=status), NOW).allowed


def test_named_agreement_and_charter_have_to_be_the_ones_in_force() -> None:
    assert decide(replace(SEND, agreement=None), STANDING, NOW).allowed
    assert not decide(replace(SEND, agreement=OTHER), STANDING, NOW).allowed
    assert not decide(replace(SEND, charter=OTHER), STANDING, NOW).allowed
    assert decide(replace(SEND, charter=OTHER), replace(STANDING, charter=OTHER), NOW).allowed


def test_denial_names_everything() -> None:
    operation = replace(SEND, service="events", agreement=OTHER, charter=OTHER)
    decision = decide(operation, replace(STANDING, status="revoked"), NOW)
    assert len(decision.reasons) == 4
