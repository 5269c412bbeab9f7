"""The table, and the page of the documentation that holds it between two marks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from transfers.rivals import Run

#: Place, size, whom to compare with, and how many times as fast.
AIMS = (
    ("tmpfs", "1GiB", "ceiling", 0.85),
    ("tmpfs", "1GiB", "scp, aes256-gcm", 1.2),
    ("tmpfs", "10,000 × 4 KiB", "rsync over ssh", 1.0),
    ("disk", "10,000 × 4 KiB", "rsync over ssh, --fsync", 1.0),
)
_PAGE = Path(__file__).with_name("page.md")
HEAD = ("place", "size", "program", "seconds", "MB/s", "of the ceiling", "CPU s per GB", "peak memory, MB")


@dataclass(frozen=True)
class Row:
    place: str
    size: str
    bytes: int
    name: str
    absent: str
    seconds: tuple[float, ...]
    cpu: float
    peak: dict[str, int]

    @classmethod
    def of(cls, place: str, size: str, count: int, name: str, absent: str, runs: list[Run]) -> Row:
        cpu = statistics.median(run.cpu for run in runs) if runs else 0.0
        peak: dict[str, int] = {}
        for run in runs:
            for process, value in run.peak.items():
                peak[process] = max(peak.get(process, 0), value)
        return cls(place, size, count, name, absent, tuple(run.seconds for run in runs), cpu, peak)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def table(rows: list[Row]) -> str:
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    ceilings = {(row.place, row.size): row.median for row in rows if row.name == "ceiling" and row.seconds}
    for row in rows:
        lines.append("| " + " | ".join(_cells(row, ceilings.get((row.place, row.size)))) + " |")
    return "\n".join(lines)


def _cells(row: Row, ceiling: float | None) -> list[str]:
    if not row.seconds:
        return [row.place, row.size, row.name, row.absent or "not measured", "", "", "", ""]
    spread = f"{row.median:.2f} ({min(row.seconds):.2f}–{max(row.seconds):.2f})"
    return [
        row.place,
        row.size,
        row.name,
        spread,
        f"{row.bytes / 1e6 / row.median:.0f}",
        f"{ceiling / row.median:.2f}" if ceiling else "",
        f"{row.cpu / (row.bytes / 1e9):.2f}",
        ", ".join(f"{name} {value / 1e6:.0f}" for name, value in row.peak.items()),
    ]


def page(rows: list[Row], repeats: int, machine: str) -> str:
    """What stands between the marks of ``transfers`` in docs/reference/performance.md."""
    return _PAGE.read_text().format(
        repeats=repeats, machine=machine, goals="\n".join(goals(rows)), table=table(rows)
    )


def goals(rows: list[Row]) -> list[str]:
    """What was aimed at, and what came out, of those that were measured."""
    median = {(row.place, row.size, row.name): row.median for row in rows if row.seconds}
    found = ["| aim | measured |", "|---|---|"]
    for place, size, other, aim in AIMS:
        mine, theirs = median.get((place, size, "comity, direct")), median.get((place, size, other))
        if mine and theirs:
            found.append(f"| {size} on {place}: {aim:g} × {other} | {theirs / mine:.2f} × |")
    mine = median.get(("tmpfs", "142MB", "comity, direct"))
    if mine:
        found.append(f"| 142MB on tmpfs, command to receipt: 8 × 28 MB/s | {142 / mine / 28:.1f} × |")
    return found
