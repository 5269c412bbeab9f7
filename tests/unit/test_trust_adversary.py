"""Strangers, approved peers and the rendezvous against a node's trust: jams, floods, races and names."""

from __future__ import annotations

import asyncio
import sqlite3

import msgspec
import pytest

from comity import control, limits
from comity.clock import ManualClock
from comity.errors import IdentityMismatch, NothingPending, RateLimited
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity
from comity.protocol.registry import Mail
from comity.protocol.statements import HandshakeRequest, Reachability
from comity.protocol.trust.relationship import Relationship
from comity.services.trust.service import OutOfOrder, TooManyPending
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


def request_of(asker: Site, asked: Site, lifetime: int = 3600, **changes: object) -> Envelope:
    """A handshake request as an asker with a program of its own would sign it."""
    fields: dict[str, object] = {
        "hostname": asker.hostname,
        "address": asker.address,
        "subject_hostname": asked.hostname,
        "organization": "",
        "contact": "",
        "requested_by": "",
        "justification": "a study",
        "charter": None,
        "until": int(asker.clock.now()) + 1000,
    }
    return asker.notary.pair(HandshakeRequest, asked.key, lifetime, **fields | changes)


async def post(sender: Site, recipient: Site, envelope: Envelope) -> None:
    await sender.courier.send(recipient.key, envelope, keep=True)


# ── borrowed names ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["lab-a", "lab-c", "x\x1b[2J"])
async def test_an_approval_under_another_name_is_refused(lab_a: Site, lab_b: Site, name: str) -> None:
    """It would make an evidence of the agreement that names somebody else, or that never verifies."""
    await lab_a.ask(lab_b.card())
    await lab_b.read_mail()
    await lab_b.pending()
    lab_b.rename(name)
    await lab_b.approve("lab-a")
    await lab_a.read_mail()
    assert not lab_a.trust.approved(lab_b.key)
    assert "another hostname or address" in lab_a.refusals()[-1][1]


