"""The trust machine's transitions, one at a time, and what each refuses."""

from __future__ import annotations

import msgspec
import pytest

from comity.protocol.statements import Approval, HandshakeRequest, Rejection, Revocation, digest
from comity.protocol.trust import events, machine
from comity.protocol.trust.machine import TrustRefused, handle
from comity.protocol.trust.relationship import Relationship

NOW = 1_800_000_000.0
OURS, THEIRS = "aa" * 32, "bb" * 32  # ours is the smaller key
FRAME = {"rendezvous": "cc" * 32, "network": 1, "issued": int(NOW), "expires": int(NOW) + 3600}


def request(issuer: str, subject: str, **changed: object) -> HandshakeRequest:
    fields = {
        **FRAME,
        "issuer": issuer,
        "subject": subject,
        "nonce": "11" * 32,
        "sequence": 1,
        "hostname": "lab-a",
        "address": "1:0001.0000.0010",
        "subject_hostname": "lab-b",
        "organization": "",
        "contact": "",
        "requested_by": "",
        "justification": "IRB #2026-0142",
        "charter": None,
        "until": int(NOW) + 86400,
    }
    return msgspec.convert(fields | changed, HandshakeRequest)


def approval(of: HandshakeRequest, **changed: object) -> Approval:
    fields = {
        **FRAME,
        "issuer": of.subject,
        "subject": of.issuer,
        "nonce": "22" * 32,
        "sequence": 1,
        "request": digest(of),
        "request_nonce": of.nonce,
        "hostname": "lab-b",
        "address": "1:0001.0000.0020",
        "organization": "",
        "contact": "",
        "reason": "",
        "allow": ("exchange",),
        "charter": None,
        "until": of.until,
    }
    return msgspec.convert(fields | changed, Approval)


def revocation(agreement: str, issuer: str, subject: str) -> Revocation:
    fields = {
        **FRAME,
        "issuer": issuer,
        "subject": subject,
        "nonce": "33" * 32,
        "sequence": 2,
        "agreement": agreement,
        "reason": "study over",
    }
    return msgspec.convert(fields, Revocation)


def rejection(of: HandshakeRequest) -> Rejection:
    fields = {
        **FRAME,
        "issuer": of.subject,
        "subject": of.issuer,
        "nonce": "44" * 32,
        "sequence": 1,
        "request": digest(of),
        "request_nonce": of.nonce,
        "reason": "not this year",
    }
    return msgspec.convert(fields, Rejection)


def blank(peer: str = THEIRS) -> Relationship:
    return Relationship(peer=peer, hostname="lab-b", address="1:0001.0000.0020", local_id="lab-b-00000000")


def asked(rel: Relationship, said: HandshakeRequest, own: str = OURS) -> Relationship:
    outgoing = machine.as_outgoing(said, digest(said), "request")
    return handle(rel, own, events.RequestIssued(outgoing), NOW)[0]


def arrived(said: Approval) -> events.ApprovalArrived:
    return events.ApprovalArrived(said, digest(said), "approval")


def test_an_approval_of_our_request_makes_the_agreement_it_names() -> None:
    ours = request(OURS, THEIRS)
    said = approval(ours)
    rel, effects = handle(asked(blank(), ours), OURS, arrived(said), NOW)
    assert rel.agreement is not None
    assert rel.agreement.digest == digest(said)
    assert rel.agreement.request_digest == digest(ours)
    assert rel.standing == "active"
    assert rel.outgoing == ()
    assert effects == (events.Agreed(rel.agreement, None),)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"request": "sha256:" + "0" * 64}, "answers no request"),
        ({"request_nonce": "99" * 32}, "answers no request"),
        ({"charter": "sha256:" + "1" * 64}, "another charter"),
        ({"until": int(NOW) + 86401}, "not within"),
        ({"until": int(NOW)}, "not within"),
    ],
)
def test_an_approval_of_anything_else_is_refused(changed: dict[str, object], problem: str) -> None:
    ours = request(OURS, THEIRS)
    before = asked(blank(), ours)
    with pytest.raises(TrustRefused, match=problem):
        handle(before, OURS, arrived(approval(ours, **changed)), NOW)


def test_an_approval_is_used_once() -> None:
    ours = request(OURS, THEIRS)
    said = arrived(approval(ours))
    rel, _ = handle(asked(blank(), ours), OURS, said, NOW)
    with pytest.raises(TrustRefused, match="no request that is open"):
        handle(rel, OURS, said, NOW)


def test_an_old_approval_does_not_trust_again_after_a_revocation() -> None:
    ours = request(OURS, THEIRS)
    said = arrived(approval(ours))
    rel, _ = handle(asked(blank(), ours), OURS, said, NOW)
    assert rel.agreement is not None
    over = revocation(rel.agreement.digest, OURS, THEIRS)
    rel, effects = handle(rel, OURS, events.RevocationIssued(over, "revocation"), NOW)
    assert rel.standing == "ended"
    assert isinstance(effects[0], events.Ended)
    with pytest.raises(TrustRefused):
        handle(rel, OURS, said, NOW)
    renewed = asked(rel, request(OURS, THEIRS, nonce="55" * 32))
    with pytest.raises(TrustRefused):
        handle(renewed, OURS, said, NOW)


