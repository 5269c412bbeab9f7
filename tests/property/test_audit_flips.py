"""Bits flipped anywhere in the database file: what the log says is unchanged, or ``verify`` finds it.

What is claimed is about content. A flipped bit in a free page, in unused space of a page, in another table or
in an index's or a page's own bookkeeping that SQLite doesn't need changes nothing that the log says, and then
there is nothing to find: each entry still reads back as it was written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comity.audit.verify import StoredEntry
from comity.clock import ManualClock
from comity.entropy import PredictableEntropy
from comity.errors import AuditInvalid, ComityError
from comity.services.audit import AuditService
from comity.services.audit.checking import Wanted, Witnessed, check
from comity.storage.audit import AuditReader
from comity.storage.readonly import ReadOnly
from tests.audit_logs import Institution, Log

OWNER, PARTNER = Institution.new(), Institution.new()


class Original:
    """A database file that was closed in order, what its log says, and a head that a partner holds."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "node.db"
        log = Log(OWNER, PARTNER, count=30, path=self.path)
        self.head = log.head(40)
        log.audit.close()
        self.entries = list(AuditReader(log.db).entries())
        log.db.close()
        self.data = self.path.read_bytes()


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    with tempfile.TemporaryDirectory() as folder:
        yield Original(Path(folder))


def examine(path: Path, head: Witnessed) -> tuple[str | None, list[StoredEntry] | None]:
    """What is found wrong, and what the log says; None where that can't be read at all."""
    try:
        with ReadOnly(str(path)) as db:
            reader = AuditReader(db)
            found = check(reader, OWNER.key, Wanted(heads=[head]))
            return found.log.problem, list(reader.entries())
    except ComityError as error:
        return error.message, None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bits_are_found_or_change_nothing(original: Original, data: st.DataObject) -> None:
    size = len(original.data)
    bits = data.draw(st.sets(st.integers(0, size * 8 - 1), min_size=1, max_size=4))
    damaged = bytearray(original.data)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    path = original.path.with_name("damaged.db")
    path.write_bytes(damaged)
    problem, entries = examine(path, Witnessed(40, original.head.root, "a partner"))
    if problem is None:
        assert entries == original.entries


def test_every_byte_of_every_entry_and_node_counts(original: Original) -> None:
    """Not at random: one bit in each stored byte of a body, a salt, a commitment, a hash and a note."""
    stored = original.entries[17]
    assert stored.body is not None
    assert stored.salt is not None
    wanted = Witnessed(40, original.head.root, "a partner")
    for value in (stored.body, stored.salt, stored.commitment):
        at = original.data.index(value)
        for offset in range(0, len(value), 7):
            damaged = bytearray(original.data)
            damaged[at + offset] ^= 1 << offset % 8
            path = original.path.with_name("damaged.db")
            path.write_bytes(damaged)
            problem, _ = examine(path, wanted)
            assert problem is not None
            assert problem.startswith("entry 17: ")


def test_the_undamaged_copy_verifies(original: Original) -> None:
    path = original.path.with_name("copy.db")
    shutil.copy(original.path, path)
    problem, entries = examine(path, Witnessed(40, original.head.root, "a partner"))
    assert (problem, entries) == (None, original.entries)


def test_nothing_is_added_to_a_log_that_was_cut(original: Original) -> None:
    """A log that lost its end does not go on as if nothing had been there."""
    log = Log(OWNER, PARTNER, count=5)
    log.audit.close()
    for table in ("entry", "node"):
        log.db.execute(f"DROP TRIGGER audit_{table}_stays")
    log.db.execute("DELETE FROM audit_entry WHERE idx > 6")
    audit = AuditService(log.db, OWNER.key, ManualClock(), PredictableEntropy(9))
    with pytest.raises(AuditInvalid):
        audit.append("more")
