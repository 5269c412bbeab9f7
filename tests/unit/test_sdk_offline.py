"""An agreement file as an auditor sees it: no node, no network, and names for what is verified."""

from __future__ import annotations

import json

import pytest

from comity import control
from comity.clock import ManualClock
from comity.errors import AgreementInvalid
from comity.sdk.offline import FILE_BYTES, verify_agreement
from tests.trust.office import Office
from tests.trust.site import Site, agree


@pytest.fixture
def labs() -> tuple[Site, Site]:
    office = Office(ManualClock())
    return Site(office, "lab-a", 0x10), Site(office, "lab-b", 0x20)


async def exported(labs: tuple[Site, Site]) -> bytes:
    await agree(*labs)
    file = await labs[0].trust.ending.export(control.ExportRequest("lab-b"))
    return file.content.encode()


async def test_what_it_proves(labs: tuple[Site, Site]) -> None:
    lab_a, lab_b = labs
    data = await exported(labs)
    anchors = {site.hostname: site.key.fingerprint for site in labs}
    found = verify_agreement(data, anchors)
    assert (found.valid, found.identities, found.revoked) == (True, "verified", False)
    assert found.justification == "IRB #2026-0142"
    requester, approver = found.parties
    assert (requester.role, requester.hostname, requester.verified) == ("requester", "lab-a", "anchor")
    assert (approver.role, approver.hostname, approver.verified) == ("approver", "lab-b", "anchor")
    assert requester.fingerprint == str(lab_a.key.fingerprint)
    assert approver.fingerprint == str(lab_b.key.fingerprint)
    assert requester.organization == "lab-a hospital"
    assert found.signed_at == approver.signed_at
    assert found.signed_at.endswith("Z")
    assert found.rendezvous == str(lab_a.office.fingerprint)


async def test_without_anchors_it_says_so(labs: tuple[Site, Site]) -> None:
    data = await exported(labs)
    assert verify_agreement(data, {}).identities == "unverified"
    half = verify_agreement(data, {"lab-b": labs[1].key.fingerprint})
    assert half.identities == "unverified"
    assert [party.verified for party in half.parties] == ["none", "anchor"]


async def test_wrong_anchor(labs: tuple[Site, Site]) -> None:
    data = await exported(labs)
    with pytest.raises(AgreementInvalid):
        verify_agreement(data, {"lab-a": labs[1].key.fingerprint})


async def test_revocation_is_part_of_it(labs: tuple[Site, Site]) -> None:
    await agree(*labs)
    await labs[1].revoke("lab-a")
    await labs[0].read_mail()
    for site, peer in ((labs[0], "lab-b"), (labs[1], "lab-a")):
        file = await site.trust.ending.export(control.ExportRequest(peer))
        found = verify_agreement(file.content.encode(), {})
        assert (found.valid, found.revoked, found.revoked_by) == (True, True, "lab-b")
        assert found.revoked_at is not None


async def test_a_changed_letter(labs: tuple[Site, Site]) -> None:
    file = json.loads(await exported(labs))
    payload = file["request"]["payload"]
    file["request"]["payload"] = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    with pytest.raises(AgreementInvalid):
        verify_agreement(json.dumps(file).encode(), {})


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[]", b"x" * (FILE_BYTES + 1), b'{"format": 1}'])
def test_files_that_are_no_agreement(data: bytes) -> None:
    with pytest.raises(AgreementInvalid):
        verify_agreement(data, {})
