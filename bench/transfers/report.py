"""The table, and the page of the documentation that holds it between two marks."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from transfers.rivals import Run

BEGIN, END = "<!-- measured: bench/transfer.py writes this -->", "<!-- end of what was measured -->"
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


def page(path: Path, rows: list[Row], repeats: int, machine: str) -> str:
    """The page with its measured part replaced; what people wrote around it stays."""
    before, _, rest = path.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    about = f"Medians of {repeats} runs in turn (least–most). {machine}."
    return f"{before}{BEGIN}\n\n{about}\n\n{table(rows)}\n\n{END}{after}"
