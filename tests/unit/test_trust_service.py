"""The trust operations, as both institutions see them."""

from __future__ import annotations

import asyncio
import json

import pytest

from comity import control
from comity.clock import ManualClock
from comity.errors import (
    HandshakeRejected,
    IdentityMismatch,
    InvalidInput,
    NothingPending,
    RequestChanged,
    TimedOut,
    UnknownPeer,
    UntrustedPeer,
)
from comity.identity.fingerprint import Fingerprint
from comity.protocol.trust.evidence import verify_agreement
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
    return Site(office, "charité-trainer", 0x20)


async def test_a_handshake_becomes_the_same_agreement_on_both_sides(lab_a: Site, lab_b: Site) -> None:
    sent = await lab_a.ask(lab_b.card(), "Lung study, IRB #2026-0142", requested_by="Dr. Ada, radiology")
    assert (sent.status, sent.identity) == ("sent", "confirmed")
    await lab_b.read_mail()
    (waiting,) = await lab_b.pending()
    assert waiting.justification == "Lung study, IRB #2026-0142"
    assert waiting.requested_by == "Dr. Ada, radiology"
    assert waiting.fingerprint == str(lab_a.key.fingerprint)
    assert waiting.verified == "signature"
    approved = await lab_b.approve("lab-a")
    await lab_a.read_mail()
    here, there = lab_a.agreement_with(lab_b), lab_b.agreement_with(lab_a)
    assert here is not None
    assert there is not None
    assert here.agreement.digest == there.agreement.digest == approved.agreement
    assert lab_a.sessions.trusted == [lab_b.key]
    assert lab_b.sessions.trusted == [lab_a.key]
    assert await lab_b.pending() == ()


async def test_bare_name_is_unconfirmed_until_the_fingerprint_was_compared(lab_a: Site, lab_b: Site) -> None:
    sent = await lab_a.ask("charité-trainer")
    assert sent.identity == "unconfirmed"
    wrong = control.ConfirmRequest("charité-trainer", str(lab_a.key.fingerprint))
    with pytest.raises(IdentityMismatch):
        await lab_a.trust.answering.confirm(wrong)
    right = control.ConfirmRequest("charité-trainer", str(lab_b.key.fingerprint))
    assert (await lab_a.trust.answering.confirm(right)).identity == "confirmed"


async def test_approving_needs_the_request_that_was_shown(lab_a: Site, lab_b: Site) -> None:
    await lab_a.ask(lab_b.card())
    await lab_b.read_mail()
    with pytest.raises(RequestChanged, match="not been shown"):
        await lab_b.approve("lab-a")
    (first,) = await lab_b.pending()
    await lab_a.ask(lab_b.card(), "something else entirely")
    await lab_b.read_mail()
    with pytest.raises(RequestChanged, match="not been shown"):
        await lab_b.approve("lab-a")
    with pytest.raises(RequestChanged, match="not the one"):
        await lab_b.approve("lab-a", digest=first.digest)
    (second,) = await lab_b.pending()
    assert (await lab_b.approve("lab-a", digest=second.digest)).status == "trusted"


async def test_nobody_to_approve(lab_a: Site, lab_b: Site) -> None:
    with pytest.raises(UnknownPeer):
        await lab_b.approve("lab-a")
    await agree(lab_a, lab_b)
    with pytest.raises(NothingPending):
        await lab_b.approve("lab-a")


