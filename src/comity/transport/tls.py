"""TLS 1.3 as every link uses it, and the check of who is at the other end (SECURITY.md rule 10).

One suite, one hybrid group, one self-signed certificate a side, no names, no resumption, no early data
(RFC 8446). OpenSSL still sends two tickets, which pyOpenSSL cannot turn off; without a session cache nothing
stands behind them. Nothing here trusts an authority: ``inspect`` says whose key the handshake proved, after
every handshake and on both sides. The dialler's verify callback says the same before the dialler sends
its own certificate, so a stranger that answers doesn't learn who called.

It moves no bytes (``tlssocket`` does) and does not know who is approved (the acceptor asks its gate).
"""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass, field

from OpenSSL import SSL, crypto

from comity import limits
from comity.clock import Clock
from comity.errors import ComityError, IdentityMismatch, RemoteProtocolError
from comity.identity.certificate import ExtraCertificate, inspect_chain, issue_certificate
from comity.identity.fingerprint import Fingerprint
from comity.identity.keys import Identity, PublicKey

VERSION = "TLSv1.3"
CIPHER = "TLS_AES_256_GCM_SHA384"
GROUP = "X25519MLKEM768"

#: A record's most plaintext (RFC 8446 section 5.1).
RECORD_BYTES = 16 * limits.KIB

#: openssl/ssl.h. pyOpenSSL sets it, and then writes one record a call; without it one call moves a whole
#: chunk with the GIL released.
_MODE_ENABLE_PARTIAL_WRITE = 0x1
_OPTIONS = SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION


class TlsFailure(RemoteProtocolError):
    """The handshake failed inside TLS: something else answers there, or bytes were changed on the way."""

    code = "tls_failure"
    default_hint = "check that the address is that of a comity node"


class ClassicalGroup(RemoteProtocolError):
    """The peer agreed on a key exchange that a quantum computer breaks."""

    code = "classical_group"


class WrongCipher(RemoteProtocolError):
    """Another TLS version or suite than the one that is allowed."""

    code = "wrong_cipher"


class OwnKey(RemoteProtocolError):
    """Our own key at the other end: a loop, or a copy of this node's key (SECURITY.md rule 3)."""

    code = "own_key"
    default_hint = "check that no other machine runs with a copy of this node's home"


@dataclass
class _Contexts:
    """Made once and used by every link until half of their certificate's life is over."""

    issued: float = -math.inf
    made: dict[bool, SSL.Context] = field(default_factory=dict)  # by whether it is the server's


@dataclass(frozen=True)
class Credentials:
    """Who this process is on the wire. Its certificate is issued anew per process, and before it ends."""

    identity: Identity
    clock: Clock
    _contexts: _Contexts = field(default_factory=_Contexts, init=False, repr=False, compare=False)

    def client_connection(self, sock: socket.socket, pin: Pin) -> SSL.Connection:
        """A TLS client over a connected socket, which aborts unless ``pin`` is at the other end."""
        connection = SSL.Connection(self._context(server=False), sock)
        connection.set_verify(SSL.VERIFY_PEER, pin)
        connection.set_connect_state()
        return connection

    def server_connection(self, sock: socket.socket) -> SSL.Connection:
        """A TLS server over a connected socket. It lets every certificate pass: call ``inspect``."""
        connection = SSL.Connection(self._context(server=True), sock)
        connection.set_accept_state()
        return connection

    def _context(self, *, server: bool) -> SSL.Context:
        now, cached = self.clock.now(), self._contexts
        if now - cached.issued > limits.CERTIFICATE_LIFETIME / 2:
            cached.made.clear()
            cached.issued = now
        if server not in cached.made:
            cached.made[server] = _make_context(self.identity, cached.issued, server=server)
        return cached.made[server]


def _make_context(identity: Identity, now: float, *, server: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if server else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHER.encode())
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.clear_mode(_MODE_ENABLE_PARTIAL_WRITE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.use_privatekey(identity.private_key)
    context.use_certificate(issue_certificate(identity, now))
    if server:
        # Not FAIL_IF_NO_PEER_CERT: whatever is wrong with a caller's certificate, it gets the same refusal,
        # after the handshake, and an alert would be another one.
        context.set_verify(SSL.VERIFY_PEER, _inspected_later)
    return context


def _inspected_later(_: SSL.Connection, __: crypto.X509, ___: int, ____: int, _____: int) -> bool:
    return True


class Pin:
    """A dialler's verify callback: the one certificate at depth 0 holds the expected key, or TLS ends here.

    ``failure`` says why it ended, since OpenSSL only knows that the certificate was refused; ``shown`` is the
    well-formed key that was there, whoever's.
    """

    def __init__(self, expected: Fingerprint, now: float) -> None:
        self.expected = expected
        self.failure: ComityError | None = None
        self.shown: PublicKey | None = None
        self._now = now

    def __call__(
        self, _: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:  # never raises: OpenSSL is below us
        if self.failure is None:
            try:
                self._check(certificate, depth)
            except (RemoteProtocolError, IdentityMismatch) as failure:
                self.failure = failure
        return self.failure is None

    def _check(self, certificate: crypto.X509, depth: int) -> None:
        if depth != 0:
            raise ExtraCertificate("the peer sent a chain of certificates instead of one")
        self.shown = inspect_chain([_der(certificate)], self._now)
        check_pin(self.shown, self.expected)


def check_pin(key: PublicKey, expected: Fingerprint) -> None:
    """IdentityMismatch unless ``key`` is the expected one."""
    if key.fingerprint != expected:
        raise IdentityMismatch(
            f"the other side holds the key {key.fingerprint.short}, expected was {expected.short}"
        )


def inspect(connection: SSL.Connection, own: PublicKey, now: float, *, server: bool) -> PublicKey:
    """The key at the other end of a finished handshake.

    Raises WrongCipher, ClassicalGroup, a PeerCertificateError or InvalidKey by its kind, or OwnKey.
    """
    version, cipher = connection.get_protocol_version_name(), connection.get_cipher_name()
    if (version, cipher) != (VERSION, CIPHER):
        raise WrongCipher(f"the peer agreed on {version} with {cipher} instead of {VERSION} with {CIPHER}")
    group = connection.get_group_name()
    if group != GROUP:
        raise ClassicalGroup(f"the peer agreed on the key exchange {group} instead of {GROUP}")
    key = inspect_chain(_chain(connection, server=server), now)
    if key == own:
        raise OwnKey("the other side holds this node's own key")
    return key


def _chain(connection: SSL.Connection, *, server: bool) -> list[bytes]:
    """The peer's certificates as it sent them, DER."""
    sent = connection.get_peer_cert_chain() or []
    if server:  # where this list leaves the first one out: SSL_get_peer_cert_chain(3)
        leaf = connection.get_peer_certificate()
        sent = sent if leaf is None else [leaf, *sent]
    return [_der(certificate) for certificate in sent]


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
