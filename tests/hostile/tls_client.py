"""A TLS 1.3 client that obeys its test: any group, any certificates, any CertificateVerify signature.

TEST CODE ONLY. It exists because OpenSSL, as a client, signs with the key of its certificate, so it can't
play the owner of a small-order key. It checks the server's Finished and nothing else about the server: no
certificate, no signature, no pin. It offers one group with its share and one suite; it does not do hello
retry, resumption, key update or renegotiation. RFC 8446 sections 4 (handshake), 5 (records), 6 (alerts).
"""

import hashlib
import secrets
import socket
from collections.abc import Callable

from tests.hostile.key_schedule import (
    APPLICATION_DATA,
    GROUPS,
    Group,
    KeyShare,
    Protection,
    derive_secret,
    finished_mac,
    handshake_secret,
    master_secret,
)

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE = 20, 21, 22
CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET = 1, 2, 4
CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, FINISHED = 11, 13, 15, 20
CLOSE_NOTIFY = 0
SUITE = b"\x13\x02"  # TLS_AES_256_GCM_SHA384, RFC 8446 appendix B.4
ED25519 = b"\x08\x07"  # RFC 8446 section 4.2.3
RECORD_BYTES = 2**14
VERIFY_CONTEXT = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"  # RFC 8446 section 4.4.3


class AlertReceived(Exception):
    """The server sent an alert; `number` is its description (RFC 8446 section 6)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"alert {number}")
        self.number = number


class UnexpectedMessage(Exception):
    """The server sent something that this client doesn't speak, or a Finished that doesn't verify."""


class HostileClient:
    """One connection over a blocking, connected socket, which stays the caller's to close.

    `certificates` are DER, leaf first, and may be empty, which sends an empty Certificate and no
    CertificateVerify. `sign` gets the whole content of section 4.4.3 and returns the signature to send,
    always announced as ed25519. All methods raise `AlertReceived`, `UnexpectedMessage`, `EOFError` (the
    connection ended without close_notify), `OSError` from the socket, or `InvalidTag` from the cipher.
    """

    def __init__(
        self, sock: socket.socket, *, group: Group, certificates: list[bytes], sign: Callable[[bytes], bytes]
    ) -> None:
        self.tickets = 0  # NewSessionTicket messages seen by `receive`
        self._sock = sock
        self._group: Group = group
        self._certificates = certificates
        self._sign = sign
        self._transcript = hashlib.sha384()
        self._pending = bytearray()  # handshake bytes that don't make a message yet
        self._reading: Protection | None = None
        self._writing: Protection | None = None

    def handshake(self) -> None:
        """Return once our Finished is sent: the server's verdict on it comes by `receive`."""
        share: KeyShare = GROUPS[self._group]()
        self._write(HANDSHAKE, self._noted(_client_hello(share)))
        _, hello = self._hear()
        secret = handshake_secret(share.shared(_server_share(hello, share.code)))
        ours = derive_secret(secret, "c hs traffic", self._transcript.digest())
        theirs = derive_secret(secret, "s hs traffic", self._transcript.digest())
        self._reading, self._writing = Protection(theirs), Protection(ours)

        request: bytes | None = None
        kind = SERVER_HELLO
        while kind != FINISHED:
            before = self._transcript.digest()
            kind, message = self._hear()
            if kind == CERTIFICATE_REQUEST:
                request = message[4 : 5 + message[4]]  # its context, length included, is to be echoed
        if message[4:] != finished_mac(theirs, before):
            raise UnexpectedMessage("the server's finished does not verify")
        at_server_finished = self._transcript.digest()

        flight = b"" if request is None else self._authentication(request)
        flight += self._noted(_message(FINISHED, finished_mac(ours, self._transcript.digest())))
        self._write(HANDSHAKE, flight)  # at once: a server that refuses may close between two writes
        master = master_secret(secret)
        self._reading = Protection(derive_secret(master, "s ap traffic", at_server_finished))
        self._writing = Protection(derive_secret(master, "c ap traffic", at_server_finished))

    def send(self, data: bytes) -> None:
        self._write(APPLICATION_DATA, data)

    def receive(self) -> bytes:
        """The content of the next record of application data; b"" once the server sent close_notify."""
        try:
            while True:
                content_type, content = self._read()
                if content_type == APPLICATION_DATA and content:
                    return content
                if content_type == HANDSHAKE:
                    self._pending += content
                    self._count_tickets()
        except AlertReceived as alert:
            if alert.number == CLOSE_NOTIFY:
                return b""
            raise

    def close(self) -> None:
        """Send close_notify (RFC 8446 section 6.1); close the socket without it to cut the stream short."""
        self._write(ALERT, bytes([1, CLOSE_NOTIFY]))

    def _authentication(self, context: bytes) -> bytes:
        """Certificate and CertificateVerify, RFC 8446 sections 4.4.2 and 4.4.3."""
        entries = b"".join(_vector(3, der) + _vector(2, b"") for der in self._certificates)
        certificate = self._noted(_message(CERTIFICATE, context + _vector(3, entries)))
        if not self._certificates:
            return certificate
        signature = self._sign(VERIFY_CONTEXT + self._transcript.digest())
        return certificate + self._noted(_message(CERTIFICATE_VERIFY, ED25519 + _vector(2, signature)))

    def _count_tickets(self) -> None:
        while (message := self._complete_message()) is not None:
            if message[0] != NEW_SESSION_TICKET:
                raise UnexpectedMessage(f"handshake message {message[0]} after the handshake")
            self.tickets += 1

    def _noted(self, message: bytes) -> bytes:
        self._transcript.update(message)
        return message

    def _hear(self) -> tuple[int, bytes]:
        """The type of the next handshake message and the message, from as many records as it takes."""
        while (message := self._complete_message()) is None:
            content_type, content = self._read()
            if content_type != HANDSHAKE:
                raise UnexpectedMessage(f"content type {content_type} in the handshake")
            self._pending += content
        return message[0], self._noted(message)

    def _complete_message(self) -> bytes | None:
        end = 4 + int.from_bytes(self._pending[1:4])
        if len(self._pending) < end:
            return None
        message = bytes(self._pending[:end])
        del self._pending[:end]
        return message

    def _write(self, content_type: int, content: bytes) -> None:
        records = b""
        for start in range(0, len(content), RECORD_BYTES):
            part = content[start : start + RECORD_BYTES]
            plain = bytes([content_type, 3, 1]) + _vector(2, part)
            records += self._writing.seal(content_type, part) if self._writing else plain
        self._sock.sendall(records)

    def _read(self) -> tuple[int, bytes]:
        while True:
            header = self._exactly(5)
            content_type, content = header[0], self._exactly(int.from_bytes(header[3:]))
            if content_type == CHANGE_CIPHER_SPEC:  # middlebox compatibility, RFC 8446 appendix D.4
                continue
            if self._reading is not None:
                content_type, content = self._reading.open(header, content)
            if content_type == ALERT:
                raise AlertReceived(content[1])
            return content_type, content

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            if not (some := self._sock.recv(count - len(got))):
                raise EOFError("the connection ended without close_notify")
            got += some
        return got


