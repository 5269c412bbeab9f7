"""How many events go through: one process to one subscriber, and one process to fifty identities.

    python bench/events.py             docs/reference/performance.md is written
    python bench/events.py --quick     fewer; nothing is written

Daemons, rendezvous, tunnel (TLS 1.3, X25519MLKEM768) and disks are real. An event has 100 bytes of data. What
is published counts from the first call until everything is on the broker's disk; what is read, until the
reader has handled it and the broker has the acknowledgement on disk. Every reader checks that nothing is
missing and nothing out of order. The subscriber listens while the publisher publishes, so both share the
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "bench")])

from broker.stage import BROKER, READER, Stage  # noqa: E402  the path is set above
from performance.page import machine, write_part  # noqa: E402  likewise

LEAST = 5000  # events per second, to one subscriber
_BYTES = 100


@dataclass(frozen=True)
class Rates:
    """Events per second."""

    published: float
    read: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer events, to fewer identities")
    chosen = parser.parse_args()
    events, identities, each = (20_000, 10, 1000) if chosen.quick else (100_000, 50, 1000)
    with tempfile.TemporaryDirectory(prefix="bench-events-") as folder:
        stage = Stage(Path(folder))
        try:
            stage.agree()
            one_by_one = publish_alone(stage, 300)
            rates = to_one(stage, events)
            published, last = to_many(stage, identities, each)
        finally:
            stage.end()
    text = (
        "| | events | to | published, events/s | read and acknowledged, events/s |\n|---|---|---|---|---|\n"
        f"| `node.publisher()` | {events} | 1 | {rates.published:.0f} | {rates.read:.0f} |\n"
        f"| `node.publisher()` | {each} | {identities} | {each / published:.0f} |"
        f" {each * identities / last:.0f} (all of them {last:.1f} s after the first was published) |\n"
        f"| `node.publish()`, each on disk before the next | 300 | 1 | {one_by_one:.0f} | |\n\n"
        f"{machine()}."
    )
    print(text)
    if not chosen.quick:
        write_part("events", text)
    if rates.read < LEAST:
        raise SystemExit(f"fewer than {LEAST} events per second")


def publish_alone(stage: Stage, count: int) -> float:
    """Events per second where each is on disk before the next one is published."""
    with stage.node(BROKER) as node:
        began = time.perf_counter()
        for number in range(count):
            node.publish("bench/alone", _data(number))
        return count / (time.perf_counter() - began)


def to_one(stage: Stage, count: int) -> Rates:
    reader = stage.program("broker.subscriber", str(stage.folder / READER), "bench/one", str(count))
    _expect(reader, "listening")
    began = time.time()
    publish(stage, "bench/one", count)
    published = time.time() - began
    noted = json.loads(_ended(reader))["noted"]
    return Rates(count / published, count / (noted - began))


def to_many(stage: Stage, identities: int, count: int) -> tuple[float, float]:
    """Seconds until all are published, and until the last identity has all of them."""
    readers = stage.program("broker.readers", str(stage.folder), stage.join, str(identities), str(count))
    stage.ask(json.loads(_line(readers)))
    _expect(readers, "trusted")
    time.sleep(2)  # their subscriptions stand
    began = time.time()
    publish(stage, "bench/many", count)
    published = time.time() - began
    return published, json.loads(_ended(readers))["last"] - began


def publish(stage: Stage, topic: str, count: int) -> None:
    with stage.node(BROKER) as node, node.publisher() as publisher:
        for number in range(count):
            publisher.publish(topic, _data(number))


def _data(number: int) -> str:
    return f"{number:08d}".ljust(_BYTES, ".")


def _expect(program: subprocess.Popen[str], word: str) -> None:
    if (line := _line(program)) != word:
        raise SystemExit(f"{word} was to be said, and {line or 'nothing'} was")


def _line(program: subprocess.Popen[str]) -> str:
    return program.stdout.readline().strip() if program.stdout else ""


def _ended(program: subprocess.Popen[str]) -> str:
    out, _ = program.communicate(timeout=300)
    if program.returncode != 0:
        raise SystemExit("a reader failed")
    return out


if __name__ == "__main__":
    main()
