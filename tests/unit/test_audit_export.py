"""Exported logs verify offline, with fingerprints and a partner's checkpoint, or name what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from comity import control
from comity.clock import ManualClock
from comity.control import ExportVerification
from comity.errors import AuditInvalid
from comity.identity.fingerprint import Fingerprint
from comity.sdk.offline_audit import verify_log
from tests.audit_logs import Institution, Log
from tests.trust.office import Office
from tests.trust.site import Site, agree

OWNER, PARTNER, OTHER = Institution.new(), Institution.new(), Institution.new()


@pytest.fixture
def log() -> Log:
    """20 entries."""
    return Log(OWNER, PARTNER)


def names(**parties: Institution) -> dict[str, Fingerprint]:
    return {name: Fingerprint.parse(party.fingerprint) for name, party in parties.items()}


def check(lines: list[bytes], checkpoint: bytes | None = None, **parties: Institution) -> ExportVerification:
    return verify_log(lines, names(**parties), checkpoint)


def changed(lines: list[bytes], number: int, change: Callable[[dict[str, Any]], object]) -> list[bytes]:
    """The lines with one of them changed."""
    content = json.loads(lines[number])
    change(content)
    return [*lines[:number], json.dumps(content).encode() + b"\n", *lines[number + 1 :]]


def test_whole_log_with_a_partners_checkpoint(log: Log) -> None:
    found = check(log.export(heads=(6, 15)), log.anchor(15), a=OWNER, b=PARTNER)
    assert (found.valid, found.problem, found.complete) == (True, "", True)
    assert (found.size, found.entries, found.root) == (20, 20, log.head().root.hex())
    assert (found.witnessed_size, found.witness) == (15, PARTNER.fingerprint)
    assert (found.log, found.witness_identity) == ("anchor", "anchor")


def test_without_a_checkpoint_it_is_never_called_witnessed(log: Log) -> None:
    found = check(log.export(heads=(6, 15)), a=OWNER, b=PARTNER)
    assert (found.valid, found.witnessed_size, found.witness, found.log) == (True, 0, "", "anchor")
    assert check(log.export()).log == "unverified"


def test_without_fingerprints_the_checkpoint_says_whose_log_it_is(log: Log) -> None:
    found = check(log.export(), log.anchor())
    assert (found.valid, found.log, found.witness_identity) == (True, "checkpoint", "unverified")


@pytest.mark.parametrize("size", [1, 6, 15, 20])
def test_a_partners_part_with_proofs(log: Log, size: int) -> None:
    found = check(log.export(PARTNER, heads=(1, 6, 15)), log.anchor(size), a=OWNER, b=PARTNER)
    assert found.valid, found.problem
    assert (found.complete, found.peer, found.entries) == (False, PARTNER.fingerprint, 10)
    assert (found.size, found.witnessed_size) == (20, size)


def test_a_part_tells_of_nobody_else(log: Log) -> None:
    lines = [json.loads(line) for line in log.export(PARTNER)]
    said = [line["entry"] for line in lines if line["type"] == "entry"]
    assert len(said) == 10
    assert {entry["peer"] for entry in said} == {PARTNER.fingerprint}


def test_a_part_has_to_prove_that_it_extends_the_checkpoint(log: Log) -> None:
    found = check(log.export(PARTNER), log.anchor(7))
    assert not found.valid
    assert found.problem == "the file does not prove that it extends the 7 entries that were countersigned"
    assert found.witnessed_size == 0


# ── what an operator with the log's own key can try ───────────────────────────────────────────────────


def test_a_log_rebuilt_from_scratch_is_found(log: Log) -> None:
    """The operator signs another history with the same key, and strips the countersignatures."""
    rebuilt = Log(OWNER, PARTNER, what="another history")
    assert check(rebuilt.export(), a=OWNER).valid, "it is consistent in itself"
    for lines in (rebuilt.export(), rebuilt.export(PARTNER)):
        found = check(lines, log.anchor(15), a=OWNER, b=PARTNER)
        assert (found.valid, found.witnessed_size) == (False, 0)
        assert "15 entries" in found.problem
    claimed = check(rebuilt.export(PARTNER, heads=(15,)), log.anchor(15))
    assert not claimed.valid


def test_a_deleted_entry_is_found(log: Log) -> None:
    shorter = Log(OWNER, PARTNER, count=9)
    found = check(shorter.export(), log.anchor(20), a=OWNER)
    assert (found.valid, found.first_bad) == (False, 18)
    assert found.problem == "entry 18: missing, of the 20 that were countersigned"
    found = check(shorter.export(PARTNER), log.anchor(20), a=OWNER)
    assert (found.valid, found.first_bad) == (False, 18)


def test_a_log_forked_after_the_checkpoint_passes_and_says_how_far_it_is_witnessed(log: Log) -> None:
    anchor = log.anchor(10)
    for number in range(3):
        log.audit.append("other", n=number)
    assert check(log.export(), anchor).witnessed_size == 10


# ── what anybody with the file can try ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda line: line["entry"].update(at=line["entry"]["at"] + 1),
        lambda line: line["entry"]["detail"].update(n=77),
        lambda line: line.update(salt="00" * 32),
        lambda line: line.update(commitment="00" * 32),
        lambda line: line.update(entry=None, salt=None),
        lambda line: line.update(salt=None),
    ],
)
def test_a_tampered_entry_is_named(log: Log, whole: bool, change: Callable[[dict[str, Any]], object]) -> None:
    lines = log.export(None if whole else PARTNER)
    number = next(at for at, line in enumerate(lines) if b'"index":7,' in line)
    found = check(changed(lines, number, change), a=OWNER)
    assert (found.valid, found.first_bad) == (False, 7), found.problem
    assert found.problem.startswith("entry 7: ")


def test_a_left_out_entry_is_named(log: Log) -> None:
    lines = log.export()
    number = next(at for at, line in enumerate(lines) if b'"index":7,' in line)
    found = check(lines[:number] + lines[number + 1 :])
    assert (found.valid, found.first_bad) == (False, 7)


@pytest.mark.parametrize("cut", [1, 2, 10, 21])
@pytest.mark.parametrize("whole", [True, False])
def test_a_cut_file_is_found(log: Log, cut: int, whole: bool) -> None:
    lines = log.export(None if whole else PARTNER)
    found = check(lines[: -min(cut, len(lines) - 1)])
    assert not found.valid
    if whole and cut > 1:
        assert found.first_bad == 20 - (cut - 1)


def test_a_part_that_lost_a_line_is_found_by_its_end(log: Log) -> None:
    lines = log.export(PARTNER)
    found = check([*lines[:3], *lines[4:]])
    assert "its end counts others" in found.problem


def test_entries_of_somebody_else_in_a_part_are_found(log: Log) -> None:
    lines = changed(log.export(PARTNER), 0, lambda line: line.update(peer=OTHER.fingerprint))
    assert "not about the partner" in check(lines).problem


@pytest.mark.parametrize(
    ("number", "change", "problem"),
    [
        (0, lambda line: line.update(size=19), "not the one that the log signed"),
        (0, lambda line: line.update(format="x"), "not a comity-audit/1"),
        (0, lambda line: line.update(note=line["note"].replace("20", "21", 1)), "signature"),
        (0, lambda line: line["log_key"].update(payload="e30="), "certificate"),
        (1, lambda line: line.update(root="00" * 32), "another head"),
        (1, lambda line: line.update(size=7), ""),
        (1, lambda line: line.update(root="zz"), "hexadecimal"),
        (-1, lambda line: line.update(entries=3), "counts others"),
        (-1, lambda line: line.update(more=1), "malformed"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_other_changed_lines_are_found(
    log: Log, whole: bool, number: int, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    lines = log.export(None if whole else PARTNER, heads=(6,))
    found = check(changed(lines, number % len(lines), change))
    assert not found.valid
    assert problem in found.problem


def test_more_after_the_end_is_found(log: Log) -> None:
    lines = log.export()
    assert "after its end" in check([*lines, lines[-1]]).problem
    assert "20" in check([*lines[:-1], lines[-2], lines[-1]]).problem


@pytest.mark.parametrize(
    "lines", [[], [b""], [b"{}\n"], [b"\xff\n"], [b"[" * 9999], [b" " * (1 << 20) + b"1"]]
)
def test_what_is_no_export(lines: list[bytes]) -> None:
    found = check(lines)
    assert not found.valid
    assert found.problem


# ── anchors ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_of_somebody_else_is_not_what_was_asked_for(log: Log) -> None:
    found = check(log.export(), a=OTHER)
    assert found.problem == "the log is of another identity than the fingerprints that were given"


def test_a_checkpoint_of_another_log_anchors_nothing(log: Log) -> None:
    other = Log(OTHER, PARTNER)
    found = check(log.export(), other.anchor(10))
    assert not found.valid
    assert found.witnessed_size == 0


def test_a_log_is_no_witness_of_itself(log: Log) -> None:
    with pytest.raises(AuditInvalid, match="own owner"):
        check(log.export(), log.anchor(witness=OWNER))


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(note=file["note"].replace("\n20\n", "\n19\n")),
        lambda file: file.update(note=file["note"].rsplit("\n", 2)[0] + "\n"),
        lambda file: file.update(witness_key=file["log_key"]),
        lambda file: file.update(log_key=file["witness_key"]),
        lambda file: file.update(format="comity-checkpoint/2"),
        lambda file: file.update(more=1),
        lambda file: file.pop("log_key"),
    ],
)
def test_a_forged_checkpoint_is_refused(log: Log, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(log.anchor())
    change(content)
    with pytest.raises(AuditInvalid):
        check(log.export(), json.dumps(content).encode())


# ── agreements ────────────────────────────────────────────────────────────────────────────────────────


async def agreed(partner: Institution, name: str = "lab-b") -> str:
    """The file of an agreement that the log's owner, as lab-a, asked of ``partner``."""
    office = Office(ManualClock())
    owner = Site(office, "lab-a", 0x10, identity=OWNER.identity)
    await agree(owner, Site(office, name, 0x20, identity=partner.identity))
    return (await owner.trust.ending.export(control.ExportRequest(name))).content


