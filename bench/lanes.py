"""Whether several connections carry more over a long line than one: plain TLS streams, 1, 2 and 4 at once.

    python bench/lanes.py             as root; prints a table, writes nothing
    python bench/lanes.py --repeats 1

The answer decides whether a transfer opens more lanes than one (docs: decisions, "several lanes"). The line
is ``tests/natlab``'s, a program in between that holds each packet for its delay: it has a bound of its own,
which "no delay" is not a measure of. All streams together move the same number of bytes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paths

from tests.natlab.lab import Lab, Line, unavailable

SIZE = 192 * paths.MIB
LINES = (
    ("20 ms", Line(0.01)),
    ("40 ms", Line(0.02)),
    ("80 ms", Line(0.04)),
    ("40 ms, 2 % lost", Line(0.02, 0.02)),
)
STREAMS = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    missing = unavailable() or Line.unavailable()
    if missing:
        print(f"not measured: {missing}")
        return
    print("| round trip | " + " | ".join(f"{count} at once" for count in STREAMS) + " |")
    print("|---" + "|---:" * len(STREAMS) + "|")
    for name, line in LINES:
        rates: dict[int, list[float]] = {count: [] for count in STREAMS}
        with Lab("nat", "firewall", line=line) as lab:
            for number in range(max(STREAMS)):
                lab.admit("b", paths.STREAM + number)
            for _ in range(repeats):
                for count in STREAMS:
                    rates[count].append(SIZE / together(lab, count) / 1e6)
        cells = (
            f"{statistics.median(found):.0f} ({min(found):.0f}–{max(found):.0f})" for found in rates.values()
        )
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def together(lab: Lab, count: int) -> float:
    """Seconds from the first byte on until the slowest of ``count`` streams has moved its share."""
    host = lab.plan.inside(2, "firewall").hosts[0]
    with ExitStack() as running:
        senders: list[subprocess.Popen[bytes]] = []
        ports = [str(paths.STREAM + number) for number in range(count)]
        for port in ports:
            paths.serve(running, lab, "b", "receive", host, port, "--tls")
        for port in ports:
            words = ("send", host, port, str(SIZE // count), "--tls")
            senders.append(paths.begin(lab, "a", "ways.stream", *words))
        answers = [json.loads(sender.communicate(timeout=paths.SECONDS)[0]) for sender in senders]
        return float(max(answer["seconds"] - answer["first_byte"] for answer in answers))


if __name__ == "__main__":
    main()
