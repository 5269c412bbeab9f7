"""Charters in words for people: what was proposed, is signed, is in force, passed and is owed."""

from __future__ import annotations

from collections.abc import Iterator

from comity.cli import wording
from comity.control import (
    CharterAttestResult,
    CharterEndResult,
    CharterExchanged,
    CharterOwed,
    CharterParty,
    CharterProposeResult,
    CharterReadResult,
    CharterSignResult,
    CharterStatusResult,
    CharterView,
)
from comity.identity.text import printable

_STATES = {
    "proposed": "proposed, not signed here",
    "signed": "signed here, waiting for others",
    "in_force": "in force",
    "superseded": "replaced by a later version",
    "void": "void: not all signed it in time",
    "ended": "ended",
}
_OVER = ("superseded", "void", "ended")


def proposed(result: CharterProposeResult) -> Iterator[str]:
    """After ``propose`` and ``amend``."""
    yield f"Proposed: {result.title}, version {result.version}"
    yield f"  Digest: {result.digest}"
    yield f"  Sent to: {wording.listing(result.told)}"
    yield f"Next: every party signs it: comity charter sign {short(result.digest)}"


def to_sign(read: CharterReadResult, signed_by: str) -> Iterator[str]:
    """The charter, and the statement that the signature covers."""
    yield from map(printable, read.lines)
    yield ""
    yield "You sign, with this node's key:"
    for name, value in read.payload.items():
        yield f"  {name}: {'none' if value is None else value}"
    yield f"  signed_by: {printable(signed_by)}"
    yield "  and who signs, for which rendezvous and network, the time, and a number used once"


def signed(result: CharterSignResult) -> Iterator[str]:
    """After ``sign``."""
    yield f"Signed: {result.title}, version {result.version}"
    yield f"  Digest: {result.digest}"
    if result.in_force:
        yield "In force: every party has signed"
    else:
        yield f"Waiting for: {wording.listing(result.missing)}"


def status(result: CharterStatusResult, *, everything: bool) -> Iterator[str]:
    """Each version and each suspension; what is over only with ``everything``, or where something is owed."""
    shown = [view for view in result.charters if everything or view.state not in _OVER or view.owed]
    for view in shown:
        yield from _charter(view)
    if not shown:
        yield "No charters. Next: comity charter new"
    hidden = len(result.charters) - len(shown)
    if hidden:
        yield f"Not shown: {hidden} that are over (--all)"
    for suspension in result.suspensions:
        who = "Suspended by this node" if suspension.by == "us" else "Suspended by the peer"
        yield f"{who}: {suspension.peer}, since {wording.moment(suspension.at)}"
        yield f"  {suspension.clause}: {suspension.reason}"
        if suspension.by == "us":
            yield f"  Next: comity charter lift {suspension.peer} WHY"


def _charter(view: CharterView) -> Iterator[str]:
    yield f"{view.title}, version {view.version}: {_STATES[view.state]}"
    yield f"  Digest: {view.digest}"
    yield f"  Window: {wording.moment(view.from_)} to {wording.moment(view.until)}"
    if view.state in ("proposed", "signed"):
        yield f"  To be signed by {wording.moment(view.accept_by)}"
    yield from _ended(view)
    for party in view.parties:
        yield _party(party)
    for use in view.uses:
        yield f"  {use.clause}, {use.giver} to {use.taker}: {use.used:,} of {use.most:,}"
    if view.exchanged:
        yield f"  Artifacts that passed: {len(view.exchanged)}"
    yield from _owed(view.owed)
    if view.state == "proposed":
        yield f"  Next: comity charter sign {short(view.digest)}"


def _ended(view: CharterView) -> Iterator[str]:
    if view.ended_at is not None:
        yield f"  Ended by {view.ended_by} on {wording.moment(view.ended_at)}: {view.ended_why}"


def _party(party: CharterParty) -> str:
    if not party.signed:
        return f"  {party.name} ({wording.listing(party.roles)}): not signed"
    who = f" by {party.signed_by} (claimed)" if party.signed_by else ""
    when = wording.moment(party.signed_at or "")
    return f"  {party.name} ({wording.listing(party.roles)}): signed {when}{who}"


def ended(result: CharterEndResult) -> Iterator[str]:
    """After ``end``."""
    yield f"Ended, for good: {result.title}"
    yield f"  Told: {wording.listing(result.told)}"
    yield f"  Links closed: {result.links_closed}"
    if result.exchanged:
        yield "Exchanged under it:"
        yield from map(_passed, result.exchanged)
    yield from _owed(result.owed)
    if any(one.by == "us" and not one.settled for one in result.owed):
        yield f"Next: comity charter attest {short(result.digest)} deleted --method METHOD"


def attested(result: CharterAttestResult) -> Iterator[str]:
    """After ``attest``."""
    yield f"Stated for {len(result.attested)} artifacts under {result.title}"
    for statement in result.statements:
        yield f"  Statement: {statement}"
    yield from _owed(result.owed)


def _passed(one: CharterExchanged) -> str:
    return f"  {one.name} ({wording.size(one.bytes)}), {one.giver} to {one.taker}, {one.digest}"


def _owed(owed: tuple[CharterOwed, ...]) -> Iterator[str]:
    for one in owed:
        what = f"{one.name} of {one.giver}, {short(one.digest)}"
        if one.settled:
            yield f"  {one.party} stated: {what} was {one.disposition}"
        else:
            yield f"  {one.party} owes a statement about {what}, by {wording.moment(one.due)}"


def short(digest: str) -> str:
    """Enough digits to name a charter on this node."""
    return digest.removeprefix("sha256:")[:12]
