"""The audit log as services use it: entries join transactions, are read back, and are signed in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comity import limits
from comity.audit.note import open_checkpoint
from comity.clock import ManualClock
from comity.control.audit import AuditLogRequest
from comity.entropy import PredictableEntropy
from comity.errors import AuditInvalid, InvalidInput, LocalProtocolError
from comity.identity.keys import Identity
from comity.services.audit import AuditService
from comity.storage.audit import AuditStore
from comity.storage.clockmark import ClockMark
from comity.storage.database import MEMORY, Database
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.logkey import AuditKey, load_audit_key
from comity.storage.schema import open_node_database

OWNER = Identity.generate().public
PEER = Identity.generate().public
OTHER = Identity.generate().public
KEY = AuditKey.generate(OWNER)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.25)


@pytest.fixture
def db() -> Database:
    return open_node_database(MEMORY)


@pytest.fixture
def audit(db: Database, clock: ManualClock) -> AuditService:
    return AuditService(db, KEY, clock, PredictableEntropy(1))


def signed_size(db: Database) -> int:
    last = AuditStore(db).last_checkpoint()
    assert last is not None
    size, note = last
    assert open_checkpoint(note, KEY.origin, KEY.public).size == size
    return size


def test_reads_back_what_was_appended(audit: AuditService) -> None:
    index = audit.append(
        "decision",
        peer=PEER,
        operation="send",
        decision="deny",
        reasons=("no agreement",),
        digest="sha256:" + "ab" * 32,
        name="model.safetensors",
        bytes=7,
        last=True,
        charter=None,
    )
    assert index == 0
    result = audit.log(AuditLogRequest())
    assert result.size == 1
    (entry,) = result.entries
    assert entry.at == "2027-01-15T08:00:00Z"
    assert (entry.index, entry.kind, entry.peer) == (0, "decision", str(PEER.fingerprint))
    assert (entry.operation, entry.decision, entry.reasons) == ("send", "deny", ("no agreement",))
    assert entry.digest == "sha256:" + "ab" * 32
    assert entry.detail == {"name": "model.safetensors", "bytes": 7, "last": True, "charter": None}


def test_filters_and_pages(audit: AuditService) -> None:
    for number in range(20):
        audit.append("even" if number % 2 == 0 else "odd", peer=PEER if number < 10 else OTHER, n=number)

    def shown(request: AuditLogRequest) -> list[int]:
        result = audit.log(request)
        assert result.size == 20
        return [entry.index for entry in result.entries]

    assert shown(AuditLogRequest()) == list(range(20))
    assert shown(AuditLogRequest(after=15)) == [16, 17, 18, 19]
    assert shown(AuditLogRequest(limit=3)) == [0, 1, 2]
    assert shown(AuditLogRequest(kind="odd", after=15)) == [17, 19]
    assert shown(AuditLogRequest(peer=OTHER.fingerprint.grouped)) == list(range(10, 20))
    assert shown(AuditLogRequest(peer=str(PEER.fingerprint), kind="odd", limit=2)) == [1, 3]
    assert shown(AuditLogRequest(kind="never")) == []


def test_quoted_look_alikes_do_not_match(audit: AuditService) -> None:
    audit.append("said", text='"kind":"decision"', kind_of="decision")
    assert audit.log(AuditLogRequest(kind="decision")).entries == ()


@pytest.mark.parametrize(
    "request_",
    [
        AuditLogRequest(limit=0),
        AuditLogRequest(limit=-1),
        AuditLogRequest(peer="abc"),
        AuditLogRequest(kind='x"y'),
        AuditLogRequest(kind="\ud800"),
    ],
)
def test_senseless_requests_are_refused(audit: AuditService, request_: AuditLogRequest) -> None:
    with pytest.raises(InvalidInput):
        audit.log(request_)


def test_joins_the_callers_transaction(audit: AuditService, db: Database) -> None:
    audit.append("before")

    def fail() -> None:
        with db.transaction():
            audit.append("undone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    audit.append("after")
    entries = audit.log(AuditLogRequest()).entries
    assert [(entry.index, entry.kind) for entry in entries] == [(0, "before"), (1, "after")]
    assert audit.verify().valid


def test_for_good_means_even_when_undone(audit: AuditService, db: Database) -> None:
    def fail() -> None:
        with db.transaction():
            audit.append("undone")
            with db.transaction():
                audit.append_for_good("denied", peer=PEER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with db.transaction():
        audit.append_for_good("denied", peer=OTHER)
    entries = audit.log(AuditLogRequest()).entries
    assert [(entry.kind, entry.peer) for entry in entries] == [
        ("denied", str(PEER.fingerprint)),
        ("denied", str(OTHER.fingerprint)),
    ]


def test_hostile_text_does_not_keep_itself_out(audit: AuditService) -> None:
    audit.append("mail.refused", reasons=("x" * 10_000,), name="bad\udcff\u202e\x00")
    (entry,) = audit.log(AuditLogRequest()).entries
    assert len(entry.reasons[0]) == limits.AUDIT_TEXT_CHARS
    assert entry.reasons[0].endswith("…")
    assert entry.detail["name"] == "bad\\udcff\u202e\x00"
    assert audit.verify().valid


def test_a_mistake_of_ours_is_refused_and_leaves_nothing(audit: AuditService) -> None:
    with pytest.raises(LocalProtocolError):
        audit.append("Not A Kind")
    assert audit.log(AuditLogRequest()).size == 0


def test_entry_time_is_the_clocks_new_floor(audit: AuditService, db: Database, clock: ManualClock) -> None:
    audit.append("a")
    assert ClockMark(db).floor() == clock.now()


def test_head_is_signed_in_time(audit: AuditService, db: Database, clock: ManualClock) -> None:
    audit.append("first")
    assert signed_size(db) == 1, "the first entry of all is signed at once"
    audit.append("second")
    assert signed_size(db) == 1
    clock.advance(limits.AUDIT_CHECKPOINT_SECONDS)
    audit.append("third")
    assert signed_size(db) == 3
    for _ in range(limits.AUDIT_CHECKPOINT_ENTRIES):
        audit.append("busy")
    assert signed_size(db) == 3 + limits.AUDIT_CHECKPOINT_ENTRIES


def test_close_signs_the_rest_once(audit: AuditService, db: Database) -> None:
    audit.close()
    assert AuditStore(db).last_checkpoint() is None, "an empty log has nothing to sign"
    for _ in range(3):
        audit.append("a")
    for _ in range(2):
        audit.close()
    assert signed_size(db) == 3


def test_first_entry_after_a_start_is_signed(audit: AuditService, db: Database, clock: ManualClock) -> None:
    for _ in range(3):
        audit.append("a")
    AuditService(db, KEY, clock, PredictableEntropy(2)).append("restarted")
    assert signed_size(db) == 4


def test_verify_of_a_good_log(audit: AuditService, db: Database) -> None:
    for _ in range(11):
        audit.append("a")
    result = audit.verify()
    assert (result.valid, result.size, result.problem, result.witnessed_size) == (True, 11, "", 0)
    assert result.root == AuditStore(db).root().hex()
    head = open_checkpoint(result.checkpoint.encode(), KEY.origin, KEY.public)
    assert (head.size, head.root.hex()) == (11, result.root)
    assert audit.verify() == result


def test_verify_of_an_empty_log(audit: AuditService) -> None:
    result = audit.verify()
    assert (result.valid, result.size) == (True, 0)
    assert result.checkpoint
    audit.append("a")
    assert audit.verify().valid


def test_erased_entries_stay_countable(audit: AuditService, db: Database) -> None:
    for _ in range(3):
        audit.append("a")
    db.execute("UPDATE audit_entry SET salt = NULL, body = NULL WHERE idx = 1")
    result = audit.verify()
    assert (result.valid, result.first_bad) == (False, 1)
    assert result.problem == "entry 1: erased, and no entry records that it was"
    assert [entry.kind for entry in audit.log(AuditLogRequest()).entries] == ["a", "erased", "a"]
    assert [entry.index for entry in audit.log(AuditLogRequest(kind="a")).entries] == [0, 2]


def test_nothing_is_added_to_a_broken_log(audit: AuditService, db: Database) -> None:
    for _ in range(4):
        audit.append("a")
    audit.close()
    for table in ("entry", "node"):
        db.execute(f"DROP TRIGGER audit_{table}_stays")
    db.execute("DELETE FROM audit_entry WHERE idx = 3")
    db.execute("DELETE FROM audit_node WHERE idx = 3 OR level > 0")
    with pytest.raises(AuditInvalid):
        audit.append("more")
    with pytest.raises(AuditInvalid, match="3 entries, and 4 were signed"):
        audit.close()
    assert audit.log(AuditLogRequest()).size == 3


CHILD = """
import sys
from pathlib import Path
from comity.clock import SystemClock
from comity.entropy import SystemEntropy
from comity.identity.keys import Identity
from comity.services.audit import AuditService
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.logkey import load_audit_key
from comity.storage.schema import open_node_database
home = Home(Path(sys.argv[1]))
owner = FileKeyStore(home.identity_key).load().public
db = open_node_database(home.database)
audit = AuditService(db, load_audit_key(home.log_key, owner), SystemClock(), SystemEntropy())
for number in range(1_000_000):
    audit.append("busy", n=number)
    if number == 20:
        print("ready", flush=True)
"""


def test_killed_while_appending_leaves_no_gap(tmp_path: Path, clock: ManualClock) -> None:
    home = Home(tmp_path / "home")
    home.create()
    FileKeyStore(home.identity_key).save(Identity.generate())
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home.path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    owner = FileKeyStore(home.identity_key).load().public
    with open_node_database(home.database) as db:
        audit = AuditService(db, load_audit_key(home.log_key, owner), clock, PredictableEntropy(1))
        result = audit.verify()
        assert result.valid, result.problem
        assert result.size > 20
        entries = audit.log(AuditLogRequest()).entries
        assert [entry.detail["n"] for entry in entries] == list(range(result.size))
        assert ClockMark(db).floor() > 0
