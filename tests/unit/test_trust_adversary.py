"""Strangers, approved peers and the rendezvous against a node's trust: jams, floods, races and names."""

from __future__ import annotations

import pytest

from comity.clock import ManualClock
from comity.identity.envelope import Envelope
from comity.protocol.statements import HandshakeRequest
from tests.trust.office import Office
from tests.trust.site import Site


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


async def test_a_request_under_a_charter_that_nobody_can_be_shown_is_refused(
    lab_a: Site, lab_b: Site
) -> None:
    await post(lab_a, lab_b, request_of(lab_a, lab_b, charter="sha256:" + "ab" * 32))
    await lab_b.read_mail()
    assert await lab_b.pending() == ()
    assert "charter" in lab_b.refusals()[-1][1]
