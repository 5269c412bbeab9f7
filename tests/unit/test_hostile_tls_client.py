"""The hostile TLS client against OpenSSL itself: what it breaks is its certificates, never the protocol.

The server is the acceptor's configuration before its own checks: what is accepted here is what those
checks are for. SECURITY.md, "Probed" and rule 10.
"""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL, crypto

from tests.hostile.certificates import (
    CONSTANT_SIGNATURE,
    IDENTITY_POINT,
    LONG_AGO,
    NON_CANONICAL_IDENTITY_POINTS,
    issued_chain,
    self_signed,
    small_order_certificate,
)
from tests.hostile.key_schedule import Group
from tests.hostile.tls_client import AlertReceived, HostileClient

SMALL_ORDER = (IDENTITY_POINT, *NON_CANONICAL_IDENTITY_POINTS)
EXPIRED, SELF_SIGNED = 10, 18  # X509_V_ERR_*, openssl/x509_vfy.h
HANDSHAKE_FAILURE, DECRYPT_ERROR, CERTIFICATE_REQUIRED = 40, 51, 116  # RFC 8446 section 6
LONG = b"x" * 40_000  # more than two records


@dataclass
class Seen:
    """What the server learnt about one client."""

    verified: list[tuple[int, int]] = field(default_factory=list)  # (depth, error) per callback
    extra: list[bytes] = field(default_factory=list)  # DER, after the leaf, as sent
    key: bytes = b""
    group: str | None = None
    cipher: str | None = None
    received: bytes = b""


def serve(listener: socket.socket, seen: Seen, extra: list[bytes], suites: bytes) -> Seen:
    """One connection: handshake, LONG in, LONG out, then close_notify from both sides."""
    key = Ed25519PrivateKey.generate()

    def verify(_: SSL.Connection, __: crypto.X509, error: int, depth: int, ___: int) -> bool:
        seen.verified.append((depth, error))
        return True

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(suites)
    context.use_privatekey(key)
    context.use_certificate(load_der_x509_certificate(self_signed(key)))
    for der in extra:
        context.add_extra_chain_cert(load_der_x509_certificate(der))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(None)  # pyOpenSSL turns a socket's timeout into WantReadError
        connection = SSL.Connection(context, accepted)
        connection.set_accept_state()
        connection.do_handshake()
        leaf = connection.get_peer_certificate(as_cryptography=True)
        assert leaf is not None
        public = leaf.public_key()
        assert isinstance(public, Ed25519PublicKey)
        seen.key = public.public_bytes_raw()
        # On the server's side this list leaves the leaf out: SSL_get_peer_cert_chain(3).
        chain = connection.get_peer_cert_chain(as_cryptography=True) or []
        seen.extra = [each.public_bytes(Encoding.DER) for each in chain]
        seen.group, seen.cipher = connection.get_group_name(), connection.get_cipher_name()
        while len(seen.received) < len(LONG):
            seen.received += connection.recv(65536)
        connection.sendall(LONG)
        with pytest.raises(SSL.ZeroReturnError):
            connection.recv(1)
        connection.shutdown()
    return seen


@contextmanager
def connected(
    *,
    certificates: list[bytes],
    sign: Callable[[bytes], bytes],
    group: Group = "x25519mlkem768",
    extra: list[bytes] | None = None,
    suites: bytes = b"TLS_AES_256_GCM_SHA384",
) -> Iterator[tuple[HostileClient, Future[Seen]]]:
    with (
        ThreadPoolExecutor(1) as pool,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=60) as sock,
    ):
        listener.settimeout(10)
        served = pool.submit(serve, listener, Seen(), extra or [], suites)
        yield HostileClient(sock, group=group, certificates=certificates, sign=sign), served


def exchange(client: HostileClient) -> None:
    """The client's half of `serve`."""
    client.handshake()
    client.send(LONG)
    echoed = b""
    while len(echoed) < len(LONG):
        echoed += client.receive()
    assert echoed == LONG
    client.close()
    assert client.receive() == b""


