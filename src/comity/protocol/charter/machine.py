"""The steps of a charter's life: ``handle(line, event, now) -> (line, effects)`` (SECURITY.md rule 17).

    version   ──Proposed──► open ──all signatures held before accept_by──► complete
                              └──accept_by passed, or another successor complete──► void, for good
    line      ──Ended by any party──► over, for good

What each node holds to by itself, so that no two honest nodes ever act under different terms:

- A version applies only where the signatures of all its parties are held, and came in time by the clock of
  the node that holds them: who keeps a last signature back can't make it apply later.
- A node has signed at most one version that is still open. It signs another only once that one is complete or
  void here, and what is void stays so. Hence of honest nodes that are parties of two successors of one
  version, no two complete different ones: whoever completes the first never signs the second.
- The complete version with the highest number is in force. A node that missed it refuses, and is refused, as
  every operation names the charter's digest; a later successor brings it back (``_may_follow``).
- An end is accepted from every party, from whatever bearer, and nothing opens a line again.

Signatures were verified before, and so was that the terms are those of the bytes with that digest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from comity import limits
from comity.clock import rfc3339
from comity.errors import RemoteProtocolError
from comity.protocol.charter.terms import Ending, Line, Terms, Version


class CharterRefused(RemoteProtocolError):
    """A charter act that the line of versions doesn't allow: late, a second successor, not its turn."""

    code = "charter_refused"
    exit_status = 67
    default_hint = "run comity charter status"


@dataclass(frozen=True)
class Proposed:
    """A version is here; ``ours``: it was proposed on this node."""

    terms: Terms
    ours: bool = False


@dataclass(frozen=True)
class Signed:
    """The party ``by`` signed the version ``charter`` and the policy ``policy``; ``by`` may be ourselves."""

    charter: str
    policy: str
    by: str
    issued: int


@dataclass(frozen=True)
class Ended:
    """The party ``by`` ended the line; ``by`` may be ourselves."""

    by: str
    reason: str


@dataclass(frozen=True)
class Passed:
    """Time passed."""


Event = Proposed | Signed | Ended | Passed


@dataclass(frozen=True)
class News:
    """A version that was not known before."""

    terms: Terms


@dataclass(frozen=True)
class Held:
    """A signature that was not held before."""

    terms: Terms
    by: str


@dataclass(frozen=True)
class InForce:
    """From now on these terms apply, instead of ``before``."""

    terms: Terms
    before: Terms | None


@dataclass(frozen=True)
class Void:
    """This version will never apply here."""

    terms: Terms


@dataclass(frozen=True)
class Over:
    """The line has ended; ``terms`` were in force."""

    terms: Terms | None
    ending: Ending


Effect = News | Held | InForce | Void | Over
Outcome = tuple[Line, tuple[Effect, ...]]


def handle(line: Line, event: Event, now: float) -> Outcome:
    """The line after ``event`` at ``now`` (seconds UTC), and what follows. CharterRefused changes nothing."""
    line, lapsed = _lapse(line, now)
    line, effects = TRANSITIONS[type(event)](line, event, now)
    return line, lapsed + effects


def may_sign(line: Line, digest: str, now: float) -> Terms:
    """The terms that this node would sign; CharterRefused says why it must not."""
    line, _ = _lapse(line, now)
    version = line.find(digest)
    if version is None:
        raise CharterRefused("no such version is known here")
    terms = version.terms
    _not_over(line)
    if line.own not in terms.parties:
        raise CharterRefused("this node is no party of that version")
    if version.void:
        raise CharterRefused("that version is void: not all signed it in time, or another took over")
    in_force = line.in_force
    if in_force is not None and in_force.version >= terms.version:
        raise CharterRefused("that version is not newer than the one in force")
    if not _may_follow(line, terms):
        raise CharterRefused("that version follows one that this node has never signed")
    for other in line.versions:
        open_ = not other.complete and not other.void
        if open_ and line.own in other.signed and other.terms.digest != digest:
            raise CharterRefused(
                f"this node has signed another version, which is open until {rfc3339(other.terms.accept_by)}",
                hint="wait until then, or until everybody has signed it",
            )
    return terms


def _may_follow(line: Line, terms: Terms) -> bool:
    """Whether it replaces what is in force, or something newer that this node has signed in vain: others may
    hold all signatures of that. Who agreed to nothing of the line yet may join it anywhere.
    """
    latest = line.latest
    number = latest.terms.version if latest else 0
    agreed = {
        one.terms.digest for one in line.versions if line.own in one.signed and one.terms.version > number
    }
    agreed.discard(terms.digest)
    if latest is not None:
        agreed.add(latest.terms.digest)
    return terms.predecessor is None or not agreed or terms.predecessor in agreed


# ── versions ──────────────────────────────────────────────────────────────────────────────────────────