async def test_a_request_that_was_meant_for_another_name_is_refused(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """The rendezvous gives an honest node's key for a name that is not its own: that node notices."""
    office.substitute["charité"] = lab_b.record(hostname="charité")
    await lab_a.ask("charité")
    await lab_b.read_mail()
    assert await lab_b.pending() == ()
    assert "meant for charité" in lab_b.refusals()[-1][1]


async def test_a_fingerprint_that_was_compared_under_one_name_confirms_no_other(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """A former partner comes back under a better name, and the registry is willing."""
    await agree(lab_a, lab_b)  # by card
    assert (await lab_a.trust.ending.trust()).trusted[0].identity == "confirmed"
    await lab_a.revoke("lab-b")
    await lab_b.read_mail()
    lab_b.rename("charité")
    office.register(lab_b.record(hostname="charité"))
    await lab_b.ask(lab_a.card())
    await lab_a.read_mail()
    (waiting,) = await lab_a.pending()
    assert (waiting.hostname, waiting.verified) == ("charité", "signature")
    assert (await lab_a.approve("charité")).identity == "unconfirmed"


@pytest.mark.parametrize("larger", [True, False])
async def test_whom_we_asked_under_one_name_is_not_approved_under_another(
    office: Office, larger: bool
) -> None:
    """It asks back under a name that we never asked: with both having asked, no person would see it."""
    one, two = Site(office, "lab-a", 0x10), Site(office, "lab-b", 0x20)
    ours, theirs = (one, two) if (one.key.hex > two.key.hex) is larger else (two, one)
    await ours.ask(theirs.card())
    await theirs.read_mail()
    await theirs.pending()
    theirs.rename("charité")
    office.register(theirs.record(hostname="charité"))
    await post(theirs, ours, request_of(theirs, ours, hostname="charité"))
    await ours.read_mail()
    assert not ours.trust.approved(theirs.key)
    assert len(await ours.pending()) == 1
    if not theirs.trust.approved(ours.key):
        await theirs.approve(ours.hostname)
    await ours.read_mail()
    assert not ours.trust.approved(theirs.key)


async def test_of_two_keys_that_were_asked_under_one_name_only_the_first_is_approved(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """By bare name the registry could lie; by card it could not. Both answer."""
    impostor = Site(office, "lab-b", 0x40)
    office.substitute["lab-b"] = impostor.record()
    await lab_a.ask("lab-b")
    del office.substitute["lab-b"]
    office.records[impostor.key.hex] = impostor.record(hostname="impostor")
    await lab_a.ask(lab_b.card())
    for lab in (lab_b, impostor):
        await lab.read_mail()
        await lab.pending()
        await lab.approve("lab-a")
    await lab_a.read_mail()
    assert (await lab_a.trust.resolve("lab-b")).key == lab_b.key
    assert not lab_a.trust.approved(impostor.key)
    assert lab_a.refusals()[-1][0] == IdentityMismatch.code


async def test_a_request_under_a_charter_that_nobody_can_be_shown_is_refused(
    lab_a: Site, lab_b: Site
) -> None:
    await post(lab_a, lab_b, request_of(lab_a, lab_b, charter="sha256:" + "ab" * 32))
    await lab_b.read_mail()
    assert await lab_b.pending() == ()
    assert "charter" in lab_b.refusals()[-1][1]


async def test_a_key_made_to_look_like_a_partners_gets_a_folder_of_its_own(lab_a: Site, lab_b: Site) -> None:
    """Eight digits can be had by trying: what a name's next owner sends must not be mixed in."""
    beginning = str(lab_b.key.fingerprint)[:8]
    before = Relationship(
        peer=Identity.generate().public.hex,
        hostname="lab-b",
        address="1:0001.0000.0070",
        local_id=f"lab-b-{beginning}",
    )
    lab_a.store.put(before)
    await agree(lab_a, lab_b)
    known = lab_a.agreement_with(lab_b)
    assert known is not None
    assert known.local_id == f"lab-b-{str(lab_b.key.fingerprint)[:16]}"


# ── trust that nobody gave ────────────────────────────────────────────────────────────────────────────


async def test_what_we_asked_before_they_revoked_is_no_consent_to_what_they_ask_later(office: Office) -> None:
    one, two = Site(office, "lab-a", 0x10), Site(office, "lab-b", 0x20)
    larger, smaller = (one, two) if one.key.hex > two.key.hex else (two, one)
    await agree(larger, smaller)
    await larger.ask(smaller.card(), "a renewal")
    await smaller.read_mail()
    await smaller.revoke(larger.hostname)
    await larger.read_mail()
    for lab in (larger, smaller):
        lab.clock.advance(limits.DAY)
    await smaller.ask(larger.card(), "something else")
    await larger.read_mail()
    assert not larger.trust.approved(smaller.key), "no person here has seen that request"
    assert [request.justification for request in await larger.pending()] == ["something else"]
    await larger.approve(smaller.hostname)
    await smaller.read_mail()
    assert smaller.trust.approved(larger.key)


# ── a crowd of strangers at the desk ──────────────────────────────────────────────────────────────────


def strangers(office: Office, count: int, first: int = 0) -> list[Site]:
    return [Site(office, f"stranger-{number}", 0x1000 + number) for number in range(first, first + count)]


async def read_what_can_be(site: Site) -> None:
    """Open what waits, as the rendezvous's pushes are: one failing does not keep the next one from coming."""
    for mail in list(site.office.mail.get(site.key.hex, [])):
        try:
            await site.courier.opened(mail)
        except (TooManyPending, RateLimited):
            continue


async def test_lapsed_requests_leave_the_desk_and_the_disk(
    office: Office, lab_a: Site, lab_b: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They can be neither approved nor rejected any more: who filled the desk with them had it for ever."""
    monkeypatch.setattr(limits, "PENDING_REQUESTS", 3)
    for stranger in strangers(office, 3):
        await post(stranger, lab_a, request_of(stranger, lab_a, lifetime=60))
    await lab_a.read_mail()
    assert len(await lab_a.pending()) == 3
    lab_a.clock.advance(120)
    await lab_b.ask(lab_a.card())
    await lab_a.read_mail()
    assert [request.hostname for request in await lab_a.pending()] == ["lab-b"]
    assert [rel.hostname for rel in lab_a.trust.relationships()] == ["lab-b"]
    rows = lab_a.db.execute("SELECT count(*) FROM pair_sequence").fetchone()
    assert rows[0] == 1


async def test_a_full_desk_holds_up_no_partner_and_nobody_whom_we_asked(
    office: Office, lab_a: Site, lab_b: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PENDING_REQUESTS", 2)
    await agree(lab_a, lab_b)
    asked = Site(office, "asked", 0x50)
    await lab_a.ask(asked.card())
    for stranger in strangers(office, 3):
        await stranger.ask(lab_a.card())
    await read_what_can_be(lab_a)
    await lab_b.ask(lab_a.card(), "a renewal")
    await asked.ask(lab_a.card(), "we want it too")
    await read_what_can_be(lab_a)
    await read_what_can_be(asked)
    await read_what_can_be(lab_a)
    assert "lab-b" in {request.hostname for request in await lab_a.pending()}
    assert lab_a.trust.approved(asked.key), "mutual: both had asked"


async def test_a_partners_request_needs_no_registry(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    await lab_b.ask(lab_a.card(), "a renewal")
    lab_a.client.asked.clear()
    await lab_a.read_mail()
    assert lab_a.client.asked == []
    assert len(await lab_a.pending()) == 1


async def test_what_would_be_refused_anyway_costs_no_lookup(
    office: Office, lab_a: Site, lab_b: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Site(office, "other", 0x50)
    await lab_b.ask(lab_a.card())
    await lab_a.read_mail()
    (accepted,) = [mail for _, mail in office.posted]
    monkeypatch.setattr(limits, "PENDING_REQUESTS", 1)
    lab_a.client.asked.clear()
    await lab_a.courier.opened(accepted)  # delivered again
    await post(lab_b, lab_a, request_of(lab_b, other))  # for somebody else
    await post(lab_b, lab_a, request_of(lab_b, lab_a, lifetime=-1))  # too late
    envelope = request_of(lab_b, lab_a)
    await post(lab_b, lab_a, Envelope(envelope.payload_type, envelope.payload, bytes(64)))  # forged
    await read_what_can_be(lab_a)
    await other.ask(lab_a.card())  # no room
    await read_what_can_be(lab_a)
    assert lab_a.client.asked == []


async def test_a_crowd_of_strangers_uses_up_only_its_share_of_lookups_and_is_served_in_the_end(
    office: Office, lab_a: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS_BURST", 5)
    crowded = Site(office, "crowded", 0x60)
    for stranger in strangers(office, 8):
        await stranger.ask(crowded.card())
    await read_what_can_be(crowded)
    assert len(crowded.client.asked) == 5
    crowded.clock.advance(3 / limits.REQUESTS_PER_SECOND)
    await crowded.trust.registered(
        crowded.membership
    )  # as it happens every minute: nobody has to connect again
    assert len(await crowded.pending()) == 8
    assert office.mail[crowded.key.hex] == []


async def test_a_request_that_waited_longer_than_its_askers_sealing_key_lives_is_read(
    lab_a: Site, lab_b: Site
) -> None:
    for lab in (lab_a, lab_b):
        lab.clock.advance(20 * limits.DAY)
    await lab_b.ask(lab_a.card())
    lab_a.clock.advance(11 * limits.DAY)  # lab-b has been away since
    await lab_a.read_mail()
    assert len(await lab_a.pending()) == 1


# ── statements that claim too much, or come at the wrong time ─────────────────────────────────────────


async def test_a_statement_that_lives_too_long_is_refused(lab_a: Site, lab_b: Site) -> None:
    await post(lab_b, lab_a, request_of(lab_b, lab_a, lifetime=limits.REQUEST_LIFETIME + 1))
    forever = int(lab_b.clock.now()) + limits.AGREEMENT_LIFETIME_MOST + 1
    await post(lab_b, lab_a, request_of(lab_b, lab_a, until=forever))
    await lab_a.read_mail()
    assert await lab_a.pending() == ()
    assert ["lives longer" in reasons[1] for reasons in lab_a.refusals()] == [True, False]
    assert "ten years" in lab_a.refusals()[1][1]


async def test_a_sealing_key_that_lives_too_long_is_refused(office: Office, lab_a: Site, lab_b: Site) -> None:
    key = lab_b.sealing.current(lab_b.clock.now())
    late = key.expires + limits.DAY
    certificate = lab_b.notary.sealing_key(key.key.public, key.sequence + 1, late).to_json().decode()
    office.register(msgspec.structs.replace(lab_b.record(), sealing_key=certificate))
    with pytest.raises(Exception, match="lives longer"):
        await lab_a.ask(lab_b.card())


async def test_a_revocation_is_heard_whatever_the_clocks_say(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    lab_a.clock.advance(limits.HOUR)
    await lab_a.revoke("lab-b")
    await lab_b.read_mail()
    assert not lab_b.trust.approved(lab_a.key)


async def test_what_was_refused_is_spent_and_what_it_overtook_is_void(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """Both revoke; the rendezvous withholds what lab-b had asked before, and delivers it after the end."""
    await agree(lab_b, lab_a)
    await lab_a.revoke("lab-b")
    await lab_b.ask(lab_a.card(), "asked before the end")
    await lab_b.revoke("lab-a")
    asked, revoked = office.mail[lab_a.key.hex]
    await lab_a.courier.opened(revoked)
    await lab_a.courier.opened(asked)
    assert await lab_a.pending() == ()
    assert [reasons[0] for reasons in lab_a.refusals()] == ["trust_refused", "replayed"]


# ── mail that can't be handled yet ────────────────────────────────────────────────────────────────────


async def test_mail_that_waits_is_not_overtaken_by_its_senders_next(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """The registry fails once: the request that needed it would be lost as replayed behind the next one."""
    await lab_b.ask(lab_a.card(), "first")
    await lab_b.ask(lab_a.card(), "second")
    lab_a.client.fail_next_resolve(RateLimited("not now"))
    await read_what_can_be(lab_a)
    assert [request.justification for request in await lab_a.pending()] == ["second"]
    assert lab_a.refusals() == []
    assert office.mail[lab_a.key.hex] == []


async def test_mail_is_held_until_the_rendezvous_knows_that_it_was_read(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await lab_b.ask(lab_a.card())
    (mail,) = office.mail[lab_a.key.hex]
    lab_a.client.fail_next_acknowledge(RateLimited("not now"))
    with pytest.raises(RateLimited):
        await lab_a.courier.opened(mail)
    await lab_a.trust.registered(lab_a.membership)
    assert office.mail[lab_a.key.hex] == []
    assert lab_a.refusals() == []


async def test_a_bug_in_one_statement_holds_up_no_other(
    office: Office, lab_a: Site, lab_b: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lab_b.ask(lab_a.card(), "first")
    await lab_b.ask(lab_a.card(), "second")
    first, second = office.mail[lab_a.key.hex]
    lab_a.client.fail_next_resolve(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await lab_a.courier.opened(first)
    await lab_a.courier.opened(second)
    assert [request.justification for request in await lab_a.pending()] == ["second"]


async def test_a_statement_that_cannot_be_delivered_is_no_secret(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """The registry's record of a peer does not verify, and keeps a revocation from it: that is told here."""
    await agree(lab_a, lab_b)
    for lab in (lab_a, lab_b):
        lab.clock.advance(40 * limits.DAY)
    await lab_a.revoke("lab-b")
    with pytest.raises(IdentityMismatch, match="does not verify"):
        await lab_a.trust.registered(lab_a.membership)
    assert lab_a.client.reserved == [lab_b.key], "the rest was done all the same"
    office.register(lab_b.record())
    await lab_a.trust.registered(lab_a.membership)
    await lab_b.read_mail()
    assert not lab_b.trust.approved(lab_a.key)


# ── filling the disk with refusals ────────────────────────────────────────────────────────────────────


async def test_refused_mail_of_strangers_cannot_fill_the_log(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    garbage = Mail(sender=lab_b.key.hex, message_id="00" * 16, blob=b"x", posted=0, keep=True)
    for number, stranger in enumerate(strangers(office, limits.DENIALS_BURST + 50)):
        name = number.to_bytes(16).hex()
        await lab_a.courier.opened(msgspec.structs.replace(garbage, sender=stranger.key.hex, message_id=name))
    assert len(lab_a.refusals()) == limits.DENIALS_BURST
    await lab_a.courier.opened(garbage)
    assert len(lab_a.refusals()) == limits.DENIALS_BURST + 1, "a partner's is recorded"
    for _ in range(limits.DENIALS_BURST + 50):
        await lab_a.courier.opened(garbage)
    assert len(lab_a.refusals()) == 2 * limits.DENIALS_BURST, "up to the same rate"
    lab_a.clock.advance(1 / limits.DENIALS_PER_SECOND)
    await lab_a.courier.opened(garbage)
    entries = lab_a.audit.log(control.AuditLogRequest(kind="mail.refused")).entries
    assert entries[-1].detail["unrecorded"] == 51


async def test_a_partner_cannot_fill_the_log_with_requests(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    for _ in range(limits.REQUESTS_BURST + 20):
        await post(lab_b, lab_a, request_of(lab_b, lab_a))
    await read_what_can_be(lab_a)
    received = control.AuditLogRequest(kind="handshake-request.received")
    assert len(lab_a.audit.log(received).entries) == limits.REQUESTS_BURST
    lab_a.clock.advance(20 / limits.REQUESTS_PER_SECOND)
    await lab_a.trust.registered(lab_a.membership)
    assert len(lab_a.audit.log(received).entries) == limits.REQUESTS_BURST + 20


async def test_a_signal_of_a_stranger_is_not_even_opened(office: Office, lab_a: Site, lab_b: Site) -> None:
    await lab_b.courier.send(lab_a.key, request_of(lab_b, lab_a), keep=False)
    await lab_a.read_mail()
    assert await lab_a.pending() == ()
    assert lab_a.refusals() == []


# ── two ways to one peer ──────────────────────────────────────────────────────────────────────────────


async def test_a_session_does_not_overtake_the_mailbox(lab_a: Site, lab_b: Site) -> None:
    """An approval waits in the mailbox while the session carries the next statement: both must count."""
    await agree(lab_b, lab_a)
    await lab_b.ask(lab_a.card(), "a renewal")
    await lab_a.read_mail()
    await lab_a.pending()
    await lab_a.approve("lab-b")
    told: list[Envelope] = []
    lab_a.sessions.wire = told.append
    lab_a.notary.pair(Reachability, lab_b.key, 60, candidates=(), answer=False)  # numbered apart
    await lab_a.ask(lab_b.card(), "something more")
    with pytest.raises(OutOfOrder, match="number 3 came before number 2"):
        await lab_b.trust.receive(lab_a.key, told[0])
    await lab_b.read_mail()
    await lab_b.trust.receive(lab_a.key, told[0])
    here, there = lab_a.agreement_with(lab_b), lab_b.agreement_with(lab_a)
    assert here is not None
    assert there is not None
    assert here.agreement.digest == there.agreement.digest
    assert [request.justification for request in await lab_b.pending()] == ["something more"]


async def test_a_revocation_waits_for_nothing(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_b, lab_a)
    await lab_a.ask(lab_b.card(), "withheld by the rendezvous")
    told: list[Envelope] = []
    lab_a.sessions.wire = told.append
    await lab_a.revoke("lab-b")
    await lab_b.trust.receive(lab_a.key, told[0])
    assert not lab_b.trust.approved(lab_a.key)
    await lab_b.read_mail()
    assert await lab_b.pending() == ()


# ── between two awaits ────────────────────────────────────────────────────────────────────────────────


async def test_a_rendezvous_that_hangs_delays_no_revocation_over_a_session(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    other = Site(office, "other", 0x50)
    lab_a.client.hold = asyncio.Event()
    asking = asyncio.create_task(lab_a.ask(other.card()))
    await asyncio.sleep(0.01)
    told: list[Envelope] = []
    lab_a.sessions.wire = told.append
    assert (await lab_a.revoke("lab-b")).notified
    assert len(told) == 1
    lab_a.client.hold.set()
    await asking


async def test_an_agreement_made_while_a_revocation_is_told_keeps_its_session(
    lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    lab_a.sessions.hold = asyncio.Event()
    revoking = asyncio.create_task(lab_a.revoke("lab-b"))
    await asyncio.sleep(0.01)
    await lab_b.ask(lab_a.card(), "a new start")
    await lab_a.read_mail()
    await lab_a.pending()
    approving = asyncio.create_task(lab_a.approve("lab-b"))
    await asyncio.sleep(0.01)
    lab_a.sessions.hold.set()
    await revoking
    await approving
    assert lab_a.trust.approved(lab_b.key)
    assert lab_a.sessions.ended == []


async def test_a_revocation_whose_delivery_fails_tears_down_all_the_same(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    lab_a.sessions.wire = lambda _: None
    lab_a.db.execute(
        "CREATE TEMP TRIGGER broken BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END"
    )
    with pytest.raises(sqlite3.IntegrityError):
        await lab_a.revoke("lab-b")
    assert lab_a.sessions.ended == [lab_b.key]


async def test_of_two_approvals_at_once_one_counts(lab_a: Site, lab_b: Site) -> None:
    await lab_b.ask(lab_a.card())
    await lab_a.read_mail()
    (waiting,) = await lab_a.pending()
    answers = await asyncio.gather(
        lab_a.approve("lab-b", digest=waiting.digest),
        lab_a.approve("lab-b", digest=waiting.digest),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [control.ApproveResult, NothingPending]
    assert len(lab_a.store.agreements(lab_b.key)) == 1


async def test_a_request_that_comes_while_another_is_looked_up_and_one_is_approved(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """What was read before a wait is not what is written after it."""
    await agree(lab_b, lab_a)
    await lab_a.revoke("lab-b")
    await lab_b.read_mail()
    await lab_b.ask(lab_a.card(), "first")
    await lab_a.read_mail()
    await lab_a.pending()
    await lab_b.ask(lab_a.card(), "second")
    lab_a.client.hold_resolve = asyncio.Event()
    reading = asyncio.create_task(lab_a.read_mail())
    await asyncio.sleep(0.01)
    await lab_a.approve("lab-b")
    made = lab_a.agreement_with(lab_b)
    assert made is not None
    lab_a.client.hold_resolve.set()
    await reading
    assert lab_a.agreement_with(lab_b) == made
    assert [request.justification for request in await lab_a.pending()] == ["second"]
