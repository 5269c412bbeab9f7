"""A peer that signs whatever it likes: nothing breaks, and nobody is trusted whom no person here approved."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from comity import control, limits
from comity.clock import ManualClock
from comity.errors import ComityError
from comity.identity.envelope import Envelope
from comity.protocol.statements import payload_type
from tests.trust.office import Office
from tests.trust.site import Site, agree

KINDS = ("handshake-request", "approval", "rejection", "revocation")
NUMBERS = st.sampled_from((-1, 0, 1, 2, 3, 2**53 - 1, 2**53, 10**30)) | st.integers(-(2**40), 2**40)
TEXTS = st.text(max_size=40) | st.sampled_from(("", "\x00", "lab-a", "lab-b", "\u202e", "x" * 5000))
VALUES = st.none() | st.booleans() | NUMBERS | TEXTS | st.floats() | st.lists(TEXTS, max_size=3)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, object]:
    """Fields to set in a statement that is otherwise right."""
    names = st.sampled_from(
        (
            "hostname", "address", "subject_hostname", "organization", "contact", "requested_by", "unknown",
            "justification", "charter", "until", "issued", "expires", "nonce", "sequence", "subject",
            "network", "rendezvous", "request", "request_nonce", "allow", "reason", "agreement", "issuer",
        )
    )  # fmt: skip
    found: dict[str, object] = draw(st.dictionaries(names, VALUES, max_size=4))
    return found


class Peer:
    """Signs statements about the agreements and requests that there are, with changes."""

    def __init__(self, site: Site, victim: Site) -> None:
        self.site, self.victim, self.sequence = site, victim, 100

    def sign(self, kind: str, changed: dict[str, object]) -> Envelope | None:
        self.sequence += 1
        now = int(self.site.clock.now())
        rel = self.victim.store.get(self.site.key)
        asked = rel.outgoing[-1] if rel and rel.outgoing else None
        agreed = rel.agreement.digest if rel and rel.agreement else "sha256:" + "0" * 64
        fields: dict[str, object] = {
            "rendezvous": str(self.site.office.fingerprint),
            "network": 1,
            "issuer": self.site.key.hex,
            "subject": self.victim.key.hex,
            "nonce": "ab" * 32,
            "sequence": self.sequence,
            "issued": now,
            "expires": now + 3600,
        }
        named = {
            "hostname": self.site.hostname,
            "address": self.site.address,
            "organization": "",
            "contact": "",
        }
        answer = {
            "request": asked.digest if asked else "sha256:" + "1" * 64,
            "request_nonce": asked.nonce if asked else "cd" * 32,
        }
        match kind:
            case "handshake-request":
                fields |= named | {
                    "subject_hostname": self.victim.hostname,
                    "requested_by": "",
                    "justification": "a study",
                    "charter": None,
                    "until": now + 1000,
                }
            case "approval":
                fields |= named | answer
                fields |= {"reason": "", "allow": ["exchange"], "charter": None, "until": now + 1000}
            case "rejection":
                fields |= answer | {"reason": "no"}
            case "revocation":
                fields |= {"agreement": agreed, "reason": "over"}
        try:
            body = rfc8785.dumps(fields | changed)  # type: ignore[arg-type]  # whatever can be written at all
        except rfc8785.CanonicalizationError:
            body = json.dumps(fields | changed, ensure_ascii=True).encode()
        with suppress(ComityError):  # too large to be signed
            return self.site.identity.sign_statement(payload_type(kind), body)
        return None


STEP = st.tuples(st.sampled_from(KINDS), changes(), st.booleans())


@settings(deadline=None, max_examples=60)
@given(st.booleans(), st.booleans(), st.lists(STEP, max_size=8))
def test_whatever_a_peer_signs_breaks_nothing_and_makes_no_trust(
    partner: bool, asks: bool, steps: list[tuple[str, dict[str, object], bool]]
) -> None:
    async def scenario() -> None:
        office = Office(ManualClock())
        lab_a, lab_b = Site(office, "lab-a", 0x10), Site(office, "lab-b", 0x20)
        if partner:
            await agree(lab_a, lab_b)
        if asks:
            await lab_a.ask(lab_b.card())
        before = lab_a.agreement_with(lab_b)
        peer = Peer(lab_b, lab_a)
        for kind, changed, by_mail in steps:
            envelope = peer.sign(kind, changed)
            if envelope is None:
                continue
            if by_mail:
                await lab_b.courier.send(lab_a.key, envelope, keep=True)
                await lab_a.read_mail()
            else:
                with suppress(ComityError):
                    await lab_a.trust.receive(lab_b.key, envelope)
        assert office.mail.get(lab_a.key.hex, []) == [], "nothing jams the mailbox"
        after = lab_a.agreement_with(lab_b)
        if after is not None and not asks:
            assert before is not None
            assert after.agreement == before.agreement, "nobody here agreed to anything new"
        if after is not None:
            assert after.agreement.until <= int(lab_a.clock.now()) + limits.AGREEMENT_LIFETIME
            assert (after.hostname, after.address) == ("lab-b", lab_b.address)
        # All that people look at can still be shown, and the record holds.
        await lab_a.pending()
        await lab_a.trust.ending.trust()
        lab_a.audit.log(control.AuditLogRequest())
        assert lab_a.audit.verify().valid
        with suppress(ComityError):
            await lab_a.trust.ending.export(control.ExportRequest("lab-b"))
        lab_a.db.close()
        lab_b.db.close()

    asyncio.run(scenario())
