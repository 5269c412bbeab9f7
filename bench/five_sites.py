"""A round of five sites over a large model: how long it takes, and how much memory the aggregator needs.

    python bench/five_sites.py             a model of 50 MB, and docs/reference/performance.md is written
    python bench/five_sites.py --quick     8 MB; nothing is written

Everything is real: six daemons, a rendezvous, six programs, training on scikit-learn's digits, signed
receipts. Memory is the kernel's high-water mark of the aggregator's two processes, daemon and program, added
up although they need not have been at their highest together, less what both had before the first round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench"), str(ROOT / "examples/five_sites")]

import study  # noqa: E402  the path is set above
from performance.page import machine, write_part  # noqa: E402  likewise
from stage import AGGREGATOR, Stage  # noqa: E402  likewise
from transfers.usage import forget_peak, peak_bytes  # noqa: E402  likewise

ROUNDS = 2
MOST = 3  # models above idle


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="8 MB")
    chosen = parser.parse_args()
    hidden = 1400 if chosen.quick else 3500
    size = sum(tensor.nbytes for tensor in study.untrained(hidden).values())
    with tempfile.TemporaryDirectory(prefix="five-sites-") as folder:
        rounds, above = measure(Path(folder), hidden)
    seconds = [rounds[number]["seconds"] for number in sorted(rounds)]
    sites = [len(rounds[number]["sites"]) for number in sorted(rounds)]
    models = above / size
    text = (
        f"Five sites and an aggregator, six daemons on one machine, a model of {size / 1e6:.0f} MB: rounds of"
        f" {', '.join(f'{each:.1f}' for each in seconds)} s with {', '.join(map(str, sites))} sites, training"
        f" included. The aggregator's memory, daemon and program together, rose by at most"
        f" {above / 1e6:.0f} MB: {models:.1f} models. {machine()}."
    )
    print(text)
    if not chosen.quick:
        write_part("five sites", text)
    if min(sites) < len(study.SITES) or models >= MOST:
        raise SystemExit(f"a site was missing, or the aggregator took {models:.1f} models")


def measure(folder: Path, hidden: int) -> tuple[dict[int, dict[str, Any]], int]:
    """What was said of each round, and how many bytes the aggregator needed above what it had at rest."""
    rounds: dict[int, dict[str, Any]] = {}
    idle: dict[int, int] = {}
    peaks: dict[int, int] = {}
    with Stage(folder) as stage:
        stage.open(study.split(), study.untrained(hidden))
        for site in study.SITES:
            stage.start_site(site)
        aggregator = stage.start_aggregator(
            f"--rounds={ROUNDS}", "--epochs=1", "--deadline=300", "--quorum=5"
        )
        daemon = stage.nodes[AGGREGATOR].pid
        if daemon is None:
            raise SystemExit("the aggregator's daemon has no process")
        for line in aggregator.stdout or ():
            said = json.loads(line)
            if "round" in said:
                rounds[said["round"]] = said
            if said.get("opened") == 1:
                for pid in (daemon, aggregator.pid):
                    forget_peak(pid)
                    idle[pid] = peak_bytes(pid)
            for pid in idle:
                peaks[pid] = max(peaks.get(pid, 0), peak_bytes(pid))
        for name, pid in (("daemon", daemon), ("program", aggregator.pid)):
            print(f"{name}: {idle[pid] / 1e6:.0f} MB at rest, {peaks[pid] / 1e6:.0f} MB at most")
    return rounds, sum(peaks.values()) - sum(idle.values())


if __name__ == "__main__":
    main()