@pytest.fixture
async def true_agreement() -> str:
    return await agreed(PARTNER)


@pytest.fixture
async def fabricated() -> str:
    """The operator made a second key, calls it lab-b, and signs both halves."""
    return await agreed(OTHER)


def parties(**given: Institution) -> dict[str, Institution]:
    return {name.replace("_", "-"): party for name, party in given.items()}


ANCHORS = parties(lab_a=OWNER, lab_b=PARTNER)


@pytest.mark.parametrize("part", [True, False])
def test_an_agreement_is_verified_with_both_fingerprints_only(
    log: Log, true_agreement: str, part: bool
) -> None:
    lines = log.export(PARTNER if part else None, heads=(15,), agreements=(true_agreement,))
    for anchors, identities in (
        (ANCHORS, "verified"),
        (parties(lab_a=OWNER), "unverified"),
        ({}, "unverified"),
    ):
        found = check(lines, log.anchor(15), **anchors)
        assert found.valid, found.problem
        [one] = found.agreements
        assert (one.identities, one.parties, one.problem) == (identities, ("lab-a", "lab-b"), "")


def test_a_fabricated_agreement_is_unverified_without_fingerprints(log: Log, fabricated: str) -> None:
    """Nor does the operator's own fingerprint help, nor a checkpoint that the partner really signed."""
    lines = log.export(heads=(15,), agreements=(fabricated,))
    for anchors in ({}, parties(lab_a=OWNER)):
        for checkpoint in (None, log.anchor(15)):
            found = check(lines, checkpoint, **anchors)
            assert [one.identities for one in found.agreements] == ["unverified"]
    assert check(lines).log == "unverified"


