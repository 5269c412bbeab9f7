"""Hostile TLS clients: a distinct code in the rendezvous's log each, the same bytes on the wire for all."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from comity.identity.card import JoinUrl
from comity.identity.keys import Identity
from comity.protocol.framing import HEADER, Kind
from comity.protocol.hello import UNIFORM_REFUSAL, parse_refused
from comity.protocol.registry import AskRelay, Mail, Post, Posted, RelayOffer, Ticket
from comity.rendezvous.state import State
from tests.hostile.certificates import LONG_AGO, issued_chain, self_signed, small_order_certificate
from tests.hostile.key_schedule import Group
from tests.hostile.tls_client import HostileClient
from tests.rendezvous.client import registered
from tests.rendezvous.nodes import Registrant
from tests.rendezvous.server import serving


@dataclass(frozen=True)
class Attack:
    code: str
    make: Callable[[], tuple[list[bytes], Callable[[bytes], bytes]]]
    group: Group = "x25519mlkem768"


def honest() -> tuple[list[bytes], Callable[[bytes], bytes]]:
    key = Ed25519PrivateKey.generate()
    return [self_signed(key)], key.sign


def expired() -> tuple[list[bytes], Callable[[bytes], bytes]]:
    key = Ed25519PrivateKey.generate()
    return [self_signed(key, not_before=LONG_AGO[0], not_after=LONG_AGO[1])], key.sign


def chain() -> tuple[list[bytes], Callable[[bytes], bytes]]:
    key = Ed25519PrivateKey.generate()
    return issued_chain(key), key.sign


def small_order() -> tuple[list[bytes], Callable[[bytes], bytes]]:
    certificate, sign = small_order_certificate()
    return [certificate], sign


def other_subject() -> tuple[list[bytes], Callable[[bytes], bytes]]:
    key = Ed25519PrivateKey.generate()
    return [self_signed(key, subject="somebody")], key.sign


def nothing() -> tuple[list[bytes], Callable[[bytes], bytes]]:
    return [], lambda _: b""


ATTACKS = [
    Attack("classical_group", honest, "x25519"),
    Attack("expired_certificate", expired),
    Attack("extra_certificate", chain),
    Attack("small_order_key", small_order),
    Attack("unexpected_subject", other_subject),
    Attack("missing_certificate", nothing),
]


def attack(join: JoinUrl, how: Attack) -> bytes:
    """What the server says to it, in plaintext, until it closes."""
    certificates, sign = how.make()
    with socket.create_connection((join.host, join.port), timeout=45) as sock:
        client = HostileClient(sock, group=how.group, certificates=certificates, sign=sign)
        client.handshake()
        said = b""
        while more := client.receive():
            said += more
        return said


def codes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.fields["code"] for record in caplog.records if record.getMessage() == "refused"]  # type: ignore[attr-defined]  # the journal's


async def test_each_is_told_the_same_and_logged_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "comity.rendezvous")
    async with serving(tmp_path / "state") as join:
        said = [await asyncio.to_thread(attack, join, how) for how in ATTACKS]
        async with registered(join, Registrant(join.fingerprint, hostname="lab-a")):
            pass
    assert codes(caplog) == [how.code for how in ATTACKS]
    assert len(set(said)) == 1
    length, kind = HEADER.unpack(said[0][: HEADER.size])
    assert (length, kind) == (len(said[0]) - HEADER.size + 1, Kind.REFUSED)
    assert parse_refused(said[0][HEADER.size :]) == UNIFORM_REFUSAL


async def test_a_copy_of_the_server_s_own_key_is_no_node(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "comity.rendezvous")
    state = State(tmp_path / "state")
    stolen: Identity = state.identity()
    state.close()
    key = stolen.private_key
    async with serving(tmp_path / "state") as join:
        await asyncio.to_thread(attack, join, Attack("own_key", lambda: ([self_signed(key)], key.sign)))
    assert codes(caplog) == ["own_key"]


async def test_a_flood_of_refusals_fills_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "comity.rendezvous")
    async with serving(tmp_path / "state") as join:
        for _ in range(250):
            _, writer = await asyncio.open_connection(join.host, join.port)
            writer.write(b"?")
            writer.close()
        await asyncio.sleep(0.3)
    assert 50 < len(codes(caplog)) < 150


async def test_the_log_tells_no_ticket_and_no_blob(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    blob = secrets.token_hex(32).encode()
    async with (
        serving(tmp_path / "state") as join,
        registered(join, Registrant(join.fingerprint, hostname="a")) as alice,
        registered(join, Registrant(join.fingerprint, hostname="b")) as bob,
    ):
        key = bob.who.identity.public.hex
        await alice.ask(Post(id=1, recipient=key, message_id="0" * 32, blob=blob, keep=True), Posted)
        await bob.push(Mail)
        ticket = (await alice.ask(AskRelay(id=2, peer=key, call="0" * 32), Ticket)).ticket
        offer = await bob.push(RelayOffer)
    shown = "\n".join(f"{record.getMessage()} {getattr(record, 'fields', '')}" for record in caplog.records)
    assert "registered" in shown
    for secret in (blob.decode(), ticket, offer.ticket):
        assert secret not in shown
