"""Evidence between real daemons: what an operator can try who has everything on its own machine, and what a
partner's checkpoint finds of it offline. And kill -9: nothing that happened is missing from the log.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from comity.control import AuditLogRequest
from comity.sdk import audit
from tests.labs import Lab, eventually
from tests.region import Region, agree, region

#: How often a daemon is killed; more behind this variable.
KILLS = int(os.environ.get("COMITY_TEST_KILLS", "3"))
Attack = Callable[[sqlite3.Connection], object]


pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    with region() as made:
        yield made


@pytest.fixture(scope="module")
def labs(here: Region) -> tuple[Lab, Lab]:
    """Two labs that have exchanged a file and countersigned each other's logs since."""
    a, b = here.pair()
    (a.folder / "model.bin").write_bytes(b"weights" * 1000)
    a.ask("send-file", b.hostname, "model.bin")
    countersigned(a, size(a))
    return a, b


def size(lab: Lab) -> int:
    return audit.log(lab.client, AuditLogRequest(limit=1)).size


def awaits_entries(lab: Lab, least: int) -> None:
    eventually(lambda: size(lab) > least, f"{lab.hostname} has put something on record")


def countersigned(lab: Lab, least: int) -> None:
    """Return once the partner has countersigned so many entries."""
    eventually(
        lambda: any(one.size >= least for one in audit.witnesses(lab.client).witnesses),
        f"{least} entries of {lab.hostname} are countersigned",
        150,  # after one request that failed, the next is a minute later
    )


def checkpoint(a: Lab, b: Lab, name: str) -> str:
    """What lab B keeps of lab A's log; the file's path."""
    path = b.folder / name
    assert b.ask("audit", "checkpoint", a.hostname, "--out", str(path))["fingerprint"] == a.fingerprint
    return str(path)


def signed_size(held: str) -> int:
    """How many entries a checkpoint file is of."""
    return int(json.loads(Path(held).read_text())["note"].split("\n")[1])


def exported(lab: Lab, name: str, *options: str) -> str:
    path = lab.folder / name
    lab.ask("audit", "export", "--out", str(path), *options)
    assert path.stat().st_mode & 0o777 == 0o600
    return str(path)


def party(lab: Lab) -> tuple[str, str]:
    return "--party", f"{lab.hostname}={lab.fingerprint}"


def stranger(here: Region) -> Lab:
    """Somebody without a node."""
    return Lab(here.folder / "auditor", "auditor", here.run)


def refused(lab: Lab, *arguments: str, command: str = "verify-export") -> dict[str, Any]:
    """What ``audit verify-export`` says of a file that does not verify, or ``audit verify`` of a log."""
    done = lab.begin("audit", command, *arguments).end()
    assert done.returncode == 50, done
    found: dict[str, Any] = json.loads(done.stdout)
    assert not found["valid"]
    assert json.loads(done.stderr)["error"]["code"] == "audit_invalid"
    return found


