"""What the page of a report is made of: tables, digests, times, all of them escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

from comity.control import ReportParty
from comity.identity.fingerprint import Fingerprint
from comity.identity.text import printable

#: What entries of the log tell of, as people say it.
ACTS = {
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
    "key.rotated": "Partner's key replaced",
    "key.retired": "Key retired",
    "expose.begun": "Port exposed",
    "expose.ended": "Port not exposed any more",
    "audit.redacted": "Entry erased",
}
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def section(title: str, content: str) -> str:
    """A section with its heading; ``content`` is HTML."""
    return f"<section><h2>{safe(title)}</h2>{content}</section>"


def rows_table(look: str, header: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> str:
    """``rows`` hold HTML."""
    if not rows:
        return none(empty)
    head = "".join(f"<th>{safe(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="rows {look}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def none(text: str) -> str:
    """What stands where there is nothing."""
    return f'<p class="none">{safe(text)}</p>'


def digest_line(digest: str | None) -> str:
    """A digest under what it is of."""
    return f'<br><span class="mono">{safe(digest)}</span>' if digest else ""


def digest_of(name: str, digest: str | None) -> str:
    """A named digest."""
    return f'<br><span class="mono">{safe(name)} {safe(digest)}</span>' if digest else ""


def name_of(party: ReportParty) -> str:
    """What a party is called, or its fingerprint."""
    return party.hostname or Fingerprint.parse(party.fingerprint).short


def when(time: str) -> str:
    """A time on two lines."""
    return safe(moment(time)).replace(" ", "<br>", 1)


def moment(time: str | None) -> str:
    """A time as people read it, without its zone."""
    return "" if not time else time.replace("T", " ").removesuffix("Z")


def size(count: int) -> str:
    """Bytes as people say them."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}" if unit else f"{count} bytes"


def safe(text: str) -> str:
    """Text as HTML: nothing in it steers a line of text or is markup."""
    return html.escape(printable(text), quote=True)


def safe_lines(text: str) -> str:
    """The same for each line of a text."""
    return "\n".join(map(safe, text.rstrip("\n").split("\n")))


def claimed(name: str) -> str:
    """Whom a side names, labelled so."""
    return f'{safe(name)} <span class="note">as claimed</span>' if name else "not said by whom"
