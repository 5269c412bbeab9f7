"""Keys that end: retired by a certificate, rotated to another, and what their thieves try (SECURITY.md rule
4).
"""

from __future__ import annotations

import pytest

from comity import control, limits
from comity.clock import ManualClock
from comity.errors import FileUnusable, KeyRetired, RemoteProtocolError, RendezvousUnreachable, UntrustedPeer
from comity.identity.envelope import Envelope
from comity.identity.keys import Identity
from comity.protocol.statements import Predecessor
from comity.protocol.succession import Certificate
from comity.protocol.trust.evidence import verify_agreement
from comity.storage.database import MEMORY, Database
from comity.storage.schema import open_node_database
from tests.trust.keys import predecessor, retirement
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


def follower(office: Office, old: Site, number: int = 0x50, word: Predecessor | None = None) -> Site:
    """A node under the same name with a new key; ``word`` is the old key's, its true one by default."""
    identity = Identity.generate()
    said = word or predecessor(old.identity, identity, office.fingerprint, office.clock)
    del office.records[old.key.hex]
    made = Site(office, old.hostname, number, identity=identity, predecessor=said)
    return made


async def ask_again(new: Site, partner: Site, word: Predecessor | None = None) -> None:
    """What a node with a new key does: a handshake that carries its predecessor's word."""
    said = word or new.membership.predecessor
    request = control.HandshakeRequest(peer=partner.card(), justification="as before")
    await new.trust.asking.handshake(request, said)
    await partner.read_mail()


# ── retirement ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_certificate_ends_everything_with_that_key(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    text = retirement(lab_a.identity, office.fingerprint, office.clock, "laptop stolen")
    certificate = Certificate(key=lab_a.key.hex, retirement=text).to_json().decode()
    told = await lab_b.trust.retiring.retire(control.RetireRequest(certificate=certificate))
    assert (told.own, told.agreements_ended, told.published, told.hostname) == (False, 1, True, "lab-a")
    assert lab_b.trust.known(lab_a.key) is None
    assert set(lab_b.sessions.ended) == {lab_a.key}
    assert office.retired == {lab_a.key.hex: text}
    with pytest.raises(UntrustedPeer, match="laptop stolen"):
        await lab_b.trust.resolve("lab-a")
    # Once more is no error, and changes nothing.
    again = await lab_b.trust.retiring.retire(control.RetireRequest(certificate=certificate))
    assert again.agreements_ended == 0


