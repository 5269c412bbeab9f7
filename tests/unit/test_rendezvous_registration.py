"""A connection's state on the server: order, versions, and whose statement over which nonce counts."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from comity import limits
from comity.errors import ComityError
from comity.identity.keys import Identity
from comity.protocol.registration import (
    TRANSITIONS,
    VERSION,
    Admit,
    Admitted,
    Denied,
    Ended,
    Entry,
    Phase,
    Refuse,
    Request,
    Say,
    Serve,
)
from comity.protocol.registry import (
    Acknowledge,
    AskRelay,
    Find,
    Open,
    Ping,
    Post,
    Reserve,
    Resolve,
)
from tests.rendezvous.nodes import Registrant

NOW = 1_800_000_000.0
NONCE = bytes(range(32))
SERVER = Identity.generate()
REQUESTS: list[Request] = [
    Resolve(id=1, hostname="b"),
    Find(id=1),
    Post(id=1, recipient="0" * 64, message_id="0" * 32, blob=b"x", keep=True),
    Acknowledge(id=1, sender="0" * 64, message_id="0" * 32),
    Reserve(id=1, senders=()),
    AskRelay(id=1, peer="0" * 64, call="0" * 32),
    Ping(id=1),
]


@pytest.fixture
def node() -> Registrant:
    return Registrant(SERVER.public.fingerprint, hostname="lab-a")


def entry_of(node: Registrant) -> Entry:
    return Entry(SERVER.public.fingerprint, node.identity.public, NONCE)


def opened(node: Registrant) -> Entry:
    entry = entry_of(node)
    (said,) = entry.handle(node.open(), NOW)
    assert isinstance(said, Say)
    return entry


def refusal(effects: list[object], *, final: bool) -> ComityError:
    (refused,) = effects
    assert isinstance(refused, Refuse)
    assert (refused.id == 0) is final
    return refused.error


def test_the_way_in(node: Registrant) -> None:
    entry = entry_of(node)
    (said,) = entry.handle(node.open(), NOW)
    assert isinstance(said, Say)
    assert (said.message.version, said.message.nonce, said.message.time) == (VERSION, NONCE.hex(), int(NOW))
    (admit,) = entry.handle(node.register(NONCE, NOW), NOW)
    assert isinstance(admit, Admit)
    assert (admit.claim.key, admit.claim.hostname, admit.claim.network) == (node.identity.public, "lab-a", 1)
    assert entry.handle(Admitted(), NOW) == []
    assert entry.phase is Phase.REGISTERED
    for request in REQUESTS:
        assert entry.handle(request, NOW) == [Serve(request)]


def test_registering_again_on_the_same_connection(node: Registrant) -> None:
    entry = opened(node)
    entry.handle(node.register(NONCE, NOW), NOW)
    entry.handle(Admitted(), NOW)
    (admit,) = entry.handle(replace(node, hostname="lab-b").register(NONCE, NOW), NOW)
    assert isinstance(admit, Admit)
    assert admit.claim.hostname == "lab-b"
    entry.handle(Denied(), NOW)
    assert entry.phase is Phase.REGISTERED


def test_a_denied_node_may_try_another_name(node: Registrant) -> None:
    entry = opened(node)
    entry.handle(node.register(NONCE, NOW), NOW)
    entry.handle(Denied(), NOW)
    assert entry.phase is Phase.CHALLENGED
    (admit,) = entry.handle(replace(node, hostname="lab-b").register(NONCE, NOW), NOW)
    assert isinstance(admit, Admit)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
@pytest.mark.parametrize("phase", [Phase.ARRIVED, Phase.CHALLENGED])
def test_nothing_is_served_before_registration(node: Registrant, phase: Phase, request_: Request) -> None:
    entry = entry_of(node) if phase is Phase.ARRIVED else opened(node)
    assert refusal([*entry.handle(request_, NOW)], final=True).code == "remote_protocol_error"
    assert entry.phase is Phase.CLOSED


def test_out_of_order(node: Registrant) -> None:
    for effects in (
        entry_of(node).handle(node.register(NONCE, NOW), NOW),
        opened(node).handle(node.open(), NOW),
    ):
        assert "out of place" in refusal([*effects], final=True).message


def test_an_ended_connection_does_nothing_more(node: Registrant) -> None:
    entry = opened(node)
    assert entry.handle(Ended(), NOW) == []
    late = entry.handle(node.register(NONCE, NOW), NOW)
    assert "out of place" in refusal([*late], final=True).message


def test_every_transition_is_from_and_to_a_phase() -> None:
    assert {phase for phase, _ in TRANSITIONS} == set(Phase)
    assert set(TRANSITIONS.values()) == set(Phase) - {Phase.ARRIVED}


def test_a_node_of_the_version_before(node: Registrant) -> None:
    entry = entry_of(node)
    (said,) = entry.handle(Open(oldest=1, newest=1, network=1, instance="0" * 32), NOW)
    assert isinstance(said, Say)
    assert (said.message.version, entry.version) == (1, 1)


@pytest.mark.parametrize(("oldest", "newest"), [(VERSION + 1, 9), (1000, 1000)])
def test_no_common_version(node: Registrant, oldest: int, newest: int) -> None:
    message = Open(oldest=oldest, newest=newest, network=1, instance="0" * 32)
    assert refusal([*entry_of(node).handle(message, NOW)], final=True).code == "version_mismatch"


def test_any_network_may_be_asked_for_and_the_registry_decides(node: Registrant) -> None:
    """What is told here would tell which networks there are."""
    elsewhere = replace(node, network=2)
    entry = entry_of(elsewhere)
    (said,) = entry.handle(elsewhere.open(), NOW)
    assert isinstance(said, Say)
    (admit,) = entry.handle(elsewhere.register(NONCE, NOW), NOW)
    assert isinstance(admit, Admit)
    assert admit.claim.network == 2


def test_the_servers_own_key_is_not_admitted() -> None:
    own = Registrant(SERVER.public.fingerprint, hostname="x", identity=SERVER)
    assert refusal([*entry_of(own).handle(own.open(), NOW)], final=True).code == "not_admitted"


def test_an_invitation_is_handed_on(node: Registrant) -> None:
    invited = replace(node, invitation="5a" * 32)
    (admit,) = opened(invited).handle(invited.register(NONCE, NOW), NOW)
    assert isinstance(admit, Admit)
    assert admit.claim.invitation == "5a" * 32
    assert "5a" * 32 not in repr(admit.claim)


def denied(node: Registrant, entry: Entry, nonce: bytes = NONCE, now: float = NOW) -> str:
    before = entry.phase
    error = refusal([*entry.handle(node.register(nonce, now), NOW)], final=False)
    assert entry.phase is before
    return error.message


def test_a_replayed_registration(node: Registrant) -> None:
    """Recorded on another connection: signed by the right key, over another challenge."""
    assert "another challenge" in denied(node, opened(node), nonce=bytes(32))


def test_a_registration_for_another_rendezvous(node: Registrant) -> None:
    elsewhere = replace(node, rendezvous=Identity.generate().public.fingerprint)
    assert "another rendezvous" in denied(elsewhere, opened(node))


def test_a_registration_for_another_network(node: Registrant) -> None:
    assert "another network" in denied(replace(node, network=2), opened(node))


def test_a_registration_by_another_key(node: Registrant) -> None:
    """What a node in the middle could relay: a genuine statement, on a connection of its own."""
    assert "signature" in denied(Registrant(node.rendezvous, hostname="lab-a"), opened(node))


def test_a_statement_that_names_the_right_issuer_under_another_signature(node: Registrant) -> None:
    forged = replace(node, identity=Identity.generate(), claimed=node.identity.public)
    assert "signature" in denied(forged, opened(node))


def test_a_signature_by_the_right_key_that_names_another_issuer(node: Registrant) -> None:
    assert "issuer" in denied(replace(node, claimed=Identity.generate().public), opened(node))


@pytest.mark.parametrize(
    "shift", [-limits.REGISTRATION_LIFETIME - limits.CLOCK_SKEW - 1, limits.CLOCK_SKEW + 1]
)
def test_a_clock_far_off(node: Registrant, shift: float) -> None:
    assert denied(node, opened(node), now=NOW + shift)


def test_a_registration_that_lives_too_long(node: Registrant) -> None:
    assert "lives longer" in denied(replace(node, lifetime=limits.REGISTRATION_LIFETIME + 1), opened(node))


def test_a_sealing_key_that_lives_too_long(node: Registrant) -> None:
    long = replace(node, sealing_lifetime=limits.SEALING_KEY_LIFETIME + 1)
    assert "lives longer" in denied(long, opened(node))


@pytest.mark.parametrize("hostname", ["LAB-A", "a/b", "charite\u0301", "1:0001.0000.0010", "comity:x", "a b"])
def test_a_hostname_that_is_not_in_normal_form(node: Registrant, hostname: str) -> None:
    assert denied(replace(node, hostname=hostname), opened(node))


@pytest.mark.parametrize("swap", ["statement", "sealing_key"])
def test_statements_of_the_wrong_type(node: Registrant, swap: str) -> None:
    good = node.register(NONCE, NOW)
    text = good.sealing_key if swap == "statement" else good.statement
    effects = opened(node).handle(msgspec.structs.replace(good, **{swap: text}), NOW)
    assert "payload of type" in refusal([*effects], final=False).message


@pytest.mark.parametrize("text", ["", "{}", "null", "[" * 1000, "\ud7ff", '{"payload": 1}'])
def test_garbage_for_a_statement(node: Registrant, text: str) -> None:
    good = node.register(NONCE, NOW)
    for field in ("statement", "sealing_key"):
        effects = opened(node).handle(msgspec.structs.replace(good, **{field: text}), NOW)
        assert refusal([*effects], final=False).code == "remote_protocol_error"


def test_what_is_not_signed_is_not_passed_on(node: Registrant) -> None:
    """A keyid of thirty kilobytes would make every answer to Find too large to read."""
    good = node.register(NONCE, NOW)
    padded = good.sealing_key.replace('"sig":', '"keyid":"' + "x" * 20_000 + '","sig":')
    (admit,) = opened(node).handle(msgspec.structs.replace(good, sealing_key=padded), NOW)
    assert isinstance(admit, Admit)
    assert admit.claim.sealing_key == good.sealing_key


def test_tags_are_said_once(node: Registrant) -> None:
    (admit,) = opened(node).handle(replace(node, tags=("b", "a", "b")).register(NONCE, NOW), NOW)
    assert isinstance(admit, Admit)
    assert admit.claim.tags == ("b", "a")
