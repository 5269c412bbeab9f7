"""How long a decision takes, and putting it on record; how long proofs out of a million entries take.

    python bench/guard.py [--write] [--entries N]

Decisions: of a charter's policy, for charters of three sizes (the two-lab template, a star of 12 sites, a
star of 60), in processor time, with the policy parsed before, as a node keeps it; and of the rules before
charters. Neither with its record. The audit log: on a file in the temporary folder, synchronous=FULL.
``--write`` puts the table into docs/reference/performance.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from evidence.audit_log import GROUP, Log, Times, fsyncs, shown, timed, times
from performance.page import machine, write_part

from comity.clock import from_rfc3339
from comity.identity.keys import Identity
from comity.policy.charter.editing import read_charter
from comity.policy.charter.evaluate import CedarPolicy
from comity.policy.charter.ruling import Question
from comity.policy.charter.templates import Answers, Name, Signatory, write
from comity.policy.operation import Operation, Standing
from comity.policy.rules import decide

ROUNDS = 2000
BEGIN, END = "2026-12-01T00:00:00Z", "2027-06-01T00:00:00Z"
NOW = from_rfc3339("2027-01-01T00:00:00Z")


def key(number: int) -> str:
    return f"{number:064x}"


def written(template: Name, parties: int) -> bytes:
    named = tuple(Signatory(f"lab-{at}", key(at), f"Hospital {at}", "+1") for at in range(parties))
    answers = Answers("study", "a measurement", "IRB #1", "irb", BEGIN, END, BEGIN, named)
    return write(template, answers).encode()


def questions(policy: CedarPolicy) -> Iterator[Question]:
    used = dict.fromkeys(policy.compiled.limits, 0)
    for at in range(ROUNDS):
        kind = "safetensors" if at % 2 else "pickle"
        yield Question(
            operation="send",
            actor=key(0),
            peer=key(1),
            now=NOW + at,
            digest="sha256:" + "11" * 32,
            signer=key(0),
            format=kind,
            bytes=10**6,
            used=used,
        )


def charters() -> Iterator[str]:
    """A row for each size; what a charter takes to compile, printed."""
    sizes: tuple[tuple[str, Name, int], ...] = (
        ("two labs", "two-lab-study", 2),
        ("12 sites", "multi-site-star", 13),
        ("60 sites", "multi-site-star", 61),
    )
    for label, template, parties in sizes:
        charter = read_charter(written(template, parties))
        began = time.perf_counter()
        policy = CedarPolicy(charter)
        compiled = time.perf_counter() - began
        taken, allowed = [], 0
        for question in questions(policy):
            began = time.thread_time()
            allowed += policy.rule(question).allowed
            taken.append(time.thread_time() - began)
        if allowed != ROUNDS // 2:
            raise SystemExit(f"{allowed} of {ROUNDS} were allowed")
        print(f"{label}: compiled, parsed and validated in {compiled * 1e3:.1f} ms")
        yield times(taken).row(f"decision under a charter of {label}")


def rules() -> Times:
    """The guard's rules before charters."""
    peer = Identity.generate().public
    standing = Standing(agreement="sha256:" + "ab" * 32, status="active", until=2**31, allow=("exchange",))
    operation = Operation(kind="send", peer=peer, service="exchange")
    return timed(lambda: decide(operation, standing, NOW), ROUNDS)


def on_record(folder: Path) -> Iterator[str]:
    """Entries alone, and in groups that share a commit."""
    log = Log(folder)
    yield timed(log.append, 1000).row("one entry, durable (append and commit alone)")
    groups = timed(log.group, 200)
    each = Times(groups.median / GROUP, groups.tail / GROUP, groups.most / GROUP)
    yield each.row(f"one entry of {GROUP} that share a commit, the commit included")
    yield fsyncs(folder, 500).row("for comparison: this disk, 4 KiB and fsync")
    log.db.close()


def proofs(folder: Path, entries: int) -> Iterator[str]:
    """Out of a log of so many entries."""
    log = Log(folder)
    began = time.perf_counter()
    log.grow(entries)
    grown = time.perf_counter() - began
    print(f"{entries} entries written in {grown:.0f} s, {log.path.stat().st_size / 1e6:.0f} MB")
    yield log.proofs(2000).row(f"inclusion of one in {entries:,}, with root and signed head")
    verified = log.verified()
    log.db.close()
    yield f"| whole log of {entries:,} recomputed (`audit verify`) | {verified:.0f} s | | |"
    print(f"{shown(verified / entries)} an entry")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the log that is proved from")
    options = parser.parse_args()
    rows = [*charters(), rules().row("decision before charters")]
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        rows += on_record(Path(small))
        rows += proofs(Path(large), options.entries)
    table = "\n".join(["| what | median | p99 | longest |", "|---|---:|---:|---:|", *rows])
    print(table)
    if options.write:
        write_part("guard", f"{table}\n\n{machine()}.")


if __name__ == "__main__":
    main()
