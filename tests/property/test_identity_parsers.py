"""Whatever comes in, identity's parsers answer with a value or a ComityError; and values round-trip."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable

import idna
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.errors import ComityError, RemoteProtocolError
from comity.identity.address import Address
from comity.identity.authority import format_authority, parse_authority
from comity.identity.card import Card, JoinUrl, parse_peer
from comity.identity.certificate import inspect_chain, issue_certificate
from comity.identity.envelope import Envelope
from comity.identity.fingerprint import Fingerprint
from comity.identity.hostname import normalise_hostname
from comity.identity.keys import Identity, InvalidKey, PublicKey
from comity.identity.sealing import SealContext, SealingPrivateKey, open_sealed
from comity.identity.text import printable

NOW = 1_800_000_000.0
IDENTITY = Identity(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
DER = issue_certificate(IDENTITY, NOW).public_bytes(Encoding.DER)
ENVELOPE = IDENTITY.sign_statement("application/vnd.comity.approval.v1+json", b'{"a":1}').to_json()
SEALING = SealingPrivateKey.from_bytes(bytes(range(96)))
CONTEXT = SealContext("approval", IDENTITY.public.fingerprint, 1, IDENTITY.public, IDENTITY.public, bytes(16))

fingerprints = st.binary(min_size=32, max_size=32).map(Fingerprint)
ports = st.integers(1, 65535)
labels = st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=3).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)
hostnames = st.lists(labels, min_size=1, max_size=4).map(".".join)
#: Any code point, surrogates too, and often the ones that mean something to these parsers.
hostile_text = st.text(
    st.one_of(st.characters(), st.characters(categories=["Cs"]), st.sampled_from(":/@#?[].-0a\u202e"))
)
nearly = st.one_of(
    hostile_text,
    st.tuples(st.sampled_from(["comity:", "comity://", "1:0001."]), hostile_text).map("".join),
    st.builds(
        lambda name, host, rest, pin: f"comity:{name}@{host}:{rest}#{pin}",
        hostile_text, hostile_text, hostile_text, st.one_of(hostile_text, fingerprints.map(str)),
    ),
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """``good`` with a few bytes changed, dropped or put in."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@pytest.mark.parametrize(
    "parse",
    [
        Address.parse,
        Card.parse,
        Fingerprint.parse,
        JoinUrl.parse,
        PublicKey.from_hex,
        normalise_hostname,
        parse_authority,
        parse_peer,
    ],
)
@given(text=nearly)
def test_text_is_a_value_or_a_comity_error(parse: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ComityError):
        parse(text)


@given(nearly)
def test_refusals_are_fit_for_a_terminal(text: str) -> None:
    try:
        parse_peer(text)
    except ComityError as error:
        refusal = error
    else:
        return
    assert refusal.hint
    assert printable(str(refusal)) == str(refusal)


@given(st.one_of(st.binary(max_size=200), damaged(ENVELOPE)))
def test_envelope_bytes(data: bytes) -> None:
    try:
        envelope = Envelope.from_json(data)
    except RemoteProtocolError:
        return
    assert Envelope.from_json(envelope.to_json()) == envelope


@given(st.one_of(st.binary(max_size=300), damaged(DER)))
def test_certificate_bytes(data: bytes) -> None:
    try:
        assert isinstance(inspect_chain([data], NOW), PublicKey)
    except RemoteProtocolError:
        return


@given(st.binary(max_size=5000))
def test_sealed_bytes(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        open_sealed(data, SEALING, CONTEXT)


@given(st.binary(max_size=80))
def test_pem_bytes(data: bytes) -> None:
    with pytest.raises(ComityError):
        Identity.from_pem(data)
    with pytest.raises(ComityError):
        Identity.from_pem(b"-----BEGIN PRIVATE KEY-----\n" + data + b"\n-----END PRIVATE KEY-----\n")


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_Y = {0, 1, P - 1, Y8, P - Y8}


def on_curve(raw: bytes) -> bool:
    """RFC 8032 section 5.1.3, as it is written there."""
    value = int.from_bytes(raw, "little")
    sign, y = value >> 255, value & ((1 << 255) - 1)
    if y >= P:
        return False
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P not in (u, -u % P):
        return False
    return not (u == 0 and sign)


@given(st.binary(min_size=32, max_size=32))
def test_key_bytes(raw: bytes) -> None:
    sound = on_curve(raw) and int.from_bytes(raw, "little") % 2**255 not in SMALL_Y
    try:
        assert PublicKey.parse(raw).raw == raw
        assert sound
    except InvalidKey:
        assert not sound


@given(st.binary(min_size=32, max_size=32))
def test_every_generated_key_is_accepted(seed: bytes) -> None:
    identity = Identity(Ed25519PrivateKey.from_private_bytes(seed))
    assert PublicKey.from_hex(identity.public.hex) == identity.public
    assert Identity.from_pem(identity.to_pem()).public == identity.public


# ── round trips ───────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_address(network: int, node: int) -> None:
    address = Address(network, node)
    assert Address.parse(str(address)) == address
    assert Address.from_int(address.to_int()) == address
    assert parse_peer(str(address)) == address


@given(fingerprints)
def test_fingerprint(fingerprint: Fingerprint) -> None:
    for text in (str(fingerprint), fingerprint.grouped, str(fingerprint).upper()):
        assert Fingerprint.parse(text) == fingerprint
        assert parse_peer(text) == fingerprint


@given(fingerprints, st.integers(1, 63))
def test_no_prefix_is_a_fingerprint(fingerprint: Fingerprint, digits: int) -> None:
    with pytest.raises(ComityError):
        Fingerprint.parse(str(fingerprint)[:digits])


@given(hosts, ports)
def test_authority(host: str, port: int) -> None:
    assert parse_authority(format_authority(host, port)) == (host, port)


@given(hostnames, hosts, ports, fingerprints)
def test_card(hostname: str, host: str, port: int, pin: Fingerprint) -> None:
    card = Card(hostname, format_authority(host, port), pin)
    assert Card.parse(str(card)) == card
    assert parse_peer(str(card)) == card


@given(hosts, ports, st.integers(1, 65535), fingerprints)
def test_join_url(host: str, port: int, network: int, pin: Fingerprint) -> None:
    url = JoinUrl(host, port, network, fingerprint=pin)
    assert JoinUrl.parse(str(url)) == url


@given(st.one_of(st.text(st.characters(categories=["L", "M", "N"]), max_size=12), hostnames, hostile_text))
def test_hostname_is_one_spelling(text: str) -> None:
    try:
        name = normalise_hostname(text)
    except ComityError:
        return
    assert normalise_hostname(name) == name
    assert normalise_hostname(unicodedata.normalize("NFD", name)) == name
    assert name == unicodedata.normalize("NFC", name) == name.lower()
    assert len(name) <= limits.HOSTNAME_CHARS
    assert printable(name) == name
    assert idna.decode(idna.encode(name)) == name


@given(hostile_text, st.one_of(st.none(), st.integers(0, 40)))
def test_printable(text: str, limit: int | None) -> None:
    shown = printable(text, limit)
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert shown.encode().decode() == shown
    assert limit is None or len(shown) <= limit
    assert printable(shown, limit) == shown