def test_an_old_revocation_does_not_end_a_renewed_agreement() -> None:
    first = request(OURS, THEIRS)
    rel, _ = handle(asked(blank(), first), OURS, arrived(approval(first)), NOW)
    assert rel.agreement is not None
    old = rel.agreement.digest
    second = request(OURS, THEIRS, nonce="66" * 32, sequence=2)
    rel, effects = handle(asked(rel, second), OURS, arrived(approval(second, sequence=3)), NOW + 5)
    assert isinstance(effects[0], events.Agreed)
    assert effects[0].replaced is not None
    assert effects[0].replaced.digest == old
    with pytest.raises(TrustRefused, match="ends no agreement that stands"):
        handle(rel, OURS, events.RevocationArrived(revocation(old, THEIRS, OURS), "revocation"), NOW)
    assert rel.standing == "active"


def test_an_approval_that_comes_after_the_request_lapsed_is_refused() -> None:
    ours = request(OURS, THEIRS)
    with pytest.raises(TrustRefused, match="lapsed"):
        handle(asked(blank(), ours), OURS, arrived(approval(ours)), NOW + 3601)


def test_a_revocation_ends_what_its_signer_had_not_heard_of_yet() -> None:
    """They asked for a renewal, we approved, and they revoked the old one before that reached them."""
    first, second = request(THEIRS, OURS), request(THEIRS, OURS, nonce="66" * 32, sequence=2)
    rel = blank()
    for number, theirs in enumerate((first, second), start=1):
        rel, _ = handle(rel, OURS, events.RequestArrived(theirs, digest(theirs), "theirs"), NOW)
        said = approval(theirs, sequence=number)
        rel, _ = handle(rel, OURS, events.ApprovalIssued(said, digest(said), "approval"), NOW)
    over = msgspec.structs.replace(revocation(digest(approval(first)), THEIRS, OURS), sequence=3)
    rel, effects = handle(rel, OURS, events.RevocationArrived(over, "revocation"), NOW)
    assert rel.standing == "ended"
    assert isinstance(effects[0], events.Ended)


def test_a_rejection_closes_the_request_and_tells_why() -> None:
    ours = request(OURS, THEIRS)
    rel, effects = handle(asked(blank(), ours), OURS, events.RejectionArrived(rejection(ours)), NOW)
    assert rel.outgoing == ()
    assert rel.rejection == "not this year"
    assert effects == (events.TurnedDown("not this year"),)


def test_a_new_request_replaces_the_one_that_waits_and_must_be_shown_again() -> None:
    first, second = request(THEIRS, OURS), request(THEIRS, OURS, nonce="77" * 32, justification="other")
    rel, _ = handle(blank(), OURS, events.RequestArrived(first, digest(first), "first"), NOW)
    assert rel.incoming is not None
    shown = msgspec.structs.replace(rel.incoming, shown=True)
    rel = msgspec.structs.replace(rel, incoming=shown)
    rel, _ = handle(rel, OURS, events.RequestArrived(second, digest(second), "second"), NOW)
    assert rel.incoming is not None
    assert rel.incoming.justification == "other"
    assert not rel.incoming.shown


def test_of_two_that_asked_the_larger_key_approves_and_the_smaller_waits() -> None:
    ours, theirs = request(OURS, THEIRS), request(THEIRS, OURS, until=int(NOW) + 500)
    waiting, effects = handle(
        asked(blank(), ours), OURS, events.RequestArrived(theirs, digest(theirs), "theirs"), NOW
    )
    assert effects == ()
    assert waiting.incoming is not None
    # The same from the other side, whose key is larger.
    there = asked(blank(OURS), theirs, own=THEIRS)
    there, effects = handle(there, THEIRS, events.RequestArrived(ours, digest(ours), "ours"), NOW)
    assert there.incoming is not None
    assert effects == (events.ApproveMutual(there.incoming, reason="IRB #2026-0142", until=int(NOW) + 500),)


def test_two_that_asked_under_different_charters_wait_for_a_person() -> None:
    theirs = request(THEIRS, OURS, charter="sha256:" + "1" * 64)
    ours = request(OURS, THEIRS)
    there = asked(blank(OURS), theirs, own=THEIRS)
    _, effects = handle(there, THEIRS, events.RequestArrived(ours, digest(ours), "ours"), NOW)
    assert effects == ()


def test_a_request_that_an_agreement_has_answered_approves_nothing_later() -> None:
    """Both asked, a person here approved theirs; months later they ask again: that needs a person again."""
    ours, theirs = request(THEIRS, OURS), request(OURS, THEIRS)  # this node has the larger key here
    rel = asked(blank(OURS), ours, own=THEIRS)
    without = msgspec.structs.replace(rel, outgoing=())
    pended, _ = handle(without, THEIRS, events.RequestArrived(theirs, digest(theirs), "theirs"), NOW)
    pended = msgspec.structs.replace(pended, outgoing=rel.outgoing)
    said = approval(theirs)
    agreed, _ = handle(pended, THEIRS, events.ApprovalIssued(said, digest(said), "approval"), NOW)
    assert agreed.open_outgoing is None
    again = request(OURS, THEIRS, nonce="88" * 32)
    later, effects = handle(agreed, THEIRS, events.RequestArrived(again, digest(again), "again"), NOW + 60)
    assert effects == ()
    assert later.incoming is not None


def test_a_request_for_an_agreement_that_is_over_already_is_refused() -> None:
    theirs = request(THEIRS, OURS, until=int(NOW) - 1)
    with pytest.raises(TrustRefused, match="already ended"):
        handle(blank(), OURS, events.RequestArrived(theirs, digest(theirs), "theirs"), NOW)


def test_every_event_has_a_transition() -> None:
    assert set(machine.TRANSITIONS) == set(events.Event.__args__)
