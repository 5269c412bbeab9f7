"""Peak memory of both daemons while a file moves that is far larger than memory: mostly holes, some data.

    python bench/memory.py                 20 GB, of which every 500th MiB is random
    python bench/memory.py --gigabytes 2 --folder /var/tmp

It fails where a daemon needs more than 150 MB, or the file arrives otherwise than it was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "bench")])

from transfers.rivals import measured  # noqa: E402  the path is set above
from transfers.stage import RECEIVERS, SENDER, Nodes  # noqa: E402  likewise

MIB = 2**20
MOST = 150_000_000
DATA_EVERY = 500 * MIB


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=int, default=20)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="comity-memory-", dir=chosen.folder))
    nodes = None
    try:
        nodes = Nodes(folder)
        file = folder / "sparse"
        make(file, chosen.gigabytes * 10**9)
        receiver = RECEIVERS["direct"]
        command, environment = nodes.send_command(receiver, file)
        roots = {"sender": nodes.pids[SENDER], "receiver": nodes.pids[receiver]}
        run = measured(command, roots, environment)
        (arrived,) = (nodes.folder / receiver / "received").glob("*/sparse")
        check(file, arrived)
    finally:
        if nodes is not None:
            nodes.end()
        shutil.rmtree(folder, ignore_errors=True)
    peaks = ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in run.peak.items())
    print(f"{chosen.gigabytes} GB in {run.seconds:.0f} s, {run.cpu:.0f} CPU seconds; peak memory: {peaks}")
    if max(run.peak[name] for name in roots) > MOST:
        sys.exit(f"more than {MOST / 1e6:.0f} MB")


def make(file: Path, size: int) -> None:
    with file.open("wb") as out:
        out.truncate(size)
        for at in range(0, size - MIB, DATA_EVERY):
            out.seek(at + 12_345)
            out.write(os.urandom(MIB))


def check(file: Path, arrived: Path) -> None:
    """Data where it was, of the same length, and holes left holes."""
    if (size := file.stat().st_size) != arrived.stat().st_size:
        sys.exit("another length arrived")
    with file.open("rb") as one, arrived.open("rb") as other:
        for at in range(0, size - MIB, DATA_EVERY):
            for each in (one, other):
                each.seek(at)
            if one.read(2 * MIB) != other.read(2 * MIB):
                sys.exit(f"what arrived differs near {at}")
    if arrived.stat().st_blocks * 512 > size // 10:
        sys.exit("the holes were filled")


if __name__ == "__main__":
    main()