def test_an_auditor_verifies_with_files_alone(here: Region, labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    held, auditor = checkpoint(a, b, "a.json"), stranger(here)
    signed = signed_size(held)
    whole, part = exported(a, "whole.jsonl"), exported(a, "part.jsonl", "--for", b.hostname)
    for path, complete in ((whole, True), (part, False)):
        found = auditor.ask("audit", "verify-export", path, "--checkpoint", held, *party(a), *party(b))
        assert (found["valid"], found["complete"], found["log"]) == (True, complete, "anchor")
        assert found["witnessed_size"] == signed
        assert (found["witness"], found["witness_identity"]) == (b.fingerprint, "anchor")
        (agreement,) = found["agreements"]
        assert agreement["identities"] == "verified"
        alone = auditor.ask("audit", "verify-export", path)
        assert (alone["valid"], alone["witnessed_size"], alone["log"]) == (True, 0, "unverified")
        assert alone["agreements"][0]["identities"] == "unverified"
    assert "NOT WITNESSED" in "\n".join(auditor.read("audit", "verify-export", whole))


def test_a_partners_part_holds_nobody_elses_entries(here: Region, labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    c = here.lab("lab-c-observer")
    agree(a, c, "another study")
    path = Path(exported(a, "for-b.jsonl", "--for", b.hostname))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    text = json.dumps(lines)
    assert c.fingerprint not in [
        line.get("entry", {}).get("peer") for line in lines if line["type"] == "entry"
    ]
    assert "another study" not in text
    assert "lab-c-observer" not in text


def tampered(a: Lab, attack: Attack) -> None:
    """Change lab A's database while its daemon is down, as its operator could."""
    a.down()
    with closing(sqlite3.connect(a.home / "node.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        attack(connection)
    a.up()


def test_flipped_deleted_and_rebuilt_logs_are_found_offline(here: Region) -> None:
    """Each on a lab of its own pair; each with nothing but an export and the partner's last checkpoint."""
    a, b = here.lab("lab-d-trainer"), here.lab("lab-e-trainer")
    agree(a, b)
    countersigned(a, 3)
    held, auditor = checkpoint(a, b, "d.json"), stranger(here)
    signed = signed_size(held)

    def flip(connection: sqlite3.Connection) -> None:
        (body,) = connection.execute("SELECT body FROM audit_entry WHERE idx = 2").fetchone()
        changed = bytearray(body)
        changed[body.index(b'"at":') + 9] ^= 1
        connection.execute("UPDATE audit_entry SET body = ? WHERE idx = 2", (bytes(changed),))

    tampered(a, flip)
    found = refused(auditor, exported(a, "flipped.jsonl"), "--checkpoint", held, *party(a))
    assert (found["first_bad"], found["witnessed_size"]) == (2, 0)
    assert refused(a, command="verify")["first_bad"] == 2
    tampered(a, flip)  # and back
    assert auditor.ask("audit", "verify-export", exported(a, "back.jsonl"), "--checkpoint", held)["valid"]

    def rebuild(connection: sqlite3.Connection) -> None:
        """All of it gone, countersignatures too; the daemon begins a new log with the same key."""
        for table in ("audit_entry", "audit_node", "audit_checkpoint", "audit_cosignature"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608  names from above

    tampered(a, rebuild)
    for number in range(signed + 3):
        a.refused("audit", "redact", "999999", "--reason", str(number))
        audit.export(a.client, a.folder / f"{number}.jsonl")  # each leaves an entry
    assert size(a) > signed
    for path in (exported(a, "rebuilt.jsonl"), exported(a, "rebuilt-part.jsonl", "--for", b.hostname)):
        assert auditor.ask("audit", "verify-export", path, *party(a))["witnessed_size"] == 0
        found = refused(auditor, path, "--checkpoint", held, *party(a), *party(b))
        assert found["witnessed_size"] == 0
        assert str(signed) in found["problem"]
    assert "countersigned" in refused(a, "--checkpoint", held, command="verify")["problem"]
    # The partner finds it by itself, says so to its own people, and the log's own node learns it.
    eventually(lambda: bool(audit.witnesses(b.client).conflicts), "lab E has noticed", 150)
    assert any("CONTRADICTION in the log of lab-d-trainer" in line for line in b.read("audit", "witnesses"))
    eventually(lambda: audit.witnesses(a.client).problem != "", "lab D is told", 150)
    assert refused(a, command="verify")["problem"]


def test_deleted_entry_is_found_offline(here: Region) -> None:
    a, b = here.lab("lab-f-trainer"), here.lab("lab-g-trainer")
    agree(a, b)
    countersigned(a, 3)
    held, auditor = checkpoint(a, b, "f.json"), stranger(here)
    whole = exported(a, "before.jsonl")
    lines = Path(whole).read_bytes().splitlines(keepends=True)
    number = next(at for at, line in enumerate(lines) if b'"index":1,' in line)
    path = a.folder / "without.jsonl"
    path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
    assert refused(auditor, str(path), "--checkpoint", held)["first_bad"] == 1

    def delete(connection: sqlite3.Connection) -> None:
        """The newest go, and everything that tells of them."""
        left = signed_size(held) - 2
        connection.execute("DELETE FROM audit_entry WHERE idx >= ?", (left,))
        connection.execute("DELETE FROM audit_node WHERE (idx + 1) << level > ?", (left,))
        connection.execute("DELETE FROM audit_checkpoint WHERE size > ?", (left,))
        connection.execute("DELETE FROM audit_cosignature")

    tampered(a, delete)
    found = refused(auditor, exported(a, "cut.jsonl"), "--checkpoint", held)
    assert found["witnessed_size"] == 0
    b.down()


def test_killed_at_any_moment_nothing_is_missing(here: Region, labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    for number in range(KILLS):
        before = size(a)
        names = [f"k{number}-{each}.bin" for each in range(3)]
        for name in names:
            (a.folder / name).write_bytes(os.urandom(300_000))
        running = [a.begin("send-file", b.hostname, name) for name in names]
        awaits_entries(a, before + number)
        a.kill()
        for command in running:
            command.end()
        a.up()
        assert a.ask("audit", "verify")["valid"]
        for transfer in a.ask("transfers")["transfers"]:
            entries = audit.log(a.client, AuditLogRequest()).entries
            assert [entry.index for entry in entries] == list(range(len(entries)))
            told = [entry.kind for entry in entries if entry.detail.get("transfer") == transfer["transfer"]]
            assert ("exchange.sent" in told) == (transfer["state"] == "done"), transfer
            assert told or transfer["state"] in ("running", "queued", "waiting"), transfer
    kinds = [entry.kind for entry in audit.log(a.client, AuditLogRequest()).entries]
    assert kinds.count("node.started") == KILLS + 1, "a start that no stop precedes tells of a kill"
    assert "node.stopped" not in kinds


def test_configuration_changes_are_on_record(labs: tuple[Lab, Lab]) -> None:
    a, _ = labs
    a.ask("set-tags", "lung")
    a.down()
    a.ask("config", "set", "contact", "pi@lab-a.example")
    a.up()
    changed = audit.log(a.client, AuditLogRequest(kind="config.changed")).entries
    said = [(entry.detail["setting"], entry.detail["before"], entry.detail["after"]) for entry in changed]
    assert said == [("tags", "", "lung"), ("contact", "", "pi@lab-a.example")]
    keys = audit.log(a.client, AuditLogRequest(kind="key.changed")).entries
    assert sorted(str(entry.detail["key"]) for entry in keys) == ["identity", "log", "sealing"]
    assert all(entry.detail["before"] is None for entry in keys), "none has changed since it was made"
    (first,) = audit.log(a.client, AuditLogRequest(kind="config.settled")).entries
    assert first.detail["hostname"] == a.hostname
