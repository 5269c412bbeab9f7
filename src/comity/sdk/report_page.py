"""A report as one HTML page to read, print and file: nothing is loaded from anywhere, nothing runs in it.

Every text is escaped, twice over: characters that steer a terminal or a line of text become visible, then
HTML takes nothing for markup. A content security policy forbids whatever should still get through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from comity.control import (
    CharterOwed,
    Report,
    ReportAct,
    ReportAgreement,
    ReportCharter,
    ReportFlow,
    ReportParty,
    ReportRefusal,
)
from comity.identity.fingerprint import Fingerprint
from comity.sdk.report_parts import (
    ACTS,
    claimed,
    digest_line,
    digest_of,
    moment,
    name_of,
    none,
    rows_table,
    safe,
    safe_lines,
    section,
    size,
    when,
)
from comity.sdk.report_style import STYLE

_DIRECTIONS = {"out": "sent", "in": "received", "both": "both ways"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(report: Report) -> str:
    """The page, as UTF-8 text."""
    title = f"Collaboration report: {report.by.hostname} and {name_of(report.about)}"
    parts = [
        _head(report, title),
        _summary(report),
        _agreements(report.agreements),
        _charters(report.charters),
        _acts(report.acts),
        _flows(report.flows),
        _refusals(report.refusals),
        _owed(report.owed),
        _tallies(report),
        _evidence(report),
        _proofs(report),
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, parts))
        + "\n</main>\n</body>\n</html>\n"
    )


# ── sections ──────────────────────────────────────────────────────────────────────────────────────────


def _head(report: Report, title: str) -> str:
    period = f"{moment(report.since) or 'the beginning'} to {moment(report.until) or 'now'}"
    return (
        f'<header><p class="kind">Collaboration report</p><h1>{safe(report.by.hostname)} '
        f"<span>and</span> {safe(name_of(report.about))}</h1>"
        f'<p class="period">{safe(period)} <span>(UTC)</span></p></header>'
        f'<section class="parties">{_party("Reporting institution", report.by)}'
        f"{_party('Partner', report.about)}</section>"
    )


def _party(role: str, party: ReportParty) -> str:
    claims = ", ".join(filter(None, (party.organization, party.contact)))
    claimed = f'<p>{safe(claims)} <span class="note">as it says of itself</span></p>' if claims else ""
    key = Fingerprint.parse(party.fingerprint).grouped
    return (
        f'<div class="party"><h3>{safe(role)}</h3><p class="name">{safe(name_of(party))}</p>{claimed}'
        f'<p class="mono">{safe(key)}</p></div>'
    )


def _summary(report: Report) -> str:
    sent = [flow for flow in report.flows if flow.kind == "exchange.sent"]
    got = [flow for flow in report.flows if flow.kind == "exchange.received"]
    facts = [
        (
            str(len(report.agreements)),
            f"agreement{'' if len(report.agreements) == 1 else 's'}, past and present",
        ),
        (str(len(sent)), f"artifacts sent, {size(sum(flow.bytes or 0 for flow in sent))}"),
        (str(len(got)), f"artifacts received, {size(sum(flow.bytes or 0 for flow in got))}"),
        (str(len(report.refusals)), "refused or failed"),
        (f"{report.witnessed_size} of {report.size}", "log entries countersigned by the partner"),
    ]
    cells = "".join(f"<div><b>{safe(count)}</b><span>{safe(what)}</span></div>" for count, what in facts)
    warnings = "".join(
        f'<p class="warning">The partner\'s audit log contradicts itself: {safe(why)}</p>'
        for why in report.conflicts
    )
    return f'<section class="summary">{cells}</section>{warnings}'


def _agreements(agreements: Sequence[ReportAgreement]) -> str:
    if not agreements:
        return section("Who agreed to what", none("No agreement with this partner is on record."))
    blocks = []
    for one in agreements:
        by = "the partner" if one.revoked_by == "them" else "the reporting institution"
        ended = f", {moment(one.revoked_at)} by {by}" if one.revoked_at else ""
        rows = [
            ("Reference and purpose", safe(one.justification)),
            ("Asked for by", f"{safe(one.requester or '?')}, {claimed(one.requested_by)}"),
            *([("Approver's own reason", safe(one.reason))] if one.reason else []),
            ("Signed", safe(moment(one.signed_at))),
            ("Until", safe(moment(one.until))),
            ("Opens", safe(", ".join(one.allow) or "no service")),
            ("Today", f'<span class="status {safe(one.status)}">{safe(one.status)}</span>{safe(ended)}'),
            ("Agreement", f'<span class="mono">{safe(one.agreement)}</span>'),
        ]
        body = "".join(f"<tr><th>{safe(name)}</th><td>{value}</td></tr>" for name, value in rows)
        blocks.append(f'<table class="facts">{body}</table>')
    return section("Who agreed to what", "".join(blocks))


def _charters(charters: Sequence[ReportCharter]) -> str:
    blocks = []
    for one in charters:
        ended = f", {moment(one.ended_at)} by {one.ended_by}: {one.ended_why}" if one.ended_at else ""
        signed = [
            f"{safe(each.party)}, {safe(moment(each.signed_at))}, {claimed(each.signed_by)}"
            if each.signed_at
            else f"{safe(each.party)}: not signed"
            for each in one.signatures
        ]
        rows = [
            ("Title", f"{safe(one.title)}, version {one.version}"),
            ("Purpose", safe(one.purpose)),
            ("Reference", safe(one.reference)),
            ("In force", f"{safe(moment(one.begins))} to {safe(moment(one.until))}"),
            ("Signed by", "<br>".join(signed)),
            ("Today", f'<span class="status {safe(one.state)}">{safe(one.state)}</span>{safe(ended)}'),
            ("Charter", f'<span class="mono">{safe(one.charter)}</span>'),
        ]
        body = "".join(f"<tr><th>{safe(name)}</th><td>{value}</td></tr>" for name, value in rows)
        blocks.append(f'<table class="facts">{body}</table>')
    return section("Charters", "".join(blocks)) if blocks else ""


def _owed(owed: Sequence[CharterOwed]) -> str:
    rows = [
        (
            safe(one.party),
            f"<b>{safe(one.name)}</b>, from {safe(one.giver)}{digest_line(one.digest)}",
            safe(moment(one.due)),
            f"{safe(one.disposition)}{digest_of('statement', one.statement)}"
            if one.settled
            else '<span class="status expired">still owed</span>',
        )
        for one in owed
    ]
    header = ("By", "About", "Due", "Stated")
    return section("Deletion and retention", rows_table("exit", header, rows, "")) if rows else ""


def _acts(acts: Sequence[ReportAct]) -> str:
    rows = [
        (
            str(act.index),
            when(act.at),
            f'<b>{safe(ACTS.get(act.kind, act.kind))}</b><br><span class="note">{safe(act.kind)}</span>',
            "; ".join(safe(text) for text in (*act.reasons, *_details(act))) + digest_line(act.digest),
        )
        for act in acts
    ]
    empty = "Nothing was said or decided about the partnership in this period."
    return section(
        "What was said and decided",
        rows_table("numbered acts", ("Entry", "When", "Act", "Details"), rows, empty),
    )


def _details(act: ReportAct) -> Iterable[str]:
    return (f"{name}: {value}" for name, value in act.details.items() if value not in (None, ""))


def _flows(flows: Sequence[ReportFlow]) -> str:
    rows = [
        (
            str(flow.index),
            when(flow.at),
            safe(_DIRECTIONS.get(flow.direction, flow.direction)),
            f"<b>{safe(flow.what)}</b>{digest_line(flow.digest)}"
            + (digest_of("manifest", flow.manifest) + digest_of("receipt", flow.receipt)),
            "" if flow.bytes is None else safe(size(flow.bytes)),
        )
        for flow in flows
    ]
    header = ("Entry", "When", "Direction", "What", "Size")
    return section(
        "What passed", rows_table("numbered flows", header, rows, "Nothing passed in this period.")
    )


def _refusals(refusals: Sequence[ReportRefusal]) -> str:
    rows = []
    for one in refusals:
        reasons = [*one.reasons]
        if one.unrecorded:
            reasons.append(f"and {one.unrecorded} more like it before, which were only counted")
        what = " ".join(filter(None, (one.operation, one.what)))
        rows.append(
            (
                str(one.index),
                when(one.at),
                f"<b>{safe(what or one.kind)}</b><br>{safe(one.kind)}",
                "<br>".join(map(safe, reasons)),
            )
        )
    header = ("Entry", "When", "What", "Why")
    return section(
        "What was refused or came to nothing",
        rows_table("numbered refusals", header, rows, "Nothing was refused."),
    )


def _tallies(report: Report) -> str:
    rows = [
        (safe(one.operation), safe(one.service), str(one.allowed), str(one.denied)) for one in report.tallies
    ]
    header = ("Operation", "Service", "Allowed", "Denied")
    return section(
        "Decisions", rows_table("decisions", header, rows, "The guard was not asked in this period.")
    )


def _evidence(report: Report) -> str:
    if report.witnessed_size:
        witnessed = (
            f"The partner countersigned its first {report.witnessed_size} entries "
            f"({moment(report.witnessed_at)}): what they say can't have been exchanged since."
        )
    else:
        witnessed = "The partner has not countersigned this log: its operator could have written another one."
    erased = (
        f"<p>{report.erased} of these entries record that something was erased.</p>" if report.erased else ""
    )
    return section(
        "What this report rests on",
        f"<p>{report.entries} entries about this partner, in an audit log of {report.size}. Each line above "
        "names its entry; the appendix proves that the entry is in the log whose signed head is below "
        "(RFC 9162). "
        f"{safe(witnessed)}</p>{erased}"
        "<p>It shows what this institution's node recorded. What is attested, such as a purpose, is not "
        "verified. To verify: ask the reporting institution for "
        "<code>comity audit export</code>, the partner for <code>comity audit checkpoint</code>, "
        "and run <code>comity audit verify-export</code>.</p>"
        f"<pre>{safe_lines(report.checkpoint)}</pre>"
        f'<p class="note">Made {safe(moment(report.generated_at))} UTC.</p>',
    )


def _proofs(report: Report) -> str:
    if not report.proofs:
        return ""
    rows = "".join(
        f"<tr><td>{one.index}</td><td>{safe(one.leaf)}</td><td>{' '.join(map(safe, one.proof))}</td></tr>"
        for one in report.proofs
    )
    return (
        '<section class="appendix"><h2>Appendix: inclusion proofs</h2>'
        f"<p>Leaf hash and path of each entry, under the root of {report.size} entries "
        f'<span class="mono">{safe(report.root)}</span>.</p>'
        f"<table><thead><tr><th>Entry</th><th>Leaf</th><th>Path</th></tr></thead><tbody>{rows}</tbody></table>"
        "</section>"
    )