@pytest.mark.parametrize("anchors", [ANCHORS, parties(lab_b=PARTNER)], ids=["both", "the partner's"])
@pytest.mark.parametrize("witnessed", [True, False])
@pytest.mark.parametrize("part", [True, False])
def test_a_fabricated_agreement_is_refused_with_the_partners_fingerprint(
    log: Log,
    fabricated: str,
    true_agreement: str,
    anchors: dict[str, Institution],
    witnessed: bool,
    part: bool,
) -> None:
    """Also behind a true one."""
    about = PARTNER if part else None
    lines = log.export(about, heads=(15,), agreements=(true_agreement, fabricated))
    found = check(lines, log.anchor(15) if witnessed else None, **anchors)
    assert (found.valid, found.witnessed_size) == (False, 0)
    true, forged = found.agreements
    assert true.problem == ""
    assert (forged.identities, forged.parties) == ("unverified", ())
    assert forged.problem == "an agreement: lab-b signed with another key than the fingerprint that was given"
    if witnessed or anchors is ANCHORS:
        assert found.problem == forged.problem
    else:
        assert found.problem == "the log is of another identity than the fingerprints that were given"


async def test_a_fabricated_agreement_under_another_name_stays_unverified(log: Log) -> None:
    lines = log.export(agreements=(await agreed(OTHER, "lab-c"),))
    [one] = check(lines, None, **ANCHORS).agreements
    assert (one.identities, one.parties) == ("unverified", ("lab-a", "lab-c"))


# ── redaction ─────────────────────────────────────────────────────────────────────────────────────────


def test_redacted_entries_are_in_neither_export_and_both_hold(log: Log) -> None:
    anchor = log.anchor()
    log.audit.redact([3, 4], "erasure request")
    for lines, erased in ((log.export(), 2), (log.export(PARTNER, heads=(20,)), 1)):
        found = check(lines, anchor)
        assert (found.valid, found.erased, found.witnessed_size) == (True, erased, 20), found.problem
        text = b"".join(lines)
        assert b'"n":2' in text
        assert b'"n":1}' not in b"".join(line for line in lines if b'"index":3,' in line)


def test_an_erasure_that_nobody_recorded_is_found(log: Log) -> None:
    log.db.execute("UPDATE audit_entry SET salt = NULL, body = NULL WHERE idx = 3")
    found = check(log.export(), log.anchor())
    assert (found.valid, found.first_bad) == (False, 3)
