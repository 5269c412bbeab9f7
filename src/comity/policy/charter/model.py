"""The charter as frozen, typed data. Its fields are the published schema, docs/reference/charter.schema.json.

How it reads: an operation is allowed when at least one permission describes it, and nothing that describes
it stands against it: no window, limit, artifact rule or proprietary asset. Where two permissions describe the
same operation, the terms of both hold.

It says what a charter looks like, not whether its parts fit each other.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from comity import limits
from comity.policy.charter.words import (
    Amount,
    AssetClass,
    Counted,
    Days,
    Decimal,
    Digest,
    Disposal,
    Fingerprint,
    Format,
    Hours,
    Name,
    Need,
    NodeName,
    Operation,
    Period,
    Port,
    Reference,
    Reuse,
    Slug,
    Template,
    Text,
    Time,
    TimeOfDay,
    TopicFilter,
    Weekday,
    Written,
)

Roles = Annotated[tuple[Slug, ...], msgspec.Meta(min_length=1, max_length=limits.CHARTER_ROLES)]


class Party(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An institution's node: its name, its key's fingerprint, the roles that it plays."""

    name: NodeName
    fingerprint: Fingerprint
    roles: Roles
    organization: Name = ""


class Purpose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What for, and which document says so. It is attested by the parties; no software can verify it."""

    text: Written
    reference: Name = ""
    reference_kind: Reference = "other"


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From the first moment on, up to and without the second."""

    from_: Time = msgspec.field(name="from")
    until: Time


class Asset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model or data set: whatever has one of these digests, or is signed by one of these keys.

    ``class``: a proprietary asset is never sent to anybody, though it may be called.
    """

    id: Slug
    class_: AssetClass = msgspec.field(name="class")
    owner: NodeName
    digests: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=limits.CHARTER_DIGESTS)] = ()
    signers: Annotated[tuple[Fingerprint, ...], msgspec.Meta(max_length=limits.CHARTER_PARTIES)] = ()
    description: Text = ""


class Limit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most ``most`` in each period, counted for each pair of giver and taker apart.

    ``charter`` is the whole time of the charter; the others are those of the calendar, in UTC, weeks from
    Monday. Bytes are those of transfers, events and calls.
    """

    id: Slug
    counts: Counted
    most: Amount
    per: Period


class Permission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parties in a role of ``who`` may do this with parties in a role of ``with``.

    Each operation has its other side, and allowing one allows the other: send and receive, publish and
    subscribe, expose and forward, serve and call. ``assets`` are for what is sent or called, ``topics`` for
    events, ``ports`` for forwarding.
    """

    id: Slug
    who: Roles
    may: Annotated[tuple[Operation, ...], msgspec.Meta(min_length=1, max_length=9)]
    with_: Roles = msgspec.field(name="with")
    assets: Annotated[tuple[Slug, ...], msgspec.Meta(max_length=limits.CHARTER_ASSETS)] = ()
    topics: Annotated[tuple[TopicFilter, ...], msgspec.Meta(max_length=limits.CHARTER_TOPICS)] = ()
    ports: Annotated[tuple[Port, ...], msgspec.Meta(max_length=limits.CHARTER_PORTS)] = ()
    window: Window | None = None
    limits: Annotated[tuple[Limit, ...], msgspec.Meta(max_length=limits.CHARTER_LIMITS)] = ()


class ArtifactRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every sent artifact must be. ``signature``: by a party or by an asset's approved signer."""

    formats: Annotated[tuple[Format, ...], msgspec.Meta(min_length=1, max_length=10)]
    max_bytes: Amount
    signature: Need = "required"


class Privacy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What protects the people in the data. Attested by the parties."""

    secure_aggregation: Need
    minimum_participants: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    epsilon: Decimal | None = None
    delta: Decimal | None = None
    terms: Text = ""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long what was exchanged may be kept after the window, and how long records must be."""

    artifacts_days: Days
    records_days: Days


class Ownership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose the outputs are, and whether they may go to others."""

    outputs: Annotated[tuple[NodeName, ...], msgspec.Meta(min_length=1, max_length=limits.CHARTER_PARTIES)]
    reuse: Reuse
    terms: Text = ""


class Contact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to tell. ``reach``: how, at any hour."""

    party: NodeName
    name: Name
    reach: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.CHARTER_NAME_CHARS)]


class Incidents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens after misuse or leakage: who is told by when, and what is kept as evidence."""

    notify_within_hours: Hours
    remedy_within_days: Days
    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=4 * limits.CHARTER_PARTIES)] = ()
    evidence: Text = ""


class Exit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the end of the charter obliges to."""

    notice_days: Days
    artifacts: Disposal
    statements_within_days: Days
    terms: Text = ""


class Denials(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="watches", tag="denials"
):
    """So many attempts of a partner in a row were denied."""

    id: Slug
    in_a_row: Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Volume(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="watches", tag="volume"
):
    """On one day (UTC) more than ``times`` the average of the days before passed, and ``at_least`` bytes.

    The average is that of the last 30 days, those without traffic included, in either direction.
    """

    id: Slug
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    at_least: Amount


class OutsideHours(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="watches", tag="hours"
):
    """An attempt came outside these hours (UTC) of these days; ``from`` after ``until`` spans midnight."""

    id: Slug
    from_: TimeOfDay = msgspec.field(name="from")
    until: TimeOfDay
    days: Annotated[tuple[Weekday, ...], msgspec.Meta(min_length=1, max_length=7)]


class ChangedFingerprint(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="watches",
    tag="fingerprint",
):
    """Another key claims the partner's name."""

    id: Slug


Anomaly = Denials | Volume | OutsideHours | ChangedFingerprint


class Charter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a collaboration agreement.

    ``anomalies`` suspend a partner until a person lifts it.
    ``predecessor`` is the digest of the version before, ``lineage`` that of the first; both null in the
    first. ``accept_by``: signatures that are missing by then make this version void.
    """

    schema: Literal["comity.charter/1"]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.CHARTER_NAME_CHARS)]
    template: Template = "none"
    version: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    lineage: Digest | None = None
    predecessor: Digest | None = None
    accept_by: Time
    purpose: Purpose
    window: Window
    parties: Annotated[tuple[Party, ...], msgspec.Meta(min_length=2, max_length=limits.CHARTER_PARTIES)]
    assets: Annotated[tuple[Asset, ...], msgspec.Meta(max_length=limits.CHARTER_ASSETS)] = ()
    permissions: Annotated[
        tuple[Permission, ...], msgspec.Meta(min_length=1, max_length=limits.CHARTER_PERMISSIONS)
    ]
    limits: Annotated[tuple[Limit, ...], msgspec.Meta(max_length=limits.CHARTER_LIMITS)] = ()
    artifacts: ArtifactRules
    anomalies: Annotated[tuple[Anomaly, ...], msgspec.Meta(max_length=limits.CHARTER_ANOMALIES)] = ()
    privacy: Privacy
    retention: Retention
    ownership: Ownership
    incidents: Incidents
    exit: Exit
