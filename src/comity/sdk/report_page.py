"""A report as one HTML page to read, print and file: nothing is loaded from anywhere, nothing runs in it.

Every text is escaped, twice over: characters that steer a terminal or a line of text become visible, then
HTML takes nothing for markup. A content security policy forbids whatever should still get through.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from comity.control import Report, ReportAct, ReportAgreement, ReportFlow, ReportParty, ReportRefusal
from comity.identity.fingerprint import Fingerprint
from comity.identity.text import printable
from comity.sdk.report_style import STYLE

_DIRECTIONS = {"out": "sent", "in": "received", "both": "both ways"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_ACTS = {
    "handshake.requested": "Agreement asked for",
    "handshake-request.received": "Agreement asked for by the partner",
    "handshake.approved": "Approved here",
    "handshake.rejected": "Turned down",
    "approval.received": "Approved by the partner",
    "agreement.made": "Agreement in force",
    "agreement.revoked": "Agreement revoked",
    "agreement.expired": "Agreement expired",
    "agreement.exported": "Agreement exported",
    "revocation.received": "Revocation received",
    "identity.confirmed": "Fingerprint compared",
    "identity.mismatch": "Fingerprint differed",
    "charter.proposed": "Charter proposed",
    "charter.signed": "Charter signed",
    "charter.in_force": "Charter in force",
    "charter.void": "Charter not signed in time",
    "charter.ended": "Charter ended",
    "charter.suspended": "Partner suspended",
    "charter.resumed": "Suspension lifted",
    "charter.attested": "Deletion or retention stated",
    "audit.redacted": "Entry erased",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def render(report: Report) -> str:
    """The page, as UTF-8 text."""
    title = f"Collaboration report: {report.by.hostname} and {_name(report.about)}"
    parts = [
        _head(report, title),
        _summary(report),
        _agreements(report.agreements),
        _acts(report.acts),
        _flows(report.flows),
        _refusals(report.refusals),
        _tallies(report),
        _evidence(report),
        _proofs(report),
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(filter(None, parts))
        + "\n</main>\n</body>\n</html>\n"
    )


# ── sections ──────────────────────────────────────────────────────────────────────────────────────────


def _head(report: Report, title: str) -> str:
    period = f"{_moment(report.since) or 'the beginning'} to {_moment(report.until) or 'now'}"
    return (
        f'<header><p class="kind">Collaboration report</p><h1>{_safe(report.by.hostname)} '
        f"<span>and</span> {_safe(_name(report.about))}</h1>"
        f'<p class="period">{_safe(period)} <span>(UTC)</span></p></header>'
        f'<section class="parties">{_party("Reporting institution", report.by)}'
        f"{_party('Partner', report.about)}</section>"
    )


def _party(role: str, party: ReportParty) -> str:
    claims = ", ".join(filter(None, (party.organization, party.contact)))
    claimed = f'<p>{_safe(claims)} <span class="note">as it says of itself</span></p>' if claims else ""
    key = Fingerprint.parse(party.fingerprint).grouped
    return (
        f'<div class="party"><h3>{_safe(role)}</h3><p class="name">{_safe(_name(party))}</p>{claimed}'
        f'<p class="mono">{_safe(key)}</p></div>'
    )


def _summary(report: Report) -> str:
    sent = [flow for flow in report.flows if flow.kind == "exchange.sent"]
    got = [flow for flow in report.flows if flow.kind == "exchange.received"]
    facts = [
        (str(len(report.agreements)), "agreements, past and present"),
        (str(len(sent)), f"artifacts sent, {_size(sum(flow.bytes or 0 for flow in sent))}"),
        (str(len(got)), f"artifacts received, {_size(sum(flow.bytes or 0 for flow in got))}"),
        (str(len(report.refusals)), "refused or failed"),
        (f"{report.witnessed_size} of {report.size}", "log entries countersigned by the partner"),
    ]
    cells = "".join(f"<div><b>{_safe(count)}</b><span>{_safe(what)}</span></div>" for count, what in facts)
    warnings = "".join(
        f'<p class="warning">The partner\'s audit log contradicts itself: {_safe(why)}</p>'
        for why in report.conflicts
    )
    return f'<section class="summary">{cells}</section>{warnings}'


def _agreements(agreements: Sequence[ReportAgreement]) -> str:
    if not agreements:
        return _section("Who agreed to what", _none("No agreement with this partner is on record."))
    blocks = []
    for one in agreements:
        by = "the partner" if one.revoked_by == "them" else "the reporting institution"
        ended = f", {_moment(one.revoked_at)} by {by}" if one.revoked_at else ""
        rows = [
            ("Reference and purpose", _safe(one.justification)),
            ("Asked for by", _safe(one.requested_by or "not said") + ' <span class="note">claimed</span>'),
            ("Signed", _safe(_moment(one.signed_at))),
            ("Until", _safe(_moment(one.until))),
            ("Opens", _safe(", ".join(one.allow) or "no service")),
            ("Today", f'<span class="status {_safe(one.status)}">{_safe(one.status)}</span>{_safe(ended)}'),
            ("Agreement", f'<span class="mono">{_safe(one.agreement)}</span>'),
        ]
        body = "".join(f"<tr><th>{_safe(name)}</th><td>{value}</td></tr>" for name, value in rows)
        blocks.append(f'<table class="facts">{body}</table>')
    return _section("Who agreed to what", "".join(blocks))


def _acts(acts: Sequence[ReportAct]) -> str:
    rows = [
        (
            str(act.index),
            _when(act.at),
            f'<b>{_safe(_ACTS.get(act.kind, act.kind))}</b><br><span class="note">{_safe(act.kind)}</span>',
            "; ".join(_safe(text) for text in (*act.reasons, *_details(act))) + _digest(act.digest),
        )
        for act in acts
    ]
    empty = "Nothing was said or decided about the partnership in this period."
    return _section(
        "What was said and decided", _table("numbered acts", ("Entry", "When", "Act", "Details"), rows, empty)
    )


def _details(act: ReportAct) -> Iterable[str]:
    return (f"{name}: {value}" for name, value in act.details.items() if value not in (None, ""))


def _flows(flows: Sequence[ReportFlow]) -> str:
    rows = [
        (
            str(flow.index),
            _when(flow.at),
            _safe(_DIRECTIONS.get(flow.direction, flow.direction)),
            f"<b>{_safe(flow.what)}</b>{_digest(flow.digest)}"
            + (_line("manifest", flow.manifest) + _line("receipt", flow.receipt)),
            "" if flow.bytes is None else _safe(_size(flow.bytes)),
        )
        for flow in flows
    ]
    header = ("Entry", "When", "Direction", "What", "Size")
    return _section("What passed", _table("numbered flows", header, rows, "Nothing passed in this period."))


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
                _when(one.at),
                f"<b>{_safe(what or one.kind)}</b><br>{_safe(one.kind)}",
                "<br>".join(map(_safe, reasons)),
            )
        )
    header = ("Entry", "When", "What", "Why")
    return _section(
        "What was refused or came to nothing",
        _table("numbered refusals", header, rows, "Nothing was refused."),
    )


def _tallies(report: Report) -> str:
    rows = [
        (_safe(one.operation), _safe(one.service), str(one.allowed), str(one.denied))
        for one in report.tallies
    ]
    header = ("Operation", "Service", "Allowed", "Denied")
    return _section("Decisions", _table("decisions", header, rows, "The guard was not asked in this period."))


def _evidence(report: Report) -> str:
    if report.witnessed_size:
        witnessed = (
            f"The partner countersigned its first {report.witnessed_size} entries "
            f"({_moment(report.witnessed_at)}): what they say can't have been exchanged since."
        )
    else:
        witnessed = "The partner has not countersigned this log: its operator could have written another one."
    erased = (
        f"<p>{report.erased} of these entries record that something was erased.</p>" if report.erased else ""
    )
    return _section(
        "What this report rests on",
        f"<p>{report.entries} entries about this partner, in an audit log of {report.size}. Each line above "
        "names its entry; the appendix proves that the entry is in the log whose signed head is below "
        "(RFC 9162). "
        f"{_safe(witnessed)}</p>{erased}"
        "<p>It shows what this institution's node recorded. What is attested, such as a purpose, is not "
        "verified. To verify: ask the reporting institution for "
        "<code>comity audit export</code>, the partner for <code>comity audit checkpoint</code>, "
        "and run <code>comity audit verify-export</code>.</p>"
        f"<pre>{_safe_lines(report.checkpoint)}</pre>"
        f'<p class="note">Made {_safe(_moment(report.generated_at))} UTC.</p>',
    )


def _proofs(report: Report) -> str:
    if not report.proofs:
        return ""
    rows = "".join(
        f"<tr><td>{one.index}</td><td>{_safe(one.leaf)}</td><td>{' '.join(map(_safe, one.proof))}</td></tr>"
        for one in report.proofs
    )
    return (
        '<section class="appendix"><h2>Appendix: inclusion proofs</h2>'
        f"<p>Leaf hash and path of each entry, under the root of {report.size} entries "
        f'<span class="mono">{_safe(report.root)}</span>.</p>'
        f"<table><thead><tr><th>Entry</th><th>Leaf</th><th>Path</th></tr></thead><tbody>{rows}</tbody></table>"
        "</section>"
    )


# ── what they are made of ─────────────────────────────────────────────────────────────────────────────


def _section(title: str, content: str) -> str:
    return f"<section><h2>{_safe(title)}</h2>{content}</section>"


def _table(look: str, header: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """``rows`` hold HTML."""
    if not rows:
        return _none(empty)
    head = "".join(f"<th>{_safe(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="rows {look}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _none(text: str) -> str:
    return f'<p class="none">{_safe(text)}</p>'


def _digest(digest: str | None) -> str:
    return f'<br><span class="mono">{_safe(digest)}</span>' if digest else ""


def _line(name: str, digest: str | None) -> str:
    return f'<br><span class="mono">{_safe(name)} {_safe(digest)}</span>' if digest else ""


def _name(party: ReportParty) -> str:
    return party.hostname or Fingerprint.parse(party.fingerprint).short


def _when(time: str) -> str:
    return _safe(_moment(time)).replace(" ", "<br>", 1)


def _moment(time: str | None) -> str:
    return "" if not time else time.replace("T", " ").removesuffix("Z")


def _size(count: int) -> str:
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}" if unit else f"{count} bytes"


def _safe(text: str) -> str:
    return html.escape(printable(text), quote=True)


def _safe_lines(text: str) -> str:
    return "\n".join(map(_safe, text.rstrip("\n").split("\n")))
