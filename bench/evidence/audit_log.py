"""What ``bench/guard`` measures of the audit log, on a real file with synchronous=FULL.

An entry alone waits for the disk; entries of one transaction share that wait, as a decision does with what it
decided about. Both are measured, and beside them what this disk takes for one small fsync.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comity.audit import merkle
from comity.clock import SystemClock
from comity.control import AuditProveRequest
from comity.entropy import SystemEntropy
from comity.identity.keys import Identity
from comity.services.audit import AuditService
from comity.services.audit.checking import Wanted, check
from comity.services.audit.reading import prove
from comity.storage.audit import AuditReader
from comity.storage.database import Database
from comity.storage.logkey import AuditKey
from comity.storage.readonly import ReadOnly
from comity.storage.schema import open_node_database

GROUP = 64
BULK = 5000


@dataclass(frozen=True)
class Times:
    """Seconds: median, 99th percentile, the longest."""

    median: float
    tail: float
    most: float

    def row(self, what: str) -> str:
        return f"| {what} | {shown(self.median)} | {shown(self.tail)} | {shown(self.most)} |"


def shown(seconds: float) -> str:
    """Milliseconds, or microseconds below a tenth of one."""
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-4 else f"{seconds * 1e3:.2f} ms"


def timed(job: Callable[[], object], rounds: int) -> Times:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        job()
        taken.append(time.perf_counter() - began)
    return times(taken)


def times(taken: list[float]) -> Times:
    taken.sort()
    return Times(statistics.median(taken), taken[int(len(taken) * 0.99)], taken[-1])


class Log:
    """A log in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.owner, self.peer = Identity.generate().public, Identity.generate().public
        self.key = AuditKey.generate(self.owner)
        self.path = folder / "node.db"
        self.db: Database = open_node_database(self.path)
        self.audit = AuditService(self.db, self.key, SystemClock(), SystemEntropy())

    def append(self) -> None:
        """A decision as the guard records one."""
        self.audit.append(
            "decision",
            peer=self.peer,
            operation="send",
            decision="allow",
            reasons=("an agreement until 2027-11-21T05:18:00Z allows exchange",),
            service="exchange",
            agreement="sha256:" + "ab" * 32,
            name="model.safetensors",
            bytes=142_000_000,
        )

    def group(self) -> None:
        with self.db.transaction():
            for _ in range(GROUP):
                self.append()

    def grow(self, size: int) -> None:
        """To ``size`` entries, as fast as it goes."""
        while (left := size - self.audit.size) > 0:
            with self.db.transaction():
                for _ in range(min(left, BULK)):
                    self.append()

    def proofs(self, rounds: int) -> Times:
        """Inclusion proofs of random entries, each with the root and the signed head that it leads to."""
        size, taken = self.audit.size, []
        for _ in range(rounds):
            index = random.randrange(size)
            began = time.perf_counter()
            proof = prove(self.audit.reader, self.key, AuditProveRequest(index=index))
            taken.append(time.perf_counter() - began)
            path = [bytes.fromhex(value) for value in proof.proof]
            merkle.verify_inclusion(bytes.fromhex(proof.leaf), index, size, bytes.fromhex(proof.root), path)
        return times(taken)

    def verified(self) -> float:
        """Seconds for the whole log, by a second connection, as the daemon's thread does it."""
        began = time.perf_counter()
        with ReadOnly(str(self.path)) as db:
            found = check(AuditReader(db), self.key, Wanted())
        if not found.log.valid:
            raise SystemExit(f"the log does not verify: {found.log.problem}")
        return time.perf_counter() - began


def fsyncs(folder: Path, rounds: int) -> Times:
    """What the disk takes to make 4 KiB at a file's end durable."""
    with (folder / "fsync").open("wb", buffering=0) as file:

        def once() -> None:
            file.write(bytes(4096))
            os.fsync(file.fileno())

        return timed(once, rounds)