async def test_an_unknown_service_is_refused(lab_a: Site, lab_b: Site) -> None:
    with pytest.raises(InvalidInput, match="no such service: everything"):
        await lab_b.approve("lab-a", allow=("everything",))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"why": "   "}, "needs a justification"),
        ({"why": "x" * 5000}, "longer than"),
        ({"requested_by": "x" * 600}, "--as is longer"),
        ({"lifetime_seconds": 0}, "lasts between"),
        ({"lifetime_seconds": 4000 * 86400}, "lasts between"),
    ],
)
async def test_a_senseless_handshake_is_refused(
    lab_a: Site, lab_b: Site, changed: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await lab_a.ask(lab_b.card(), **changed)  # type: ignore[arg-type]  # each case has its own types


async def test_a_node_does_not_shake_hands_with_itself(lab_a: Site) -> None:
    with pytest.raises(InvalidInput, match="this node itself"):
        await lab_a.ask("lab-a")


async def test_unknown_and_untrusted_are_told_apart(lab_a: Site, lab_b: Site) -> None:
    with pytest.raises(UnknownPeer):
        await lab_a.trust.resolve("nobody")
    with pytest.raises(UntrustedPeer, match="no agreement with charité-trainer"):
        await lab_a.trust.resolve("charité-trainer")
    await lab_a.ask(lab_b.card())
    with pytest.raises(UntrustedPeer, match="not answered"):
        await lab_a.trust.resolve("charité-trainer")
    await lab_b.read_mail()
    with pytest.raises(UntrustedPeer, match="have not approved"):
        await lab_b.trust.resolve("lab-a")


async def test_waiting_for_an_answer(lab_a: Site, lab_b: Site) -> None:
    with pytest.raises(TimedOut, match="the request stays open"):
        await lab_a.ask(lab_b.card(), wait_seconds=0.05)
    asking = asyncio.create_task(lab_a.ask(lab_b.card(), wait_seconds=60))
    await asyncio.sleep(0.01)
    await lab_b.read_mail()
    await lab_b.pending()
    await lab_b.approve("lab-a")
    await lab_a.read_mail()
    assert (await asking).status == "approved"


async def test_a_rejection_reaches_the_asker_with_its_reason(lab_a: Site, lab_b: Site) -> None:
    asking = asyncio.create_task(lab_a.ask(lab_b.card(), wait_seconds=60))
    await asyncio.sleep(0.01)
    await lab_b.read_mail()
    await lab_b.trust.answering.reject(control.RejectRequest("lab-a", "no ethics vote yet"))
    await lab_a.read_mail()
    with pytest.raises(HandshakeRejected, match="no ethics vote yet"):
        await asking
    assert await lab_b.pending() == ()


@pytest.mark.parametrize("first", [0, 1])
async def test_mutual_handshakes_approve_each_other_into_one_agreement(office: Office, first: int) -> None:
    labs = (Site(office, "lab-a", 0x10), Site(office, "lab-b", 0x20))
    one, two = labs[first], labs[1 - first]
    await one.ask(two.card(), "reason of one", lifetime_seconds=1000)
    await two.ask(one.card(), "reason of two", lifetime_seconds=500)
    for _ in range(2):
        await one.read_mail()
        await two.read_mail()
    here, there = one.agreement_with(two), two.agreement_with(one)
    assert here is not None
    assert there is not None
    assert here.agreement.digest == there.agreement.digest
    assert here.agreement.until == int(one.clock.now()) + 500
    reasons = {here.agreement.justification, here.agreement.reason}
    assert reasons == {"reason of one", "reason of two"}
    assert await one.pending() == await two.pending() == ()
    listed = await one.trust.ending.trust()
    assert len(listed.trusted) == 1
    assert listed.outgoing == ()


async def test_revocation_is_effective_here_at_once_and_reaches_the_peer(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    revoked = await lab_a.revoke("charité-trainer")
    assert (revoked.status, revoked.links_closed, revoked.notified) == ("revoked", 3, True)
    assert not lab_a.trust.approved(lab_b.key)
    with pytest.raises(UntrustedPeer, match="you revoked it"):
        await lab_a.trust.resolve("charité-trainer")
    await lab_b.read_mail()
    assert not lab_b.trust.approved(lab_a.key)
    assert lab_b.sessions.ended == [lab_a.key]
    with pytest.raises(UntrustedPeer, match="they revoked it"):
        await lab_b.trust.resolve("lab-a")
    with pytest.raises(UntrustedPeer, match="no agreement to revoke"):
        await lab_a.revoke("charité-trainer")


async def test_revocation_without_a_rendezvous_is_delivered_when_it_is_back(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    lab_a.office.up = False
    revoked = await lab_a.revoke("charité-trainer")
    assert not revoked.notified
    assert not lab_a.trust.approved(lab_b.key)
    lab_a.office.up = True
    await lab_a.trust.registered(lab_a.membership)
    await lab_b.read_mail()
    assert not lab_b.trust.approved(lab_a.key)


async def test_a_peer_that_is_away_has_not_been_notified(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    lab_a.office.away.add(lab_b.key.hex)
    assert not (await lab_a.revoke("charité-trainer")).notified
    await lab_b.read_mail()
    assert not lab_b.trust.approved(lab_a.key)


async def test_a_handshake_without_a_rendezvous_says_so(lab_a: Site) -> None:
    lab_a.office.up = False
    with pytest.raises(Exception, match="rendezvous can't be asked"):
        await lab_a.ask("charité-trainer")


async def test_an_agreement_expires_by_itself(lab_a: Site, lab_b: Site) -> None:
    await lab_a.ask(lab_b.card(), lifetime_seconds=60)
    await lab_b.read_mail()
    await lab_b.pending()
    await lab_b.approve("lab-a")
    await lab_a.read_mail()
    assert lab_a.trust.approved(lab_b.key)
    lab_a.clock.advance(61)
    assert not lab_a.trust.approved(lab_b.key)
    with pytest.raises(UntrustedPeer, match="has expired"):
        await lab_a.trust.resolve("charité-trainer")
    listed = await lab_a.trust.ending.trust()
    assert [peer.status for peer in listed.ended] == ["expired"]


async def test_a_renewal_replaces_the_agreement_and_both_stay_on_record(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    old = lab_a.agreement_with(lab_b)
    await agree(lab_a, lab_b)
    new, there = lab_a.agreement_with(lab_b), lab_b.agreement_with(lab_a)
    assert old is not None
    assert new is not None
    assert there is not None
    assert new.agreement.digest == there.agreement.digest != old.agreement.digest
    listed = await lab_a.trust.ending.trust()
    assert [peer.status for peer in listed.trusted] == ["active"]
    assert [peer.status for peer in listed.ended] == ["replaced"]


async def test_the_exported_agreement_verifies_offline_against_anchors(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    exported = await lab_a.trust.ending.export(control.ExportRequest("charité-trainer"))
    data = exported.content.encode()
    anchors = {"lab-a": lab_a.key.fingerprint, "charité-trainer": lab_b.key.fingerprint}
    assert verify_agreement(data, anchors).identities == "verified"
    assert verify_agreement(data, anchors).digest == exported.agreement
    assert verify_agreement(data, {}).identities == "unverified"
    assert verify_agreement(data, {"lab-a": lab_a.key.fingerprint}).identities == "unverified"
    with pytest.raises(Exception, match="another key than the fingerprint"):
        verify_agreement(data, {"lab-a": lab_b.key.fingerprint})
    with pytest.raises(Exception, match="no party of this agreement"):
        verify_agreement(data, {"lab-c": lab_b.key.fingerprint})
    await lab_b.revoke("lab-a")
    await lab_a.read_mail()
    exported = await lab_a.trust.ending.export(control.ExportRequest("charité-trainer"))
    evidence = verify_agreement(exported.content.encode(), anchors)
    assert evidence.revocation is not None
    assert evidence.revocation.issuer == lab_b.key.hex


async def test_a_changed_byte_anywhere_in_the_export_is_found(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    exported = await lab_a.trust.ending.export(control.ExportRequest("charité-trainer"))
    content = json.loads(exported.content)
    for part in ("request", "approval"):
        for field in ("payload", "payloadType"):
            changed = json.loads(exported.content)
            text = changed[part][field]
            changed[part][field] = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]
            with pytest.raises(Exception, match=r"agreement|statement|issuer|payload"):
                verify_agreement(json.dumps(changed).encode(), {})
    content["request"], content["approval"] = content["approval"], content["request"]
    with pytest.raises(Exception, match="payload"):
        verify_agreement(json.dumps(content).encode(), {})


async def test_local_store_answers_by_name_address_card_and_fingerprint(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    lab_a.client.asked.clear()
    for text in ("charité-trainer", lab_b.address, lab_b.card(), str(lab_b.key.fingerprint)):
        assert (await lab_a.trust.resolve(text)).key == lab_b.key
    assert lab_a.client.asked == []


async def test_a_handshake_with_another_fingerprint_than_the_registry_gives_is_refused(
    lab_a: Site, lab_b: Site
) -> None:
    other = Fingerprint(bytes(32))
    with pytest.raises(IdentityMismatch):
        await lab_a.ask("charité-trainer", fingerprint=str(other))
    assert lab_a.office.posted == []
