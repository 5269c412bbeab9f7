"""Hostile callers at a node's acceptor: all read the same bytes, and the gate is told what each one was.

SECURITY.md rules 3 and 10, "Probed": a server without these checks takes every caller of this file.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL

from comity import limits
from comity.clock import SystemClock
from comity.identity.certificate import SUBJECT
from comity.identity.keys import Identity
from comity.protocol.framing import Kind, header
from comity.protocol.hello import UNIFORM_REFUSAL, Hello, encode_message
from tests.hostile.certificates import (
    IDENTITY_POINT,
    LONG_AGO,
    NON_CANONICAL_IDENTITY_POINTS,
    issued_chain,
    self_signed,
    small_order_certificate,
)
from tests.hostile.key_schedule import Group
from tests.hostile.tls_client import AlertReceived, HostileClient
from tests.integration.transport_nodes import Node, node
from tests.integration.transport_rig import QUICK

BODY = encode_message(UNIFORM_REFUSAL)
UNIFORM = [header(Kind.REFUSED, len(BODY)) + BODY, b""]  # one record, then close_notify
FUTURE = datetime(2090, 1, 1, tzinfo=UTC), datetime(2091, 1, 1, tzinfo=UTC)
DECRYPT_ERROR = 51  # RFC 8446 section 6


@dataclass(frozen=True)
class Caller:
    """What a client presents, and what it says once the handshake is done."""

    certificates: list[bytes]
    sign: Callable[[bytes], bytes]
    group: Group = "x25519mlkem768"
    says: bytes = b""


def owner(key: Ed25519PrivateKey, *certificates: bytes, **more: object) -> Caller:
    return Caller([*certificates] or [self_signed(key)], key.sign, **more)  # type: ignore[arg-type]  # its fields


def framed(kind: int, body: bytes) -> bytes:
    return (len(body) + 1).to_bytes(4) + bytes([kind]) + body


def bare(oldest: int = 1, newest: int = 1, port: int = 7) -> bytes:
    return framed(
        Kind.HELLO, encode_message(Hello(oldest=oldest, newest=newest, port=port, instance="0" * 32))
    )


KEY = Ed25519PrivateKey.generate()
HOSTILE: dict[str, tuple[Caller, str]] = {
    "classical group": (owner(KEY, group="x25519"), "classical_group"),
    "issuer": (owner(KEY, *issued_chain(KEY)), "extra_certificate"),
    "bystander": (
        owner(KEY, self_signed(KEY), self_signed(Ed25519PrivateKey.generate())),
        "extra_certificate",
    ),
    "itself twice": (owner(KEY, *[self_signed(KEY)] * 2), "extra_certificate"),
    "expired": (
        owner(KEY, self_signed(KEY, not_before=LONG_AGO[0], not_after=LONG_AGO[1])),
        "expired_certificate",
    ),
    "not yet": (
        owner(KEY, self_signed(KEY, not_before=FUTURE[0], not_after=FUTURE[1])),
        "certificate_not_yet_valid",
    ),
    "subject": (owner(KEY, self_signed(KEY, subject="charité-trainer")), "unexpected_subject"),
    "none": (Caller([], bytes), "missing_certificate"),
    **{
        f"small order {point.hex()}": (
            Caller(*(lambda made: ([made[0]], made[1]))(small_order_certificate(point=point))),
            "small_order_key",
        )
        for point in (IDENTITY_POINT, *NON_CANONICAL_IDENTITY_POINTS)
    },
}
STRANGERS: dict[str, tuple[Caller, str]] = {
    "good hello": (owner(KEY, says=bare()), "not_approved"),
    "unknown port": (owner(KEY, says=bare(port=9999)), "not_approved"),
    "unknown version": (owner(KEY, says=bare(oldest=7, newest=9)), "version"),
    "empty range": (owner(KEY, says=bare(oldest=9, newest=7)), "malformed_hello"),
    "no JSON": (owner(KEY, says=framed(Kind.HELLO, b"\xff\xfe")), "malformed_hello"),
    "another kind": (owner(KEY, says=framed(Kind.WELCOME, b"{}")), "malformed_hello"),
    "unknown kind": (owner(KEY, says=framed(99, b"{}")), "malformed_hello"),
    "no kind": (owner(KEY, says=bytes(4) + b"\x01"), "malformed_hello"),
    "oversized": (owner(KEY, says=framed(Kind.HELLO, bytes(limits.HELLO_BYTES + 1))), "malformed_hello"),
    "huge claim": (owner(KEY, says=b"\xff\xff\xff\xff\x01"), "malformed_hello"),
    "half a hello": (owner(KEY, says=bare()[:9]), "no_hello"),
    "silence": (owner(KEY), "no_hello"),
}


def call(port: int, caller: Caller) -> tuple[list[bytes], int]:
    """Each record of application data up to close_notify, and how many tickets there were."""
    with socket.create_connection(("127.0.0.1", port), timeout=45) as sock:
        client = HostileClient(sock, group=caller.group, certificates=caller.certificates, sign=caller.sign)
        client.handshake()
        if caller.says:
            client.send(caller.says)
        read = [client.receive()]
        while read[-1]:
            read.append(client.receive())
        return read, client.tickets


async def refused(acceptor: Node, caller: Caller, code: str) -> tuple[list[bytes], int]:
    async with asyncio.timeout(60):
        heard = await asyncio.to_thread(call, acceptor.port, caller)
    assert await acceptor.gate.wait_for(1) == [code]
    assert acceptor.streams == []
    return heard


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_certificate_or_group_reads_the_uniform_refusal(name: str) -> None:
    caller, code = HOSTILE[name]
    async with node() as acceptor:
        assert await refused(acceptor, caller, code) == (UNIFORM, 2)
        assert acceptor.gate.turned_away[0][0] is None


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_caller_that_says_hello_at_once_reads_no_less(name: str) -> None:
    """Its hello lies unread when the refusal leaves: a reset would take the refusal away from it."""
    caller, code = HOSTILE[name]
    async with node() as acceptor:
        assert (await refused(acceptor, replace(caller, says=bare()), code))[0] == UNIFORM


@pytest.mark.parametrize("name", STRANGERS)
async def test_stranger_reads_the_uniform_refusal_whatever_it_says(name: str) -> None:
    caller, code = STRANGERS[name]
    bounds = replace(QUICK, hello=0.5) if code == "no_hello" else QUICK
    async with node(bounds=bounds) as acceptor:
        assert await refused(acceptor, caller, code) == (UNIFORM, 2)
        peer = acceptor.gate.turned_away[0][0]
        assert peer is not None
        assert peer.raw == KEY.public_key().public_bytes_raw()


async def test_approved_key_is_refused_as_well_when_what_it_presents_is_not_in_order() -> None:
    for name, (caller, code) in HOSTILE.items():
        if caller.sign != KEY.sign:
            continue
        async with node() as acceptor:
            acceptor.gate.keys.add(Identity(KEY).public)
            assert (await refused(acceptor, caller, code))[0] == UNIFORM, name


async def test_caller_with_our_own_key_is_refused() -> None:
    async with node() as acceptor:
        own = acceptor.identity.private_key
        assert await refused(acceptor, owner(own, says=bare()), "own_key") == (UNIFORM, 2)


async def test_key_of_another_type_reads_the_uniform_refusal() -> None:
    """OpenSSL plays this one: only it speaks ECDSA here."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.fromtimestamp(SystemClock().now(), UTC)
    certificate = x509.CertificateBuilder(
        SUBJECT, SUBJECT, key.public_key(), 1, now - timedelta(1), now + timedelta(1)
    ).sign(key, SHA256())
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_privatekey(key)
    context.use_certificate(certificate)

    def talk(port: int) -> list[bytes]:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            connection = SSL.Connection(context, sock)
            connection.set_connect_state()
            connection.do_handshake()
            read = [connection.recv(1000)]
            with pytest.raises(SSL.ZeroReturnError):
                connection.recv(1000)
            return [*read, b""]

    async with node() as acceptor:
        assert await asyncio.to_thread(talk, acceptor.port) == UNIFORM
        assert await acceptor.gate.wait_for(1) == ["wrong_key_type"]


