"""How fast artifacts travel, beside other programs, in one run on one machine: medians, memory, CPU.

    python bench/transfer.py             everything, and its part of docs/reference/performance.md is written
    python bench/transfer.py --quick     142 MB and the folder on tmpfs, three times; nothing is written
    python bench/transfer.py --sizes 1GiB --places tmpfs --repeats 5

Everything is measured as processes: from a command's start to its end. Contents are random and never the same
twice. What Comity delivers is verified, fsynced and signed for; of the others only the ceiling and rsync
fsync.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # programs are measured as they are installed: compiled
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "bench")])

from performance.page import machine, write_part  # noqa: E402  the path is set above
from transfers.report import Row, page, table  # noqa: E402  the path is set above
from transfers.rivals import Ceiling, Comity, Cp, Rival, Rsync, Run, Scp, Ssh, remove  # noqa: E402  likewise
from transfers.stage import Nodes  # noqa: E402  likewise
from transfers.wormhole import Named, Wormhole  # noqa: E402  likewise

FILES = 10_000
FILE_BYTES = 4096
FOLDER = "10,000 × 4 KiB"
SIZES = {"1MB": 10**6, "142MB": 142 * 10**6, "1GiB": 2**30, FOLDER: FILES * FILE_BYTES}
PLACES = {"tmpfs": "/dev/shm", "disk": tempfile.gettempdir()}  # noqa: S108  a benchmark's own folder in it
STAMP_EVERY = 2**19


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="142 MB and the folder on tmpfs, three times")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--places", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rivals whose name begins so")
    parser.add_argument("--write", action="store_true", help="write the page in any case")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))  # so that what was started is ended
    if chosen.quick:
        chosen.sizes, chosen.places, chosen.repeats = ["142MB", FOLDER], ["tmpfs"], 3
    rows = [row for place in chosen.places for row in run_place(place, chosen)]
    print(table(rows))
    if chosen.write or len(sys.argv) == 1:
        write_part("transfers", page(rows, chosen.repeats, machine()).strip())


def run_place(place: str, chosen: argparse.Namespace) -> Iterator[Row]:
    if not os.path.isdir(PLACES[place]):
        print(f"{place}: {PLACES[place]} is not there")
        return
    with stage(Path(PLACES[place])) as (folder, rivals):
        target = folder / "target"
        target.mkdir()
        for number, size in enumerate(chosen.sizes):
            file = folder / f"artifact{number}"  # a name that was sent before would be a second version
            if size == FOLDER:
                make_folder(file)
            else:
                make(file, SIZES[size])
            runs: dict[str, list[Run]] = {}
            wanted = [r for r in rivals if not chosen.only or r.name.startswith(tuple(chosen.only))]
            for _ in range(chosen.repeats):  # in turn, so that a busy minute hits all of them
                for rival in wanted:
                    if not rival.why_not(file):
                        file = renewed(file)
                        runs.setdefault(rival.name, []).append(rival.move(file, target))
            for rival in wanted:
                why_not = rival.why_not(file)
                row = Row.of(place, size, SIZES[size], rival.name, why_not, runs.get(rival.name, []))
                print(table([row]).splitlines()[-1], flush=True)
                yield row
            remove(file)


@contextmanager
def stage(place: Path) -> Iterator[tuple[Path, list[Rival]]]:
    folder = Path(tempfile.mkdtemp(prefix="comity-bench-", dir=place))
    nodes = Nodes(folder)
    ssh = Ssh(folder / "ssh")
    wormhole = Wormhole(folder / "wormhole")
    rivals: list[Rival] = [
        Comity(nodes, "direct"),
        Comity(nodes, "relay"),
        Ceiling(raw=True),
        Ceiling(raw=False),
        Scp(ssh),
        Rsync(ssh, sync=False),
        Rsync(ssh, sync=True),
        Cp(),
        wormhole,
        Named("croc", "croc"),
        Named("Pilot 1.18, pilotctl", "pilotctl"),
    ]
    try:
        yield folder, rivals
    finally:
        ssh.end()
        wormhole.end()
        nodes.end()
        shutil.rmtree(folder, ignore_errors=True)


def make(file: Path, size: int) -> None:
    block = os.urandom(2**22)
    with file.open("wb") as out:
        for at in range(0, size, len(block)):
            out.write(block[: min(len(block), size - at)])


def make_folder(folder: Path) -> None:
    for number in range(FILES):
        file = folder / f"{number // 100:03}" / f"{number:05}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(FILE_BYTES))


def renewed(artifact: Path) -> Path:
    """The same sizes under a new name, and every chunk another one than before: nobody has any of it."""
    stem, _, number = artifact.name.partition("-")
    fresh = artifact.with_name(f"{stem}-{int(number or 0) + 1}")
    artifact.rename(fresh)
    files = (path for path in fresh.rglob("*") if path.is_file()) if fresh.is_dir() else (fresh,)
    for file in files:
        stamp(file)
    os.sync()
    return fresh


def stamp(file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY)
    for at in range(0, os.fstat(descriptor).st_size - 16, STAMP_EVERY):
        os.pwrite(descriptor, os.urandom(16), at)
    os.close(descriptor)


if __name__ == "__main__":
    main()
