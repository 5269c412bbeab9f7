"""How long one decision of a charter's policy takes, and how long a charter takes to compile.

Charters of three sizes: the two-lab template, a star of 12 sites, a star of 60. Decisions are of one question
each, in processor time, with the policy parsed before, as a node keeps it. Databases and the audit log are
not in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from comity.clock import from_rfc3339
from comity.policy.charter.editing import read_charter
from comity.policy.charter.evaluate import CedarPolicy
from comity.policy.charter.ruling import Question
from comity.policy.charter.templates import Answers, Name, Signatory, write

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


def main() -> None:
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
        taken.sort()
        median, tail = statistics.median(taken) * 1e6, taken[int(ROUNDS * 0.99)] * 1e6
        print(f"{label}: decision {median:.0f} µs median, {tail:.0f} µs p99")
        print(f"{label}: compiled, parsed and validated in {compiled * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
