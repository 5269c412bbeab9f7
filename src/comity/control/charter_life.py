"""Requests and results about a charter's signed life: propose, sign, status, end, attest, suspensions.

``charter`` in a request selects one: its digest, the first 8 digits of it or more, or its title.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class CharterProposeRequest:
    """``canonical``: the form that is signed, RFC 8785 JSON."""

    canonical: str


@dataclass(frozen=True)
class CharterProposeResult:
    """``told``: the parties that it was sent to; ``policy``: the digest of what it compiles to."""

    digest: str
    title: str
    version: int
    lineage: str
    policy: str
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class CharterReadRequest:
    charter: str


@dataclass(frozen=True)
class CharterReadResult:
    """A charter that is known here. ``lines``: in plain language, rendered from what is signed.

    ``payload``: what a signature says, but for its nonce and times; ``canonical``: the bytes of ``digest``.
    """

    digest: str
    title: str
    version: int
    state: str
    policy: str
    lines: tuple[str, ...]
    payload: dict[str, Any] = field(default_factory=dict)
    canonical: str = ""


@dataclass(frozen=True)
class CharterSignRequest:
    """``charter``, ``policy``: the full digests that were shown; ``signed_by``: who decided, as claimed."""

    charter: str
    policy: str
    signed_by: str = ""


@dataclass(frozen=True)
class CharterSignResult:
    """``statement``: the signature's digest; ``missing``: parties whose signatures are not held here yet."""

    digest: str
    title: str
    version: int
    statement: str
    in_force: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class CharterParty:
    """``signed``: its signature is held here; ``signed_by``: the person who decided, as claimed there."""

    name: str
    fingerprint: str
    roles: tuple[str, ...]
    organization: str = ""
    signed: bool = False
    signed_by: str = ""
    signed_at: str | None = None


@dataclass(frozen=True)
class CharterUse:
    """What one limit has counted in its running period, from one party to another."""

    clause: str
    text: str
    giver: str
    taker: str
    used: int
    most: int


@dataclass(frozen=True)
class CharterExchanged:
    """An artifact that passed under a charter; ``state``: ``reserved`` until all of it was sent."""

    giver: str
    taker: str
    name: str
    digest: str
    bytes: int
    at: str
    charter: str
    state: str


@dataclass(frozen=True)
class CharterOwed:
    """A statement that ``party`` owes about an artifact that it was given; ``by``: ``us`` or ``them``.

    ``due``: until when. ``disposition`` is what was stated last, empty where nothing was: then it is owed.
    """

    party: str
    fingerprint: str
    giver: str
    by: str
    digest: str
    name: str
    bytes: int
    due: str
    disposition: str = ""
    statement: str = ""

    @property
    def settled(self) -> bool:
        """Whether it was stated."""
        return bool(self.disposition)


@dataclass(frozen=True)
class CharterView:
    """One version. ``state``: ``proposed``, ``signed`` (here), ``in_force``, ``superseded``, ``void`` or
    ``ended``.

    ``policy``: the digest of the policy that it compiles to here.
    """

    digest: str
    title: str
    version: int
    lineage: str
    predecessor: str | None
    state: str
    policy: str
    accept_by: str
    from_: str
    until: str
    proposed_by: str
    parties: tuple[CharterParty, ...] = ()
    uses: tuple[CharterUse, ...] = ()
    exchanged: tuple[CharterExchanged, ...] = ()
    owed: tuple[CharterOwed, ...] = ()
    ended_by: str = ""
    ended_at: str | None = None
    ended_why: str = ""


@dataclass(frozen=True)
class SuspensionView:
    """``by``: ``us`` or ``them``; only who suspended can lift it. ``clause`` names the rule."""

    peer: str
    fingerprint: str
    by: str
    clause: str
    reason: str
    charter: str
    at: str


@dataclass(frozen=True)
class CharterStatusRequest:
    """``charter``: only that one; else every version that is known here."""

    charter: str | None = None


@dataclass(frozen=True)
class CharterStatusResult:
    charters: tuple[CharterView, ...] = ()
    suspensions: tuple[SuspensionView, ...] = ()


@dataclass(frozen=True)
class CharterEndRequest:
    charter: str
    reason: str


@dataclass(frozen=True)
class CharterEndResult:
    """``told``: the parties that the end was sent to. ``owed``: what has to be stated now, by either side."""

    digest: str
    title: str
    lineage: str
    statement: str
    links_closed: int
    told: tuple[str, ...] = ()
    exchanged: tuple[CharterExchanged, ...] = ()
    owed: tuple[CharterOwed, ...] = ()


@dataclass(frozen=True)
class CharterAttestRequest:
    """What became of what was received: of ``digests``, or of all that is owed where there are none.

    ``disposition``: ``deleted``, ``returned`` or ``retained``; ``method``: ``clear``, ``purge`` or
    ``destroy`` (NIST SP 800-88), ``none`` for what was not deleted. ``to``: only what this party gave.
    """

    charter: str
    disposition: str
    method: str = "none"
    digests: tuple[str, ...] = ()
    backups: str = ""
    derivatives: str = ""
    exceptions: str = ""
    attested_by: str = ""
    to: str | None = None


@dataclass(frozen=True)
class CharterAttestResult:
    """``statements``: the digests of what was signed; ``owed``: what is still to be stated."""

    digest: str
    title: str
    statements: tuple[str, ...]
    attested: tuple[str, ...]
    owed: tuple[CharterOwed, ...] = ()


@dataclass(frozen=True)
class CharterLiftRequest:
    """``reason``: why a person here holds that it may go on."""

    peer: str
    reason: str


@dataclass(frozen=True)
class CharterSuspendRequest:
    peer: str
    reason: str


@dataclass(frozen=True)
class CharterAskRequest:
    """May this happen with ``peer`` now, under the charter in force? Nothing is done or counted."""

    peer: str
    operation: str
    digest: str = ""
    signer: str = ""
    format: str = ""
    bytes: int = 0
    topic: str = ""
    port: int = 0
