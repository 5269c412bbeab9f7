"""The study of ``examples/five_sites``, played by real processes: with everybody, and with a power cut."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = ROOT / "examples/five_sites/run.py"


def played(*options: str) -> list[str]:
    """What is told of the study; it ended well."""
    ran = subprocess.run([sys.executable, str(RUN), *options], capture_output=True, text=True, timeout=280)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout.splitlines()


@pytest.mark.timeout(300)
def test_five_sites_with_a_power_cut_at_one_of_them() -> None:
    told = played("--rounds=4", "--deadline=20", "--lose=site-4@2-3")
    assert sum(line.startswith("approved site-") for line in told) == 5
    closed = [line for line in told if line.startswith("  closed after")]
    assert len(closed) == 4
    assert "site-4" in closed[1]
    assert "site-4" not in closed[3]
    alone = [float(found[1]) for line in told if (found := re.match(r"site-\d alone: ([\d.]+)", line))]
    assert len(alone) == 5
    together = float(told[-1].removeprefix("together: "))
    assert together > max(alone) + 0.1