async def test_key_that_nobody_can_sign_with_fails_in_tls_itself() -> None:
    """A second spelling of a point of large order: its owner would have to know a discrete logarithm."""
    point = (2**255 - 19 + 3).to_bytes(32, "little")
    certificate, sign = small_order_certificate(point=point)
    async with node() as acceptor:
        with pytest.raises(AlertReceived) as alert:
            await asyncio.to_thread(call, acceptor.port, Caller([certificate], sign))
        assert alert.value.number == DECRYPT_ERROR
        assert await acceptor.gate.wait_for(1) == ["tls_failure"]


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(5000), b"\x80"])
async def test_junk_is_recorded_and_ends(junk: bytes) -> None:
    def send(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=45) as sock:
            sock.sendall(junk)
            try:
                while sock.recv(1000):
                    pass
            except ConnectionResetError:
                pass

    async with node(bounds=replace(QUICK, handshake=0.5)) as acceptor:
        await asyncio.to_thread(send, acceptor.port)
        assert (await acceptor.gate.wait_for(1))[0] in {"tls_failure", "timed_out"}


async def test_caller_that_leaves_by_itself_is_not_refused() -> None:
    async with node() as acceptor:
        with socket.create_connection(("127.0.0.1", acceptor.port)):
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        assert acceptor.gate.turned_away == []


async def test_every_cause_has_its_own_code() -> None:
    codes = {code for _, code in HOSTILE.values()} | {"own_key", "wrong_key_type", "tls_failure"}
    assert len(codes) == 10
    assert codes.isdisjoint({code for _, code in STRANGERS.values()})
