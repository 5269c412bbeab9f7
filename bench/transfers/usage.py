"""What processes cost: CPU seconds and peak memory of whole families of processes, from /proc."""

from __future__ import annotations

import os
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Of a process and of those children that it has waited for; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def forget_peak(pid: int) -> None:
    """Let the kernel count a process's peak memory from now on."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class Watch:
    """While it is open, looks every 50 ms at the roots' families; ``peak`` is the largest single process."""

    def __init__(self, roots: dict[str, int]) -> None:
        self._roots = roots
        self._before = {name: cpu_seconds(pid) for name, pid in roots.items()}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak: dict[str, int] = dict.fromkeys(roots, 0)
        self.cpu = 0.0

    def __enter__(self) -> Watch:
        for pid in self._roots.values():
            forget_peak(pid)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._sample()
        self.cpu = sum(cpu_seconds(pid) - self._before[name] for name, pid in self._roots.items())

    def _look(self) -> None:
        while not self._stopped.wait(0.05):
            self._sample()

    def _sample(self) -> None:
        for name, root in self._roots.items():
            self.peak[name] = max(self.peak[name], *(peak_bytes(pid) for pid in family(root)))


def family(root: int) -> list[int]:
    """A process and its descendants."""
    found = [root]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found
