"""The report: what is in it, that each line is proved, and that no text of a partner's gets out of hand."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import control
from comity.audit import merkle
from comity.audit.period import Period
from comity.control.codec import from_plain, to_plain
from comity.errors import InvalidInput, TooLarge, UnknownPeer
from comity.sdk.report_page import render
from comity.services.reporting.gathering import gather
from comity.storage.audit import AuditReader
from comity.transport.simulation import Simulation, run_simulation
from tests.audit_logs import NOW, Institution, Log
from tests.charter import nodes
from tests.simulated_nodes import SimulatedNode, running
from tests.worlds import Town

OWNER, PARTNER, OTHER = Institution.new(), Institution.new(), Institution.new()
HOSTILE = "<script>alert(1)</script>\u202e\"'&\n<img src=http://x.example/>"


def reported(**request: str) -> control.Report:
    """What one simulated lab reports of another after an agreement, a transfer on record and a revocation."""

    async def main(simulation: Simulation) -> control.Report:
        town = Town(simulation)
        a, b = SimulatedNode(town, "lab-a"), SimulatedNode(town, "lab-b", listen=True)
        async with running(a, b):
            await a.agree_with(b)
            a.node.audit.append(
                "exchange.sent",
                peer=b.key,
                operation="send",
                digest="sha256:" + "ab" * 32,
                name="model.safetensors",
                bytes=5_000_000,
                receipt="sha256:" + "cd" * 32,
            )
            a.node.audit.append(
                "decision",
                peer=b.key,
                operation="send",
                decision="deny",
                reasons=("clause permissions[2]: not this model",),
                service="exchange",
                name=HOSTILE,
                unrecorded=3,
            )
            a.node.audit.append("exchange.sent", peer=OTHER.identity.public, name="for-somebody-else")
            await asyncio.sleep(60)
            peer = request.pop("peer", str(b.key.fingerprint))
            return await a.node.evidence.reports.report(control.ReportRequest(peer=peer, **request))

    return run_simulation(main, 5)


REPORT = reported()


def test_who_agreed_to_what() -> None:
    (agreement,) = REPORT.agreements
    assert (agreement.justification, agreement.status) == ("IRB #2026-0142", "active")
    assert (agreement.requester, agreement.reason) == ("lab-a", "")
    assert [act.kind for act in REPORT.acts] == ["handshake.requested", "approval.received", "agreement.made"]
    assert (REPORT.by.hostname, REPORT.about.hostname) == ("lab-a", "lab-b")
    assert REPORT.about.organization == "lab-b hospital"


def test_what_passed_and_what_was_refused() -> None:
    (flow,) = REPORT.flows
    assert (flow.direction, flow.what, flow.bytes) == ("out", "model.safetensors", 5_000_000)
    assert (flow.digest, flow.receipt) == ("sha256:" + "ab" * 32, "sha256:" + "cd" * 32)
    (refusal,) = REPORT.refusals
    assert refusal.reasons == ("clause permissions[2]: not this model",)
    assert refusal.unrecorded == 3
    (tally,) = [one for one in REPORT.tallies if one.operation == "send"]
    assert (tally.service, tally.allowed, tally.denied) == ("exchange", 0, 1)


def test_every_line_is_proved_under_the_signed_head() -> None:
    key = REPORT.checkpoint.split("\n")[0]
    assert key == REPORT.origin
    acts, flows = [act.index for act in REPORT.acts], [flow.index for flow in REPORT.flows]
    refusals = [refusal.index for refusal in REPORT.refusals]
    assert {*acts, *flows, *refusals} == {proof.index for proof in REPORT.proofs}
    root = bytes.fromhex(REPORT.root)
    for proof in REPORT.proofs:
        path = [bytes.fromhex(value) for value in proof.proof]
        merkle.verify_inclusion(bytes.fromhex(proof.leaf), proof.index, REPORT.size, root, path)
    assert REPORT.witnessed_size > 0


def test_a_period_has_only_what_is_in_it() -> None:
    nothing = reported(since="2020-01-01", until="2020-12-31")
    assert (nothing.entries, nothing.acts, nothing.flows, nothing.proofs) == (0, (), (), ())
    assert len(nothing.agreements) == 1, "what is agreed is told whenever it was"
    with pytest.raises(InvalidInput):
        reported(since="2027-02-30")
    with pytest.raises(InvalidInput):
        reported(since="2027-02-02", until="2027-02-01")


def test_nobody_is_reported_on_of_whom_nothing_is_known() -> None:
    with pytest.raises(UnknownPeer):
        reported(peer="00" * 32)
    assert reported(peer=OTHER.fingerprint).agreements == ()


def test_a_report_is_bounded() -> None:
    log = Log(OWNER, PARTNER, count=3)
    for number in range(6):
        log.audit.append("exchange.sent", peer=PARTNER.identity.public, name=str(number))
    with pytest.raises(TooLarge):
        gather(AuditReader(log.db), PARTNER.fingerprint, Period(), most=5)
    assert len(gather(AuditReader(log.db), PARTNER.fingerprint, Period(), most=6).proofs) == 6


def test_erasures_are_told_and_what_was_erased_is_not() -> None:
    log = Log(OWNER, PARTNER, count=3)
    index = log.audit.append("exchange.sent", peer=PARTNER.identity.public, name="mistaken.csv")
    log.audit.redact([index], "sent by mistake")
    found = gather(AuditReader(log.db), PARTNER.fingerprint, Period())
    assert (found.flows, found.erased) == ([], 1)
    assert found.acts[-1].reasons == ("sent by mistake",)


def test_whatever_was_refused_is_among_the_refusals_and_keys_are_acts() -> None:
    log = Log(OWNER, PARTNER, count=0)
    for kind in ("forward.refused", "charter.refused", "mail.refused", "exchange.failed", "key.rotated"):
        log.audit.append(kind, peer=PARTNER.identity.public)
    found = gather(AuditReader(log.db), PARTNER.fingerprint, Period())
    assert [one.kind for one in found.refusals] == [
        "forward.refused",
        "charter.refused",
        "mail.refused",
        "exchange.failed",
    ]
    assert [one.kind for one in found.acts] == ["key.rotated"]


@pytest.mark.parametrize(
    ("since", "until", "held"),
    [
        (None, None, True),
        ("2027-01-15", "2027-01-15", True),
        ("2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z", True),
        ("2027-01-15T08:00:01Z", None, False),
        (None, "2027-01-15T07:59:59Z", False),
        ("2027-01-16", None, False),
        (None, "2027-01-14", False),
    ],
)
def test_ends_of_a_period_are_in_it(since: str | None, until: str | None, held: bool) -> None:
    assert Period.parse(since, until).holds(NOW * 1000 + 999) is held


@pytest.mark.parametrize("text", ["", "now", "2027-1-1", "2027-01-01T00:00:00", "2027-01-01T00:00:00+01:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInput):
        Period.parse(text, None)


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────


class Tags(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN = Tags(render(REPORT))


def test_the_page_runs_and_loads_nothing() -> None:
    page = render(REPORT)
    assert not PLAIN.tags & {"script", "img", "link", "iframe", "object", "form", "base", "svg", "audio"}
    assert not {name for name in PLAIN.attributes if name.startswith("on") or name in ("src", "href")}
    assert not re.search(r"url\(|@import", page)
    assert "default-src 'none'" in page


def test_the_page_says_what_the_report_says() -> None:
    for text in ("lab-a", "lab-b", "IRB #2026-0142", "model.safetensors", "5 MB", "clause permissions[2]"):
        assert text in PLAIN.text
    for proof in REPORT.proofs:
        assert proof.leaf in PLAIN.text


def charter(text: str) -> control.ReportCharter:
    signed = control.ReportSignature(text, text, "2026-11-21T05:18:00Z")
    return control.ReportCharter(
        charter=text,
        title=text,
        version=1,
        state="ended",
        purpose=text,
        reference=text,
        begins="2026-11-21T05:18:00Z",
        until="2026-12-21T05:18:00Z",
        signatures=(signed, control.ReportSignature(text, "", None)),
        ended_by=text,
        ended_at="2026-12-01T05:18:00Z",
        ended_why=text,
    )


def owed(text: str, **stated: str) -> control.CharterOwed:
    return control.CharterOwed(
        party=text,
        fingerprint="00" * 32,
        giver=text,
        by="them",
        digest=text,
        name=text,
        bytes=1,
        due="2026-12-21T05:18:00Z",
        **stated,
    )


def test_charters_are_reported_with_who_signed_them_and_how_they_ended() -> None:
    async def main(simulation: Simulation) -> None:
        a, b = nodes.pair(simulation)
        async with running(a, b):
            await a.agree_with(b)
            digest = await nodes.agree(nodes.terms(a, b), a, b)
            await nodes.end(a, digest)
            request = control.ReportRequest(peer=str(b.key.fingerprint))
            found = await a.node.evidence.reports.report(request)
        (told,) = found.charters
        assert (told.charter, told.state, told.ended_why) == (digest, "ended", "the study is over")
        assert [one.signed_by for one in told.signatures] == ["Dr. Osei, DPO"] * 2
        assert told.purpose
        kinds = {act.kind for act in found.acts}
        assert {"charter.proposed", "charter.signed", "charter.in_force", "charter.ended"} <= kinds

    run_simulation(main, 5)


def test_what_is_still_owed_is_told() -> None:
    page = Tags(render(dataclasses.replace(REPORT, charters=(charter("two-lab study"),), owed=(owed("x"),))))
    assert "still owed" in page.text
    assert "two-lab study, version 1" in page.text


@given(st.text(max_size=60) | st.just(HOSTILE))
def test_no_text_becomes_markup(text: str) -> None:
    hostile = dataclasses.replace(
        REPORT,
        about=dataclasses.replace(REPORT.about, hostname=text, organization=text, contact=text),
        agreements=(
            dataclasses.replace(
                REPORT.agreements[0], justification=text, requested_by=text, requester=text, reason=text
            ),
        ),
        charters=(charter(text),),
        owed=(owed(text), owed(text, disposition=text, statement=text)),
        acts=(dataclasses.replace(REPORT.acts[0], kind=text, reasons=(text,), details={"x": text}),),
        flows=(dataclasses.replace(REPORT.flows[0], what=text, digest=text, receipt=text),),
        refusals=(dataclasses.replace(REPORT.refusals[0], what=text, reasons=(text, text)),),
        conflicts=(text,),
        since=text,
        checkpoint=text,
    )
    found = Tags(render(hostile))
    assert found.tags <= PLAIN.tags
    assert found.attributes <= PLAIN.attributes
    assert not set("\u202e\u2066\x1b\x00") & set(found.text)


def test_an_empty_report_is_a_page_too() -> None:
    empty = dataclasses.replace(
        REPORT, agreements=(), acts=(), flows=(), refusals=(), tallies=(), proofs=(), witnessed_size=0
    )
    assert "has not countersigned" in Tags(render(empty)).text


def test_the_report_travels_whole() -> None:
    assert from_plain(to_plain(REPORT), control.Report) == REPORT
