"""How many partners a node has, and how much waits for one; and that a no is always heard."""

from __future__ import annotations

import pytest

from comity import limits
from comity.clock import ManualClock
from comity.errors import MailboxFull, TooLarge
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


def fill_outbox(site: Site, other: Site, count: int) -> None:
    """Statements that the other one has not taken."""
    for number in range(count):
        site.store.owe(other.key, number.to_bytes(16, "big"), b"{}")


async def test_so_much_waits_for_one_peer_and_no_more(lab_a: Site, lab_b: Site) -> None:
    fill_outbox(lab_a, lab_b, limits.OUTBOX_PER_PEER)
    with pytest.raises(MailboxFull, match="wait for this peer"):
        await lab_a.ask(lab_b.card())
    assert lab_a.store.owed_to(lab_b.key) == limits.OUTBOX_PER_PEER
    assert lab_a.store.get(lab_b.key) is None  # nothing of it happened


async def test_an_answer_waits_likewise(lab_a: Site, lab_b: Site) -> None:
    await lab_a.ask(lab_b.card())
    await lab_b.read_mail()
    await lab_b.pending()
    fill_outbox(lab_b, lab_a, limits.OUTBOX_PER_PEER)
    with pytest.raises(MailboxFull):
        await lab_b.approve("lab-a")
    assert lab_b.agreement_with(lab_a) is None
    assert len(await lab_b.pending()) == 1  # it can still be answered


async def test_a_revocation_is_never_held_back(lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    fill_outbox(lab_a, lab_b, limits.OUTBOX_PER_PEER)
    await lab_a.revoke("lab-b")
    assert lab_a.agreement_with(lab_b) is None
    assert lab_a.store.owed_to(lab_b.key) == limits.OUTBOX_PER_PEER + 1


async def test_so_many_partners_and_no_more(office: Office, lab_a: Site, lab_b: Site) -> None:
    assert lab_a.ledger.most_partners == limits.TRUSTED_PEERS
    lab_a.ledger.most_partners = 1
    await agree(lab_a, lab_b)
    lab_c = Site(office, "lab-c", 0x30)
    with pytest.raises(TooLarge, match="agreements with 1 peers"):
        await lab_a.ask(lab_c.card())
    await lab_c.ask(lab_a.card())
    await lab_a.read_mail()
    await lab_a.pending()
    with pytest.raises(TooLarge):
        await lab_a.approve("lab-c")
    assert lab_a.agreement_with(lab_c) is None
    await lab_a.ask(lab_b.card())  # with a partner there is no more than there was
    await lab_a.revoke("lab-b")
    await lab_a.approve("lab-c")
    assert lab_a.agreement_with(lab_c) is not None
