"""Databases of earlier states are brought up to date and used; those of later programs are refused."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from comity.audit.entry import commitment, parse_entry
from comity.clock import ManualClock
from comity.errors import KeyRetired, NewerDatabase
from comity.rendezvous import membership, retiring
from comity.rendezvous.sqlite import SqliteBooks
from comity.storage.audit import AuditReader
from comity.storage.schema import open_node_database
from tests.rendezvous.nodes import Registrant
from tests.trust.office import Office
from tests.trust.site import Site
from tests.wire import databases
from tests.wire.keys import CALL, LAB_A, LAB_B, NEXT_A, NOW, RENDEZVOUS, SERVER
from tests.wire.vectors import FOLDER

FILES = sorted(FOLDER.glob("*/databases/*.sql"))
OPEN: dict[str, Callable[[Path], object]] = {"node": open_node_database, "rendezvous": SqliteBooks}
HOW = (
    "what a released migration makes is final, and what is recorded counts as released: "
    "leave it as it is, and add a migration (storage/schema.py, rendezvous/schema.py)"
)


def loaded(file: Path, folder: Path) -> Path:
    return databases.load(file.read_text(encoding="utf-8"), folder / f"{file.stem}.db")


def opened(kind: str, path: Path) -> None:
    """Open it once with head, which brings it up to date."""
    made = OPEN[kind](path)
    made.close()  # type: ignore[attr-defined]  # both kinds have it


def shape(path: Path) -> dict[tuple[str, str], str]:
    """Tables, indexes and triggers, without the way in which they are written."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ).fetchall()
    connection.close()
    return {(kind, name): re.sub(r"--[^\n]*|\s+", "", sql).replace('"', "") for kind, name, sql in rows}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.parent.name} {file.stem}")
def test_an_earlier_database_becomes_what_head_makes_anew(file: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir(mode=0o700)
    opened(file.stem, old := loaded(file, tmp_path))
    opened(file.stem, new := tmp_path / "new" / old.name)
    assert shape(old) == shape(new), HOW


def test_every_database_is_recorded() -> None:
    assert {file.stem for file in FILES} == set(databases.DATABASES)


@pytest.mark.parametrize("kind", OPEN)
def test_a_later_programs_database_is_refused_and_left_alone(kind: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "later.db"
    opened(kind, path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(NewerDatabase, match=r"has schema version 99, this program knows \d+ at most") as told:
        opened(kind, path)
    assert "install the version of comity that wrote it" in told.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem == "node"], ids=lambda file: file.parent.parent.name
)
async def test_a_node_goes_on_with_an_earlier_database(file: Path, tmp_path: Path) -> None:
    office = Office(ManualClock(float(NOW)), SERVER)
    Site(office, "charité-trainer", 0x20, identity=LAB_B)
    with open_node_database(loaded(file, tmp_path)) as db:
        reader = AuditReader(db)
        entries = list(reader.entries())
        assert len(entries) == reader.size() > 10
        for stored in entries:
            assert stored.salt is not None
            assert stored.body is not None
            assert commitment(stored.salt, stored.body) == stored.commitment
            parse_entry(stored.body)
        site = Site(office, "lab-a-trainer", 0x10, identity=LAB_A, db=db)
        agreed = await site.trust.ending.trust()
        assert [peer.hostname for peer in agreed.trusted] == ["charité-trainer"]
        assert [(peer.hostname, peer.revoked_by) for peer in agreed.ended] == [("lab-c", "us")]
        assert [asked.justification for asked in await site.pending()] == ["may we?"]
        retired = site.store.retired(NEXT_A.public)
        assert retired is not None
        assert retired.reason == "lost or stolen"
        assert (await site.revoke("charité-trainer")).status == "revoked"


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem == "rendezvous"], ids=lambda file: file.parent.parent.name
)
def test_a_rendezvous_goes_on_with_an_earlier_database(file: Path, tmp_path: Path) -> None:
    books = SqliteBooks(loaded(file, tmp_path))
    try:
        known = books.nodes.named(1, "charité-trainer")
        assert known is not None
        assert known.key == LAB_B.public.raw
        (kept,) = books.letters.waiting(1, LAB_B.public.raw, 0, 9)
        assert (kept.letter.blob, kept.letter.message_id) == (b"sealed", bytes.fromhex(CALL))
        with pytest.raises(KeyRetired, match="lost or stolen"):
            retiring.check(books, NEXT_A.public.raw)
        invited = Registrant(RENDEZVOUS, "lab-z", network=2, invitation=databases.TOKEN)
        with books.transaction():
            assert membership.admit(books, invited.claim(NOW), NOW).number == 0x10
        assert [act.act for act in books.tenancy.acts(9)].count("key retired") == 1
    finally:
        books.close()
