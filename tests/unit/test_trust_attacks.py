"""The rendezvous as the attacker: every lie of SECURITY.md that it can tell about trust, tried."""

from __future__ import annotations

import msgspec
import pytest

from comity import control
from comity.clock import ManualClock
from comity.errors import IdentityMismatch, RemoteProtocolError, UnknownPeer
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity, PublicKey
from comity.identity.sealing import SealContext, seal
from comity.protocol.registry import Mail
from comity.protocol.statements import Approval, HandshakeRequest, payload, payload_type
from tests.trust.office import Office
from tests.trust.site import Site, agree


@pytest.fixture
def office() -> Office:
    return Office(ManualClock())


@pytest.fixture
def lab_a(office: Office) -> Site:
    return Site(office, "lab-a", 0x10)


@pytest.fixture
def lab_b(office: Office) -> Site:
    return Site(office, "lab-b", 0x20)


@pytest.fixture
def mallory(office: Office) -> Site:
    return Site(office, "mallory", 0x30)


async def test_a_substituted_key_is_refused_by_card_and_unconfirmed_by_name(
    office: Office, lab_a: Site, lab_b: Site, mallory: Site
) -> None:
    office.substitute["lab-b"] = mallory.record(hostname="lab-b", address=lab_b.address)
    with pytest.raises(IdentityMismatch):
        await lab_a.ask(lab_b.card())
    assert office.posted == [], "zero bytes went to the wrong key"
    assert (await lab_a.ask("lab-b")).identity == "unconfirmed"


async def test_a_record_whose_sealing_key_another_key_signed_is_refused(
    office: Office, lab_a: Site, lab_b: Site, mallory: Site
) -> None:
    true = lab_b.record()
    office.substitute["lab-b"] = msgspec.structs.replace(true, sealing_key=mallory.record().sealing_key)
    with pytest.raises(IdentityMismatch, match="does not verify"):
        await lab_a.ask(lab_b.card())
    assert office.posted == []


async def test_an_older_sealing_key_is_refused(office: Office, lab_a: Site, lab_b: Site) -> None:
    old = lab_b.record()
    lab_b.clock.advance(25 * 86400)
    lab_a.clock.advance(25 * 86400)
    office.register(lab_b.record())
    await lab_a.ask(lab_b.card())
    office.substitute["lab-b"] = old
    with pytest.raises(IdentityMismatch, match="older sealing key"):
        await lab_a.ask(lab_b.card())


async def test_an_approved_name_is_never_remapped_to_another_approved_peer(
    office: Office, lab_a: Site, lab_b: Site, mallory: Site
) -> None:
    await agree(lab_a, lab_b)
    await agree(lab_a, mallory)
    office.substitute["lab-b"] = mallory.record(hostname="lab-b", address=lab_b.address)
    office.substitute[mallory.key.hex] = mallory.record(hostname="lab-b", address=lab_b.address)
    assert (await lab_a.trust.resolve("lab-b")).key == lab_b.key
    assert (await lab_a.trust.resolve(lab_b.address)).key == lab_b.key
    # The rendezvous and the approved peer together: a request under the other's name.
    mallory.address = lab_b.address
    mallory.ledger.claims = msgspec.structs.replace(mallory.ledger.claims, hostname="lab-b")
    await mallory.ask(lab_a.card())
    await lab_a.read_mail()
    assert await lab_a.pending() == ()
    assert "another hostname or address" in lab_a.refusals()[-1][1]
    assert (await lab_a.trust.resolve("lab-b")).key == lab_b.key


