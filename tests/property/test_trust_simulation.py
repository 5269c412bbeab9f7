"""Two nodes, people who click at any moment, and a mail that delays, repeats and restarts: from many
seeds.

Whatever happens, no agreement forms that nobody asked for and approved, both sides end up with the same one,
and a revocation ends it on both.
"""

from __future__ import annotations

import random
from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from comity import limits
from comity.protocol.statements import (
    Approval,
    HandshakeRequest,
    PairStatement,
    Rejection,
    Revocation,
    digest,
)
from comity.protocol.trust import events, machine
from comity.protocol.trust.relationship import Relationship

START = 1_800_000_000
KEYS = ("11" * 32, "ee" * 32)


class Site:
    """One node's trust in the other: the machine, its sequence numbers, and the mail it sends in order."""

    def __init__(self, own: str, peer: str, mail: list[PairStatement]) -> None:
        self.own, self.peer, self.mail = own, peer, mail
        self.rel = Relationship(peer=peer, hostname="peer", address="1:0001.0000.0010", local_id="peer")
        self.sent = self.seen = 0
        self.asked: set[str] = set()
        self.approved: set[str] = set()  # digests of requests that this side approved

    def frame(self, now: int) -> dict[str, object]:
        self.sent += 1
        return {
            "rendezvous": "cc" * 32,
            "network": 1,
            "issuer": self.own,
            "subject": self.peer,
            "nonce": f"{self.sent:064x}",
            "sequence": self.sent,
            "issued": now,
            "expires": now + 10_000,
        }

    def ask(self, now: int) -> None:
        if len(self.rel.outgoing) == limits.OUTGOING_REQUESTS:
            return
        said = msgspec.convert(
            self.frame(now)
            | {
                "hostname": "x",
                "address": "1:0001.0000.0010",
                "subject_hostname": "y",
                "organization": "",
                "contact": "",
                "requested_by": "",
                "justification": "study",
                "charter": None,
                "until": now + 50_000,
            },
            HandshakeRequest,
        )
        self.mail.append(said)
        self.asked.add(digest(said))
        self.step(events.RequestIssued(machine.as_outgoing(said, digest(said), "")), now)

    def approve(self, now: int, reason: str = "", until: int | None = None) -> None:
        waiting = self.rel.incoming
        if waiting is None:
            return
        said = msgspec.convert(
            self.frame(now)
            | {
                "request": waiting.digest,
                "request_nonce": waiting.nonce,
                "hostname": "x",
                "address": "1:0001.0000.0010",
                "organization": "",
                "contact": "",
                "reason": reason,
                "allow": ("exchange",),
                "charter": None,
                "until": waiting.until if until is None else until,
            },
            Approval,
        )
        self.mail.append(said)
        self.approved.add(waiting.digest)
        self.step(events.ApprovalIssued(said, digest(said), ""), now)

    def reject(self, now: int) -> None:
        waiting = self.rel.incoming
        if waiting is None:
            return
        fields = {"request": waiting.digest, "request_nonce": waiting.nonce, "reason": "no"}
        said = msgspec.convert(self.frame(now) | fields, Rejection)
        self.mail.append(said)
        self.step(events.RejectionIssued(said), now)

    def revoke(self, now: int) -> None:
        agreement = self.rel.agreement
        if agreement is None or agreement.ending is not None:
            return
        fields = {"agreement": agreement.digest, "reason": "over"}
        said = msgspec.convert(self.frame(now) | fields, Revocation)
        self.mail.append(said)
        self.step(events.RevocationIssued(said, "revocation"), now)

    def receive(self, said: PairStatement, now: int) -> None:
        if said.sequence <= self.seen:
            return  # the notary's part: repeated or replayed
        self.seen = said.sequence
        event: events.Event
        match said:
            case HandshakeRequest():
                event = events.RequestArrived(said, digest(said), "")
            case Approval():
                event = events.ApprovalArrived(said, digest(said), "")
            case Rejection():
                event = events.RejectionArrived(said)
            case Revocation():
                event = events.RevocationArrived(said, "revocation")
            case _:
                raise AssertionError(said)
        with suppress(machine.TrustRefused):
            self.step(event, now)

    def step(self, event: events.Event, now: int) -> None:
        self.rel, effects = machine.handle(self.rel, self.own, event, now)
        for effect in effects:
            if isinstance(effect, events.ApproveMutual):
                self.approve(now, reason=effect.reason, until=effect.until)


def overtake(reader: Site, waiting: list[PairStatement], now: int) -> None:
    """Deliver the first revocation that waits, before what was posted before it."""
    for said in waiting:
        if isinstance(said, Revocation):
            reader.receive(said, now)
            return


def play(seed: int, steps: int) -> tuple[Site, Site]:
    """A random history, then every letter delivered."""
    chance = random.Random(seed)
    letters: tuple[list[PairStatement], list[PairStatement]] = ([], [])
    sites = (Site(KEYS[0], KEYS[1], letters[0]), Site(KEYS[1], KEYS[0], letters[1]))
    delivered = [0, 0]
    now = START
    for _ in range(steps):
        now += chance.choice((0, 0, 1, 30))
        who = chance.randrange(2)
        match chance.choice(
            ("ask", "approve", "reject", "revoke", "deliver", "deliver", "deliver", "repeat", "overtake")
        ):
            case "ask":
                sites[who].ask(now)
            case "approve":
                sites[who].approve(now)
            case "reject":
                sites[who].reject(now)
            case "revoke":
                sites[who].revoke(now)
            case "deliver" if delivered[who] < len(letters[who]):
                sites[1 - who].receive(letters[who][delivered[who]], now)
                delivered[who] += 1
            case "overtake":  # a session carries a revocation past what waits in the mailbox
                overtake(sites[1 - who], letters[who][delivered[who] :], now)
            case "repeat" if delivered[who]:
                sites[1 - who].receive(letters[who][chance.randrange(delivered[who])], now)
    while delivered[0] < len(letters[0]) or delivered[1] < len(letters[1]):
        for who in (0, 1):
            if delivered[who] < len(letters[who]):
                sites[1 - who].receive(letters[who][delivered[who]], now)
                delivered[who] += 1
    return sites


@given(st.integers(min_value=0, max_value=2**32), st.integers(min_value=1, max_value=40))
def test_both_sides_end_with_the_same_agreement_and_only_one_that_was_asked_and_approved(
    seed: int, steps: int
) -> None:
    one, two = play(seed, steps)
    for here, there in ((one, two), (two, one)):
        agreement = here.rel.agreement
        if agreement is None:
            continue
        asker, answerer = (here, there) if agreement.requester == "us" else (there, here)
        assert agreement.request_digest in asker.asked
        assert agreement.request_digest in answerer.approved
    current = [site.rel.agreement for site in (one, two)]
    standing = [agreed.digest for agreed in current if agreed is not None and agreed.ending is None]
    assert len(set(standing)) <= 1, "they stand under different agreements"
    assert len(standing) in (0, 2), "one stands, the other does not"