async def test_a_retired_key_is_not_heard_any_more(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    await lab_b.trust.retiring.told(
        lab_a.key, retirement(lab_a.identity, office.fingerprint, office.clock), lab_b.notary.realm
    )
    await lab_a.ask(lab_b.card(), "let me in again")
    await lab_b.read_mail()
    assert await lab_b.pending() == ()
    assert "that key was retired: stolen" in lab_b.refusals()[-1][1]
    with pytest.raises(RemoteProtocolError, match="has ended"):
        await lab_b.ask(lab_a.card())


async def test_what_waited_from_a_key_goes_with_it(office: Office, lab_a: Site, lab_b: Site) -> None:
    await lab_a.ask(lab_b.card())
    await lab_b.read_mail()
    assert len(await lab_b.pending()) == 1
    await lab_b.trust.retiring.told(
        lab_a.key, retirement(lab_a.identity, office.fingerprint, office.clock), lab_b.notary.realm
    )
    assert await lab_b.pending() == ()


async def test_only_the_key_itself_can_retire_it(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    forged = retirement(Identity.generate(), office.fingerprint, office.clock)
    with pytest.raises(RemoteProtocolError):
        await lab_b.trust.retiring.told(lab_a.key, forged, lab_b.notary.realm)
    for text in ("", "{}", Certificate(key=lab_a.key.hex, retirement=forged).to_json().decode()):
        with pytest.raises(FileUnusable):
            await lab_b.trust.retiring.retire(control.RetireRequest(certificate=text))
    assert lab_b.trust.known(lab_a.key) is not None


async def test_a_retirement_holds_at_any_rendezvous_and_at_any_age(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    elsewhere = Identity.generate().public.fingerprint
    text = retirement(lab_a.identity, elsewhere, office.clock)
    lab_b.clock.advance(20 * 365 * 86400)
    await lab_b.trust.retiring.told(lab_a.key, text, lab_b.notary.realm)
    assert lab_b.trust.known(lab_a.key) is None


async def test_the_rendezvous_cannot_make_strangers_fill_the_books(office: Office, lab_b: Site) -> None:
    stranger = Identity.generate()
    await lab_b.trust.retiring.told(
        stranger.public, retirement(stranger, office.fingerprint, office.clock), lab_b.notary.realm
    )
    assert lab_b.store.retired_keys() == []


async def test_a_node_retires_its_own_key_though_nobody_can_be_told_yet(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    office.up = False
    told = await lab_a.trust.retiring.retire(control.RetireRequest(reason="the end", wait_seconds=1))
    assert (told.own, told.agreements_ended, told.published) == (True, 1, False)
    assert lab_a.trust.trusted_peers() == []
    with pytest.raises(RendezvousUnreachable):
        await lab_a.trust.registered(lab_a.membership)
    office.up = True
    await lab_a.trust.registered(lab_a.membership)
    assert lab_a.key.hex in office.retired
    await lab_b.read_mail()
    assert lab_b.trust.trusted_peers() == []
    with pytest.raises(KeyRetired):
        await lab_a.ask(lab_b.card())


async def test_an_agreement_under_a_retired_key_still_verifies(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    await lab_b.trust.retiring.told(
        lab_a.key, retirement(lab_a.identity, office.fingerprint, office.clock), lab_b.notary.realm
    )
    file = (await lab_b.trust.ending.export(control.ExportRequest("lab-a"))).content.encode()
    anchors = {"lab-a": lab_a.key.fingerprint, "lab-b": lab_b.key.fingerprint}
    found = verify_agreement(file, anchors)
    assert found.identities == "verified"
    assert found.revocation is not None
    assert found.revocation.TYPE == "retirement"


# ── rotation ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_key_is_approved_again_and_then_the_old_one_ends(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    new = follower(office, lab_a)
    await ask_again(new, lab_b)
    (waiting,) = await lab_b.pending()
    assert waiting.predecessor == str(lab_a.key.fingerprint)
    assert waiting.verified == "signature"
    assert lab_b.trust.known(lab_a.key) is not None, "until a person approves, nothing changes"
    approved = await lab_b.approve("lab-a")
    assert approved.identity == "unconfirmed"
    assert (await lab_b.trust.resolve("lab-a")).key == new.key
    assert lab_b.trust.known(lab_a.key) is None
    assert lab_a.key in lab_b.sessions.ended
    await new.read_mail()
    assert new.trust.known(lab_b.key) is not None


async def test_the_same_node_takes_its_books_over(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    identity = Identity.generate()
    word = predecessor(lab_a.identity, identity, office.fingerprint, office.clock)
    del office.records[lab_a.key.hex]
    new = Site(office, "lab-a", 0x50, identity=identity, predecessor=word, db=lab_a.db)
    assert new.trust.trusted_peers() == []
    await new.trust.registered(new.membership)
    await new.trust.registered(new.membership)  # whom it has asked, it does not ask again
    await lab_b.read_mail()
    (waiting,) = await lab_b.pending()
    assert waiting.justification == "IRB #2026-0142"
    await lab_b.approve("lab-a")
    await new.read_mail()
    assert [peer.key for peer in new.trust.trusted_peers()] == [lab_b.key]
    ended = (await new.trust.ending.trust()).ended
    assert [each.status for each in ended] == ["replaced"]
    await lab_b.revoke("lab-a")
    await new.read_mail()
    assert new.trust.trusted_peers() == []


async def test_a_thiefs_rotation_is_refused_once_the_key_is_retired(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    await lab_b.trust.retiring.told(
        lab_a.key, retirement(lab_a.identity, office.fingerprint, office.clock), lab_b.notary.realm
    )
    thief = follower(office, lab_a)
    await ask_again(thief, lab_b)
    assert await lab_b.pending() == ()
    assert "follows a key that was retired" in lab_b.refusals()[-1][1]


async def test_a_thiefs_rotation_that_waits_goes_with_the_key(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    thief = follower(office, lab_a)
    await ask_again(thief, lab_b)
    assert len(await lab_b.pending()) == 1
    await lab_b.trust.retiring.told(
        lab_a.key, retirement(lab_a.identity, office.fingerprint, office.clock), lab_b.notary.realm
    )
    assert await lab_b.pending() == ()


async def test_a_thiefs_rotation_that_was_approved_is_revoked_with_the_key(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    thief = follower(office, lab_a)
    await ask_again(thief, lab_b)
    await lab_b.pending()
    await lab_b.approve("lab-a")
    await lab_b.trust.retiring.told(
        lab_a.key, retirement(lab_a.identity, office.fingerprint, office.clock), lab_b.notary.realm
    )
    assert lab_b.trust.trusted_peers() == []
    assert thief.key in lab_b.sessions.ended
    await lab_b.trust.registered(lab_b.membership)
    await thief.read_mail()
    assert thief.trust.trusted_peers() == []


async def test_a_partner_restored_from_an_old_backup_learns_of_a_retirement_again(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    """Its books say that all is well; the rendezvous tells who asks for slots for a key that has ended."""
    await agree(lab_a, lab_b)
    backup = copied(lab_b.db)
    text = retirement(lab_a.identity, office.fingerprint, office.clock)
    await lab_b.trust.retiring.told(lab_a.key, text, lab_b.notary.realm)
    assert lab_b.trust.known(lab_a.key) is None
    restored = Site(office, "lab-b", 0x20, identity=lab_b.identity, db=backup)
    assert restored.trust.known(lab_a.key) is not None, "this is what the backup holds"
    await restored.trust.registered(restored.membership)
    assert lab_a.key in restored.client.reserved, "so the rendezvous knows whom to tell"
    await restored.trust.retiring.told(lab_a.key, text, lab_b.notary.realm)
    assert restored.trust.known(lab_a.key) is None


async def test_a_retirement_that_the_rendezvous_withholds_is_given_by_hand(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    await agree(lab_a, lab_b)
    text = retirement(lab_a.identity, office.fingerprint, office.clock)
    certificate = Certificate(key=lab_a.key.hex, retirement=text).to_json().decode()
    owner = Site(office, "lab-a-new", 0x70)
    await owner.trust.retiring.retire(control.RetireRequest(certificate=certificate))
    assert lab_b.trust.known(lab_a.key) is not None, "nobody has told it"
    office.retired.clear()
    office.up = False  # not even there
    request = control.RetireRequest(certificate=certificate, wait_seconds=1)
    told = await lab_b.trust.retiring.retire(request)
    assert (told.agreements_ended, told.published) == (1, False)
    assert lab_b.trust.known(lab_a.key) is None


def copied(db: Database) -> Database:
    """A second database in memory with all that the first one holds."""
    copy = open_node_database(MEMORY)
    db._connection.backup(copy._connection)
    return copy


async def test_a_key_rotates_once(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    first = follower(office, lab_a)
    await ask_again(first, lab_b)
    await lab_b.pending()
    await lab_b.approve("lab-a")
    office.register(lab_a.record())
    second = follower(office, lab_a, 0x60)
    await ask_again(second, lab_b)
    assert "follows a key that has ended" in lab_b.refusals()[-1][1]
    assert (await lab_b.trust.resolve("lab-a")).key == first.key


@pytest.mark.parametrize("fault", ["other successor", "other network", "other signer", "too long", "garbage"])
async def test_a_rotation_must_verify(office: Office, lab_a: Site, lab_b: Site, fault: str) -> None:
    await agree(lab_a, lab_b)
    new = follower(office, lab_a)
    other = Identity.generate()
    lies = {
        "other successor": predecessor(lab_a.identity, other, office.fingerprint, office.clock),
        "other network": predecessor(
            lab_a.identity, new.identity, office.fingerprint, office.clock, network=2
        ),
        "other signer": Predecessor(
            key=lab_a.key.hex,
            rotation=predecessor(other, new.identity, office.fingerprint, office.clock).rotation,
        ),
        "too long": predecessor(
            lab_a.identity,
            new.identity,
            office.fingerprint,
            office.clock,
            lifetime=limits.REQUEST_LIFETIME + 1,
        ),
        "garbage": Predecessor(key=lab_a.key.hex, rotation="{}"),
    }
    await ask_again(new, lab_b, lies[fault])
    assert await lab_b.pending() == ()
    assert lab_b.refusals()
    assert lab_b.trust.known(lab_a.key) is not None


async def test_a_rotation_from_a_key_that_nobody_here_trusts_is_a_plain_request(
    office: Office, lab_a: Site, lab_b: Site
) -> None:
    new = follower(office, lab_a)
    await ask_again(new, lab_b)
    (waiting,) = await lab_b.pending()
    assert waiting.predecessor is None


async def test_a_retirement_comes_over_a_session_too(office: Office, lab_a: Site, lab_b: Site) -> None:
    await agree(lab_a, lab_b)
    text = retirement(lab_a.identity, office.fingerprint, office.clock)
    await lab_b.trust.receive(lab_a.key, Envelope.from_json(text.encode()))
    assert lab_b.trust.known(lab_a.key) is None