async def test_an_unapproved_key_under_an_approved_name_cannot_be_approved(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    impostor = Site(office, "lab-b", 0x40)
    await impostor.ask(lab_a.card())
    await lab_a.read_mail()
    (waiting,) = await lab_a.pending()
    assert waiting.fingerprint == str(impostor.key.fingerprint)
    with pytest.raises(IdentityMismatch, match="is an approved peer with the key"):
        await lab_a.approve(impostor.address)
    assert (await lab_a.trust.resolve("lab-b")).key == lab_b.key


async def test_replayed_mail_changes_nothing(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    recorded = [mail for _, mail in office.posted]
    await lab_a.revoke("lab-b")
    await lab_b.read_mail()
    for mail in recorded:
        for lab in (lab_a, lab_b):
            await lab.courier.opened(mail)
    assert not lab_a.trust.approved(lab_b.key)
    assert not lab_b.trust.approved(lab_a.key)
    assert await lab_b.pending() == ()


async def test_an_old_revocation_does_not_kill_a_renewed_agreement(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    await lab_a.revoke("lab-b")
    revocation = office.posted[-1][1]
    await lab_b.read_mail()
    await agree(lab_a, lab_b)
    await lab_b.courier.opened(revocation)
    assert lab_b.trust.approved(lab_a.key)
    assert lab_b.refusals()[-1][0] == "replayed"


async def test_mail_moved_to_another_sender_recipient_id_or_kind_does_not_open(
    office: Office, lab_a: Site, lab_b: Site, mallory: Site
) -> None:
    await lab_a.ask(lab_b.card())
    mail = office.posted[-1][1]
    moved = [
        msgspec.structs.replace(mail, sender=mallory.key.hex),
        msgspec.structs.replace(mail, message_id="00" * 16),
        msgspec.structs.replace(mail, keep=False),
        msgspec.structs.replace(mail, blob=mail.blob[:-1] + bytes([mail.blob[-1] ^ 1])),
    ]
    for changed in moved:
        await lab_b.courier.opened(changed)
        assert lab_b.refusals()[-1][0] == "unseal_failed"
    await mallory.courier.opened(mail)
    assert mallory.refusals()[-1][0] == "unseal_failed"
    assert await lab_b.pending() == ()


async def test_a_statement_of_another_network_or_rendezvous_is_refused(lab_a: Site, lab_b: Site) -> None:
    elsewhere = Site(Office(ManualClock()), "lab-a", 0x10, identity=lab_a.identity)
    statement = elsewhere.notary.make(
        HandshakeRequest,
        lab_b.key,
        3600,
        hostname="lab-a",
        address=lab_a.address,
        subject_hostname="lab-b",
        organization="",
        contact="",
        requested_by="",
        justification="carried over",
        charter=None,
        until=int(lab_a.clock.now()) + 1000,
    )
    with pytest.raises(RemoteProtocolError, match="another rendezvous"):
        await lab_b.trust.receive(lab_a.key, elsewhere.notary.sign(statement))


async def test_an_approval_for_somebody_else_is_refused(lab_a: Site, lab_b: Site, mallory: Site) -> None:
    await lab_a.ask(lab_b.card())
    await lab_a.ask(mallory.card())
    await mallory.read_mail()
    await mallory.pending()
    await mallory.approve("lab-a")
    envelope = Envelope.from_json(mallory.agreement_with(lab_a).agreement.approval.encode())  # type: ignore[union-attr]  # approved above
    with pytest.raises(RemoteProtocolError):
        await lab_b.trust.receive(mallory.key, envelope)
    with pytest.raises(RemoteProtocolError):  # lab-b is not its signer
        await lab_a.trust.receive(lab_b.key, envelope)
    assert not lab_a.trust.approved(lab_b.key)


async def test_an_approval_that_the_peer_never_gave_is_refused(lab_a: Site, lab_b: Site) -> None:
    """Signed by the rendezvous, by us, or by nobody: none is the peer's."""
    await lab_a.ask(lab_b.card())
    asked = lab_a.store.get(lab_b.key)
    assert asked is not None
    outgoing = asked.outgoing[-1]
    forged = lab_b.notary.make(
        Approval,
        lab_a.key,
        3600,
        request=outgoing.digest,
        request_nonce=outgoing.nonce,
        hostname="lab-b",
        address=lab_b.address,
        organization="",
        contact="",
        reason="",
        allow=("exchange",),
        charter=None,
        until=outgoing.until,
    )
    for forger in (Identity.generate(), lab_a.identity):
        envelope = forger.sign_statement(payload_type(Approval), payload(forged))
        with pytest.raises(RemoteProtocolError):
            await lab_a.trust.receive(lab_b.key, envelope)
    assert not lab_a.trust.approved(lab_b.key)


async def test_statements_in_another_payload_type_are_refused(lab_a: Site, lab_b: Site) -> None:
    await lab_a.ask(lab_b.card())
    statement = lab_a.notary.make(
        HandshakeRequest,
        lab_b.key,
        3600,
        hostname="lab-a",
        address=lab_a.address,
        subject_hostname="lab-b",
        organization="",
        contact="",
        requested_by="",
        justification="x",
        charter=None,
        until=int(lab_a.clock.now()) + 1000,
    )
    for name in ("registration", "sealing-key", "receipt", "approval"):
        envelope = lab_a.identity.sign_statement(payload_type(name), payload(statement))
        with pytest.raises(RemoteProtocolError):
            await lab_b.trust.receive(lab_a.key, envelope)


async def test_a_registration_is_never_anything_else(lab_a: Site, lab_b: Site) -> None:
    """A challenge is 32 bytes inside a typed statement: whatever they are, the peer sees a registration."""
    digest_as_nonce = "ab" * 32
    envelope = lab_a.notary.registration(digest_as_nonce, hostname="lab-a", public=False, tags=())
    with pytest.raises(RemoteProtocolError, match="no place here"):
        await lab_b.trust.receive(lab_a.key, envelope)


async def test_garbage_is_acknowledged_and_recorded_and_breaks_nothing(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    context = SealContext(
        type="mail",
        rendezvous=office.fingerprint,
        network=1,
        sender=lab_a.key,
        recipient=lab_b.key,
        message_id=bytes(16),
    )
    public = lab_b.sealing.current(lab_b.clock.now()).key.public
    for plaintext in (b"", b"{}", b"\xff\xfe", b'{"payload":"","payloadType":"x","signatures":[]}'):
        mail = Mail(
            sender=lab_a.key.hex,
            message_id=bytes(16).hex(),
            blob=seal(plaintext, public, context),
            posted=0,
            keep=True,
        )
        office.mail[lab_b.key.hex] = [mail]
        await lab_b.read_mail()
        assert office.mail[lab_b.key.hex] == []
    assert len(lab_b.refusals()) == 4


async def test_the_office_never_sees_the_reason(office: Office, lab_a: Site, lab_b: Site) -> None:
    await lab_a.ask(lab_b.card(), "Lung cancer study, IRB #2026-0142", requested_by="Dr. Ada Example")
    everything = b"".join(office.seen)
    for secret in (b"Lung cancer", b"2026-0142", b"Ada Example", b"handshake-request"):
        assert secret not in everything
    assert {len(blob) for blob in office.seen} == {len(office.seen[0])}


async def test_a_handshake_from_a_key_the_registry_does_not_know_is_refused(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await lab_a.ask(lab_b.card())
    del office.records[lab_a.key.hex]
    await lab_b.read_mail()
    assert await lab_b.pending() == ()
    assert lab_b.refusals()[-1][0] == UnknownPeer.code


async def test_killed_between_commit_and_delivery_the_statement_is_still_owed(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    office.up = False
    await lab_a.revoke("lab-b")
    # The daemon is killed here; what is left is its database.
    again = Site(office, "lab-a", 0x10, identity=lab_a.identity)
    again.db, owed = lab_a.db, lab_a.store.outbox()
    assert [item.peer for item in owed] == [lab_b.key]
    office.up = True
    await lab_a.trust.registered(lab_a.membership)
    await lab_b.read_mail()
    assert not lab_b.trust.approved(lab_a.key)


async def test_redelivery_after_a_crash_before_the_acknowledgement_is_quiet(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await lab_a.ask(lab_b.card())
    mail = office.mail[lab_b.key.hex][0]
    await lab_b.courier.opened(mail)
    await lab_b.courier.opened(mail)
    assert lab_b.refusals() == []
    assert len(await lab_b.pending()) == 1


async def test_a_key_that_is_our_own_is_no_peer(lab_a: Site) -> None:
    statement = lab_a.notary.make(
        HandshakeRequest,
        lab_a.key,
        3600,
        hostname="lab-a",
        address=lab_a.address,
        subject_hostname="lab-a",
        organization="",
        contact="",
        requested_by="",
        justification="x",
        charter=None,
        until=int(lab_a.clock.now()) + 1000,
    )
    with pytest.raises(RemoteProtocolError, match="ourselves"):
        await lab_a.trust.receive(PublicKey(lab_a.key.raw), lab_a.notary.sign(statement))


async def test_a_full_desk_leaves_requests_in_the_mailbox(
    office: Office, lab_a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comity.limits.PENDING_REQUESTS", 2)
    strangers = [Site(office, f"lab-{number}", 0x100 + number) for number in range(3)]
    for stranger in strangers:
        await stranger.ask(lab_a.card())
    with pytest.raises(Exception, match="wait here already"):
        await lab_a.read_mail()
    assert len(await lab_a.pending()) == 2
    await lab_a.trust.answering.reject(control.RejectRequest("lab-0", "no"))
    await lab_a.read_mail()
    assert {request.hostname for request in await lab_a.pending()} == {"lab-1", "lab-2"}