def _proposed(line: Line, event: Proposed, now: float) -> Outcome:
    terms = event.terms
    if terms.lineage != line.lineage:
        raise CharterRefused("that version belongs to another line")
    if line.find(terms.digest) is not None:
        return line, ()
    _not_over(line)
    if line.own not in terms.parties:
        raise CharterRefused("this node is no party of the charter that was proposed")
    if terms.accept_by <= now:
        raise CharterRefused("the charter that was proposed could be accepted until a time that has passed")
    if terms.accept_by > terms.until:
        raise CharterRefused("the charter that was proposed can be accepted after it has ended")
    if (terms.predecessor is None) != (terms.version == 1) or (terms.version == 1) != (
        terms.digest == terms.lineage
    ):
        raise CharterRefused("only a line's first version has no predecessor")
    before = None if terms.predecessor is None else line.find(terms.predecessor)
    if before is not None and before.terms.version + 1 != terms.version:
        raise CharterRefused("the proposed version's number does not follow its predecessor's")
    if before is None and terms.predecessor is not None and line.latest is not None:
        raise CharterRefused("the proposed version follows one that is not known here")
    if sum(not one.complete and not one.void for one in line.versions) >= limits.CHARTER_OPEN_VERSIONS:
        raise CharterRefused("too many versions of this charter wait for signatures already")
    kept = [one for one in line.versions if one.complete or not one.void or line.own in one.signed]
    return msgspec.structs.replace(line, versions=(*kept, Version(terms=terms))), (News(terms),)


def _signed(line: Line, event: Signed, now: float) -> Outcome:
    version = line.find(event.charter)
    if version is None:
        raise CharterRefused("the signature is for a version that is not known here")
    terms = version.terms
    if event.by not in terms.parties:
        raise CharterRefused("the signature is by a key that is no party")
    if event.by in version.signed:
        return line, ()
    if event.policy != terms.policy:
        raise CharterRefused(
            "the signature is for another policy than this charter compiles to here",
            hint="run the same version of comity on both nodes",
        )
    if event.issued >= terms.accept_by:
        raise CharterRefused("the signature was made after the charter's accept_by")
    if event.by == line.own:
        may_sign(line, event.charter, now)
    _not_over(line)
    if version.void:
        raise CharterRefused("the signature came after accept_by, or for a version that was overtaken")
    signed = tuple(party for party in terms.parties if party in (*version.signed, event.by))
    held = msgspec.structs.replace(version, signed=signed)
    effects: tuple[Effect, ...] = (Held(terms, event.by),)
    if signed != terms.parties:
        return _with(line, held), effects
    before = line.in_force
    line = _with(line, msgspec.structs.replace(held, complete=True, at=int(now)))
    line, voided = _overtake(line, terms)
    if line.in_force != terms:
        return line, effects + voided
    return line, (*effects, InForce(terms, before), *voided)


def _overtake(line: Line, by: Terms) -> tuple[Line, tuple[Effect, ...]]:
    """What can't apply beside a version that is complete now: what is older, and its rivals."""
    effects: list[Effect] = []
    for one in line.versions:
        if not one.complete and not one.void and one.terms.version <= by.version:
            line = _with(line, msgspec.structs.replace(one, void=True))
            effects.append(Void(one.terms))
    return line, tuple(effects)


def _lapse(line: Line, now: float) -> tuple[Line, tuple[Effect, ...]]:
    """Void is what not everybody has signed by its accept_by."""
    effects: list[Effect] = []
    for one in line.versions:
        if not one.complete and not one.void and one.terms.accept_by <= now:
            line = _with(line, msgspec.structs.replace(one, void=True))
            effects.append(Void(one.terms))
    return line, tuple(effects)


def _passed(line: Line, _event: Passed, _now: float) -> Outcome:
    return line, ()


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────


def _ended(line: Line, event: Ended, now: float) -> Outcome:
    if line.ending is not None:
        return line, ()
    if not line.versions:
        raise CharterRefused("the end is for a charter that is not known here")
    if event.by not in _concerned(line):
        raise CharterRefused("the end is by a key that is no party")
    terms = line.in_force
    ending = Ending(by=event.by, at=int(now), reason=event.reason, charter=terms.digest if terms else None)
    return msgspec.structs.replace(line, ending=ending), (Over(terms, ending),)


def _concerned(line: Line) -> set[str]:
    """Who may end it: the parties in force, and those of whatever newer this node has signed."""
    latest = line.latest
    number = latest.terms.version if latest else 0
    found = set(latest.terms.parties) if latest else set()
    for one in line.versions:
        if one.terms.version > number and (latest is None or line.own in one.signed):
            found |= set(one.terms.parties)
    return found


def _not_over(line: Line) -> None:
    if line.ending is not None:
        raise CharterRefused("the charter has ended, for good: a new start needs a new charter")


def _with(line: Line, version: Version) -> Line:
    versions = tuple(version if one.terms.digest == version.terms.digest else one for one in line.versions)
    return msgspec.structs.replace(line, versions=versions)


TRANSITIONS: dict[type, Callable[..., Outcome]] = {
    Proposed: _proposed,
    Signed: _signed,
    Ended: _ended,
    Passed: _passed,
}