def _vector(width: int, content: bytes) -> bytes:
    return len(content).to_bytes(width) + content


def _message(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _vector(3, content)


def _client_hello(share: KeyShare) -> bytes:
    """RFC 8446 section 4.1.2, with an empty session id; psk_dhe_ke invites the tickets that we ignore."""
    code = share.code.to_bytes(2)
    extensions = {
        10: _vector(2, code),  # supported_groups
        13: _vector(2, ED25519),  # signature_algorithms
        43: _vector(1, b"\x03\x04"),  # supported_versions: TLS 1.3
        45: _vector(1, b"\x01"),  # psk_key_exchange_modes: psk_dhe_ke
        51: _vector(2, code + _vector(2, share.public)),  # key_share
    }
    listed = b"".join(number.to_bytes(2) + _vector(2, content) for number, content in extensions.items())
    fixed = b"\x03\x03" + secrets.token_bytes(32) + _vector(1, b"")
    return _message(CLIENT_HELLO, fixed + _vector(2, SUITE) + _vector(1, b"\0") + _vector(2, listed))


def _server_share(hello: bytes, code: int) -> bytes:
    """The key share in a ServerHello (RFC 8446 sections 4.1.3 and 4.2.8)."""
    after_session_id = 39 + hello[38]
    suite, rest = hello[after_session_id : after_session_id + 2], hello[after_session_id + 5 :]
    if hello[0] != SERVER_HELLO or suite != SUITE:
        raise UnexpectedMessage("not a server hello with our suite")
    while rest:
        number, length = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
        content, rest = rest[4 : 4 + length], rest[4 + length :]
        if number == 51 and int.from_bytes(content[:2]) == code:
            return content[4:]
    raise UnexpectedMessage("no key share of our group in the server hello")
