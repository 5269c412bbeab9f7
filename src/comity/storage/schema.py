"""The node's database: which tables it has, and the migrations that bring an older file up to date.

Each store keeps its own SQL; this module only puts it together. Migration 1 is what was first recorded in
tests/vectors/wire, and counts as released: TABLES strings are frozen, and every change is one more entry in
MIGRATIONS.
"""

from __future__ import annotations

from pathlib import Path

from comity.storage import (
    audit,
    charter,
    clockmark,
    events,
    exchange,
    forwarding,
    sealing,
    sendqueue,
    settled,
    trust,
    usage,
    witness,
)
from comity.storage.database import Database

MIGRATIONS = (
    audit.TABLES
    + clockmark.TABLES
    + sealing.TABLES
    + trust.TABLES
    + exchange.TABLES
    + sendqueue.TABLES
    + events.TABLES
    + witness.TABLES
    + settled.TABLES
    + forwarding.TABLES
    + charter.TABLES
    + usage.TABLES,
    clockmark.TURNS + trust.INDEXES,
)


def open_node_database(path: Path | str) -> Database:
    """A node's database at ``path``, created or brought up to date; raises what Database raises."""
    return Database(path, MIGRATIONS)
