"""What each path costs: time to first byte and throughput, beside plain streams on the same link, in one run.

    python bench/paths.py             everything, and docs/reference/performance.md is written (as root)
    python bench/paths.py --quick     without delay, once; nothing is written

Two labs behind a NAT and a firewall, in network namespaces (``tests/natlab``), on this machine's processors
all of them. "lane" is what a path itself carries, from memory to nowhere; "send-file" is all of it: reading,
hashing at both ends, writing, fsync and a signed receipt. Throughput counts from the first byte on.
A plain stream of the same kind runs right after each run of a path; the last column compares those pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYTHONPATH = os.pathsep.join(map(str, (ROOT / "src", ROOT / "bench", ROOT)))
sys.path[:0] = PYTHONPATH.split(os.pathsep)
os.environ["PYTHONPATH"] = PYTHONPATH

from ways.shell import PORT, Scp  # noqa: E402  likewise

from tests.natlab.lab import Lab, Line, unavailable  # noqa: E402  the path is set above
from tests.natlab.nodes import World, wait_for, world  # noqa: E402  likewise

PAGE = ROOT / "docs/reference/performance.md"
BEGIN, END = "<!-- begin: paths -->", "<!-- end: paths -->"
STREAM, LISTEN, RELAYS = 5000, 9100, (6000, 6001)
MIB = 1 << 20
MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own in it: disks are not what is measured
SECONDS = 600


@dataclass(frozen=True)
class Link:
    name: str
    line: Line | None
    mebibytes: int


LINKS = (
    Link("no delay", None, 256),
    Link("40 ms", Line(0.02), 256),
    Link("40 ms, 2 % lost", Line(0.02, 0.02), 128),
)


@dataclass
class Row:
    """Runs of one program on one link: seconds to the first byte, and bytes a second from then on."""

    link: str
    name: str
    first: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)  # to a plain stream of its kind, measured beside it
    absent: str = ""

    def add(self, size: int, first: float, seconds: float) -> None:
        self.first.append(first)
        self.rates.append(size / (seconds - first))

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="without delay, once")
    parser.add_argument("--links", nargs="+", choices=[link.name for link in LINKS])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} in any case")
    chosen = parser.parse_args()
    missing = unavailable() or Line.unavailable()
    if missing:
        print(f"not measured: {missing}")
        return
    if MEMORY.is_dir():
        tempfile.tempdir = str(MEMORY)
    if chosen.quick:
        chosen.links, chosen.repeats = [LINKS[0].name], 1
    rows = [
        row
        for link in LINKS
        if not chosen.links or link.name in chosen.links
        for row in measure(link, chosen.repeats)
    ]
    print("\n".join(table(rows)))
    if chosen.write or len(sys.argv) == 1:
        PAGE.write_text(page(PAGE.read_text(), rows, chosen.repeats))
        print(f"\nwritten: {PAGE.relative_to(ROOT)}")


# ── one link ──────────────────────────────────────────────────────────────────────────────────────────


def measure(link: Link, repeats: int) -> Iterator[Row]:
    with Lab("nat", "firewall", line=link.line) as lab:
        for row in plain(lab, link, repeats):
            yield told(row)
        punchless = {"COMITY_PUNCH": "no"}
        for path, settings in (("relay", punchless), ("punched", {}), ("direct", punchless)):
            if path == "direct":
                lab.admit("b", LISTEN)
            flags = ("--listen", f"0.0.0.0:{LISTEN}") if path == "direct" else ()
            with world(lab, a=settings, b=settings, b_flags=flags) as here:
                for row in comity(here, link, path, repeats):
                    yield told(row)


def told(row: Row) -> Row:
    print(f"{row.link}: {row.name}: {row.absent or f'{row.rate / 1e6:.0f} MB/s'}", flush=True)
    return row


def plain(lab: Lab, link: Link, repeats: int) -> Iterator[Row]:
    """What the link carries without Comity, through a firewall that was told to let it in."""
    size, host = link.mebibytes * MIB, lab.plan.inside(2, "firewall").hosts[0]
    for port in (STREAM, PORT):
        lab.admit("b", port)
    tcp, tls = Row(link.name, "raw TCP"), Row(link.name, "raw TLS 1.3")
    blind, copy = Row(link.name, "blind relay, TLS 1.3 through it"), Row(link.name, "scp (aes256-gcm)")
    for _ in range(repeats):
        stream(lab, tcp, size)
        stream(lab, tls, size, "--tls")
        relayed(lab, blind, size)
    yield from (tcp, tls, blind)
    with tempfile.TemporaryDirectory(prefix="comity-bench-") as folder:
        file = Path(folder) / "artifact"
        file.write_bytes(os.urandom(size))
        scp = Scp(lab, Path(folder), host)
        copy.absent = scp.absent
        try:
            for _ in range(0 if scp.absent else repeats):
                copy.rates.append(size / scp.seconds(file))
        finally:
            scp.end()
    yield copy


def stream(lab: Lab, row: Row, size: int, *flags: str) -> None:
    """One run of a plain stream from a to b."""
    host = lab.plan.inside(2, "firewall").hosts[0]
    with ExitStack() as running:
        serve(running, lab, "b", "receive", host, str(STREAM), *flags)
        answer = run(lab, "a", "send", host, str(STREAM), str(size), *flags)
    row.add(size, answer["first_byte"], answer["seconds"])


def relayed(lab: Lab, row: Row, size: int) -> None:
    """One run of a TLS stream through a blind relay where the rendezvous is."""
    host, ports = lab.plan.rendezvous[0], list(map(str, RELAYS))
    with ExitStack() as running:
        relay = serve(running, lab, "public", "relay", host, *ports)
        serve(running, lab, "b", "receive", host, ports[0], "--tls", "--through")
        expect(relay)
        answer = run(lab, "a", "send", host, ports[1], str(size), "--tls")
    row.add(size, answer["first_byte"], answer["seconds"])


def compare(row: Row, lab: Lab, path: str, size: int) -> None:
    """A plain stream of the same kind right after the row's last run, so that a busy minute hits both."""
    beside = Row(row.link, "")
    if path == "relay":
        relayed(lab, beside, size)
    else:
        stream(lab, beside, size, "--tls")
    row.ratios.append(row.rates[-1] / beside.rates[-1])