@pytest.mark.parametrize(
    ("group", "negotiated"), [("x25519mlkem768", "X25519MLKEM768"), ("x25519", "x25519")]
)
def test_either_group_completes_and_carries_bytes_both_ways(group: Group, negotiated: str) -> None:
    key = Ed25519PrivateKey.generate()
    with connected(certificates=[self_signed(key)], sign=key.sign, group=group) as (client, served):
        exchange(client)
        seen = served.result(10)
    assert (seen.group, seen.cipher) == (negotiated, "TLS_AES_256_GCM_SHA384")
    assert seen.received == LONG
    assert seen.key == key.public_key().public_bytes_raw()
    assert seen.extra == []
    assert {error for _, error in seen.verified} <= {0, SELF_SIGNED}
    assert client.tickets > 0  # OpenSSL sends them unless told not to


def test_expired_certificate_completes_and_reaches_the_callback_as_an_error() -> None:
    key = Ed25519PrivateKey.generate()
    expired = self_signed(key, not_before=LONG_AGO[0], not_after=LONG_AGO[1])
    with connected(certificates=[expired], sign=key.sign) as (client, served):
        exchange(client)
        assert (0, EXPIRED) in served.result(10).verified


def test_extra_issuer_reaches_the_callback_at_depth_one() -> None:
    key = Ed25519PrivateKey.generate()
    chain = issued_chain(key)
    with connected(certificates=chain, sign=key.sign) as (client, served):
        exchange(client)
        seen = served.result(10)
    assert max(depth for depth, _ in seen.verified) == 1
    assert seen.extra == chain[1:]


def test_extra_unrelated_certificate_shows_only_in_the_chain_as_sent() -> None:
    key = Ed25519PrivateKey.generate()
    chain = [self_signed(key), self_signed(Ed25519PrivateKey.generate(), subject="bystander")]
    with connected(certificates=chain, sign=key.sign) as (client, served):
        exchange(client)
        seen = served.result(10)
    assert {depth for depth, _ in seen.verified} == {0}
    assert seen.extra == chain[1:]


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_openssl_accepts_one_constant_signature_for_a_small_order_key(point: bytes) -> None:
    certificate, sign = small_order_certificate(point=point)
    with connected(certificates=[certificate], sign=sign) as (client, served):
        exchange(client)
        seen = served.result(10)
    assert seen.key == point
    assert sign(b"one") == sign(b"another") == CONSTANT_SIGNATURE


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_small_order_certificate_verifies_by_itself(point: bytes) -> None:
    certificate = load_der_x509_certificate(small_order_certificate(point=point)[0])
    certificate.verify_directly_issued_by(certificate)


def test_messages_longer_than_a_record_are_joined() -> None:
    key = Ed25519PrivateKey.generate()
    many = [self_signed(key, subject=f"padding {number}") for number in range(80)]
    assert sum(map(len, many)) > 2**14
    with connected(certificates=[self_signed(key)], sign=key.sign, extra=many) as (client, served):
        exchange(client)
        assert served.result(10).received == LONG


def test_signature_of_another_key_is_answered_with_decrypt_error() -> None:
    certificate = self_signed(Ed25519PrivateKey.generate())
    stranger = Ed25519PrivateKey.generate()
    with connected(certificates=[certificate], sign=stranger.sign) as (client, served):
        client.handshake()
        with pytest.raises(AlertReceived) as alert:
            client.receive()
        with pytest.raises(SSL.Error):
            served.result(10)
    assert alert.value.number == DECRYPT_ERROR


def test_no_certificate_is_answered_with_certificate_required() -> None:
    with connected(certificates=[], sign=bytes) as (client, served):
        client.handshake()
        with pytest.raises(AlertReceived) as alert:
            client.receive()
        with pytest.raises(SSL.Error):
            served.result(10)
    assert alert.value.number == CERTIFICATE_REQUIRED


def test_alert_before_the_keys_are_agreed_is_raised_by_the_handshake() -> None:
    key = Ed25519PrivateKey.generate()
    other = b"TLS_CHACHA20_POLY1305_SHA256"
    with connected(certificates=[self_signed(key)], sign=key.sign, suites=other) as (client, served):
        with pytest.raises(AlertReceived) as alert:
            client.handshake()
        with pytest.raises(SSL.Error):
            served.result(10)
    assert alert.value.number == HANDSHAKE_FAILURE


def test_end_without_close_notify_is_an_error() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.close()
        client = HostileClient(ours, group="x25519", certificates=[], sign=bytes)
        with pytest.raises(EOFError):
            client.receive()