def comity(here: World, link: Link, path: str, repeats: int) -> Iterator[Row]:
    """One path: files through the daemons, then bytes through the same paths."""
    size = link.mebibytes * MIB
    sending = Row(link.name, f"{path}: send-file")
    wait_for(lambda: here.a.path() == path, f"the session is {path}", 60)
    for _ in range(repeats):
        sent = here.a.send(here.b, here.file(link.mebibytes))  # never the same: what is there stays unsent
        check(path, sent.result.path)
        sending.add(size, sent.first_byte, sent.result.seconds)
        compare(sending, here.lab, path, size)
    yield sending
    here.a.down()
    here.b.down()
    lane = Row(link.name, f"{path}: lane")
    environ = here.b.environ | ({"PIPE_LISTEN": f"0.0.0.0:{LISTEN}"} if path == "direct" else {})
    with ExitStack() as running:
        receiver = begin(here.lab, "b", "ways.pipe", "receive", environ=environ)
        running.callback(end, receiver)
        sender = begin(here.lab, "a", "ways.pipe", "send", here.b.key, environ=here.a.environ)
        running.callback(end, sender)
        for _ in range(repeats):
            answer = json.loads(ask(sender, str(size)))
            check(path, answer["path"])
            lane.add(size, answer["first_byte"], answer["seconds"])
            compare(lane, here.lab, path, size)
    yield lane


def check(wanted: str, taken: str) -> None:
    if wanted != taken:
        sys.exit(f"the bytes took another path than was to be measured: {taken} instead of {wanted}")


# ── programs ──────────────────────────────────────────────────────────────────────────────────────────

Program = subprocess.Popen[bytes]


def begin(
    lab: Lab, place: str, module: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> Program:
    command = lab.inside(place, [sys.executable, "-m", module, *arguments])
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, cwd=ROOT)


def end(program: Program) -> None:
    """Orderly: its standard input ends."""
    try:
        program.communicate(timeout=30)
    finally:
        program.kill()


def serve(running: ExitStack, lab: Lab, place: str, *arguments: str) -> Program:
    program = begin(lab, place, "ways.stream", *arguments)
    running.callback(program.communicate, timeout=SECONDS)
    expect(program)
    return program


def expect(program: Program) -> bytes:
    """The next line that a program says."""
    line = program.stdout.readline() if program.stdout else b""
    if not line:
        sys.exit(f"a program of the bench ended: {program.args!r}")
    return line


def ask(program: Program, line: str) -> bytes:
    """What a program answers to a line."""
    if program.stdin is not None:
        program.stdin.write(line.encode() + b"\n")
        program.stdin.flush()
    return expect(program)


def run(lab: Lab, place: str, *arguments: str) -> dict[str, Any]:
    command = lab.inside(place, [sys.executable, "-m", "ways.stream", *arguments])
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, timeout=SECONDS)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


# ── the page ──────────────────────────────────────────────────────────────────────────────────────────

HEAD = ("program", "first byte after", "MB/s from then on", "of raw TCP", "of the stream beside it")


def table(rows: list[Row]) -> list[str]:
    """One table a link."""
    lines: list[str] = []
    found = {(row.link, row.name): row for row in rows}
    for link in dict.fromkeys(row.link for row in rows):
        lines += ["", f"**{link}**", "", "| " + " | ".join(HEAD) + " |", "|---" + "|---:" * 4 + "|"]
        lines += ["| " + " | ".join(cells(row, found)) + " |" for row in rows if row.link == link]
    return lines[1:]


def cells(row: Row, found: Mapping[tuple[str, str], Row]) -> list[str]:
    if row.absent or not row.rates:
        return [row.name, "", row.absent or "not measured", "", ""]
    raw = found[row.link, "raw TCP"]
    return [
        row.name,
        f"{statistics.median(row.first):.2f} s" if row.first else "",
        f"{row.rate / 1e6:.0f} ({min(row.rates) / 1e6:.0f}–{max(row.rates) / 1e6:.0f})",
        f"{row.rate / raw.rate:.2f}",
        f"{statistics.median(row.ratios):.2f}" if row.ratios else "",
    ]


def page(text: str, rows: list[Row], repeats: int) -> str:
    """The page with its measured part replaced; what people wrote around it stays."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        sys.exit(f"{PAGE.relative_to(ROOT)} has no place for the table: {BEGIN} … {END}")
    control = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    about = (
        f"Medians of {repeats} runs (least–most). {len(os.sched_getaffinity(0))} cores for both labs, both "
        f"boxes and the rendezvous together, {platform.system()} {platform.release()}, Python "
        f"{platform.python_version()}, congestion control: {'bbr' if 'bbr' in control else control[0]}."
    )
    lines = "\n".join(table(rows))
    return f"{before}{BEGIN}\n\n{about}\n\n{lines}\n\n{END}{after}"


if __name__ == "__main__":
    main()
