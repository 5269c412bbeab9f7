"""10,000 registered nodes online at one rendezvous: what that takes, how soon it answers, and what it does at
its limits.

    python bench/rendezvous.py                 docs/reference/performance.md is written; it takes 14,200 open
                                               files a process (ulimit -n)
    python bench/rendezvous.py --nodes 500     fewer; nothing is written

Server, TLS (1.3, mutual, X25519MLKEM768), database and disk are real; the nodes are the project's own client
layers without daemons around them, in two processes: a crowd that keeps its connections up, each with a
heartbeat every 5 s, and 200 nodes that ask. These look up random ones of all the names 100 times a second,
and post letters as long as a sealed trust request to each other 20 times a second; a letter counts from its
post until the recipient has it, on the server's disk in between. What a node may ask is limited as shipped.
All processes share the machine.

Beside it, with as many connections, heartbeats and questions from the same processes: a server that echoes
over this project's channel and does nothing else, and one over the standard library's asyncio and ssl (TLS
1.3 without certificates of callers and without the post-quantum group).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "bench")])

from crowd.files import raise_files  # noqa: E402  the path is set above
from crowd.stage import Echo, Program, Server  # noqa: E402  likewise
from performance.page import machine, write_part  # noqa: E402  likewise

from comity.rendezvous.hatch import ask  # noqa: E402  likewise
from comity.rendezvous.state import hatch_of  # noqa: E402  likewise

NODES = 10_000
MEMORY_MOST = 1.5e9
ANSWER_MOST = 50.0  # milliseconds, p99
ASKING = 200  # of the nodes
_QUESTIONS, _REQUESTS = 100, 20  # a second
_AT_ONCE = 64  # that connect
_SETTLE = 5.0
_MOST_SECONDS = 600
_SPARE_FILES = 4200  # the server keeps them for the relay, and for itself
_FEW_FILES = 600
_FEW_NODES = 700


@dataclass(frozen=True)
class Held:
    """A server with all of them connected. ``cpu``: processors that it kept busy while it was asked."""

    server: str
    connections: int
    a_second: float
    empty: int
    full: int
    peak: int
    cpu: float
    answers: dict[str, Any]
    requests: dict[str, Any]

    def row(self) -> str:
        each = (self.full - self.empty) / self.connections / 1e3
        return (
            f"| {self.server} | {self.connections} | {self.a_second:.0f} | {self.full / 1e6:.0f} MB "
            f"(at most {self.peak / 1e6:.0f}) | {each:.0f} KB "
            f"| {_times(self.answers)} | {_times(self.requests)} | {self.cpu:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--seconds", type=int, default=30, help="for which each server is asked")
    chosen = parser.parse_args()
    nodes = max(chosen.nodes, 2 * ASKING)
    for number in (signal.SIGALRM, signal.SIGTERM):  # whoever ends this ends all that it started
        signal.signal(number, _ended)
    signal.alarm(_MOST_SECONDS)
    raise_files(nodes + _SPARE_FILES)  # here, so that this says what is missing; the processes inherit it
    with tempfile.TemporaryDirectory(prefix="bench-rendezvous-") as folder:
        rendezvous, at_limits = measure_rendezvous(Path(folder), nodes, chosen.seconds)
        few = measure_few_files(Path(folder))
        floors = [
            measure(Echo(Path(folder) / kind, kind), caller, name, nodes, chosen.seconds // 2)
            for kind, caller, name in (
                ("channel", "framed", "echo over Comity's channel"),
                ("asyncio", "plain", "echo over asyncio and ssl"),
            )
        ]
    text = (
        "| server | connections | new ones/s | memory | for each | answer: median, p99, longest "
        "| trust request delivered: the same | processors |\n|---|---:|---:|---:|---:|---|---|---:|\n"
        + "\n".join(each.row() for each in (rendezvous, *floors))
        + f"\n\n{at_limits} {few}\n\n{machine()}."
    )
    print(text)
    if chosen.nodes == NODES:
        write_part("rendezvous", text)
    if rendezvous.peak > MEMORY_MOST:
        raise SystemExit(f"more than {MEMORY_MOST / 1e9} GB")
    if rendezvous.answers["p99"] > ANSWER_MOST:
        raise SystemExit(f"p99 of an answer is over {ANSWER_MOST:.0f} ms")


def measure(server: Server | Echo, kind: str, name: str, nodes: int, seconds: int) -> Held:
    with ExitStack() as stack:
        stack.callback(server.end)
        return _filled(stack, server, kind, name, nodes, seconds)[0]


def measure_rendezvous(folder: Path, nodes: int, seconds: int) -> tuple[Held, str]:
    """And what becomes of one node more: where the network is full, and where the system has no file left."""
    with ExitStack() as stack:
        server = Server(folder / "rendezvous")
        stack.callback(server.end)
        held, asking = _filled(stack, server, "node", "rendezvous", nodes, seconds)
        one_more: dict[str, Any] = {"do": "come", "first": nodes, "count": 1, "at_once": 1}
        with hatch_of(server.state) as hatch:
            ask(hatch, "network-change", {"network": "1", "max_nodes": nodes})
            full = _refusal(asking.ask(**one_more))
            ask(hatch, "network-change", {"network": "1", "max_nodes": nodes + 100})
        time.sleep(1)  # whoever was refused is gone
        server.allow_files(0)
        outside = Program("crowd.nodes", "node", server.join)
        stack.callback(outside.end)
        without = _refusal(outside.ask(**one_more))
        during = asking.ask(do="measure", seconds=5, names=nodes, questions=_QUESTIONS, requests=0)
        server.allow_files(1000)
        after = "comes in" if outside.ask(**one_more)["came"] else "does NOT come in"
        return held, (
            f"At the limits: node {nodes + 1} of a network of {nodes} is refused (`{full}`). Where the "
            "system has no file left for the server, a newcomer waits outside until it gives up "
            f"(`{without}`), the log says `out_of_descriptors`, and those who are online go on being "
            f"answered ({_times(during['questions'])}); once there are files again, it {after}."
        )


def measure_few_files(folder: Path) -> str:
    """A server that the system allows few files."""
    with ExitStack() as stack:
        server = Server(folder / "few", files=_FEW_FILES)
        stack.callback(server.end)
        crowd = Program("crowd.nodes", "node", server.join)
        stack.callback(crowd.end)
        came = crowd.ask(do="come", first=0, count=_FEW_NODES, at_once=_AT_ONCE)
        answers = crowd.ask(do="measure", seconds=3, names=came["came"] // 2, questions=50, requests=0)
        online = crowd.ask(do="state")["online"]
        return (
            f"With `ulimit -n {_FEW_FILES}`, {came['came']} of {_FEW_NODES} nodes come in, {online} of them "
            f"are online afterwards, and the others are turned away at once (`{_refusal(came)}`; the log "
            f"says `too_many_connections`); p99 of an answer {answers['questions']['p99']:.1f} ms."
        )


def _filled(
    stack: ExitStack, server: Server | Echo, kind: str, name: str, nodes: int, seconds: int
) -> tuple[Held, Program]:
    """Everybody is connected and stays; the program of those who ask."""
    empty, _ = server.memory()
    crowd = Program("crowd.nodes", kind, server.join)
    stack.callback(crowd.end)
    asking = Program("crowd.nodes", kind, server.join)
    stack.callback(asking.end)
    came = crowd.ask(do="come", first=ASKING, count=nodes - ASKING, at_once=_AT_ONCE)
    asked = asking.ask(do="come", first=0, count=ASKING, at_once=_AT_ONCE)
    if came["refused"] or asked["refused"]:
        raise SystemExit(f"{name}: {came['refused'] or asked['refused']}")
    time.sleep(_SETTLE)
    before, began = server.cpu(), time.monotonic()
    requests = _REQUESTS if kind == "node" else 0
    found = asking.ask(do="measure", seconds=seconds, names=nodes, questions=_QUESTIONS, requests=requests)
    cpu = (server.cpu() - before) / (time.monotonic() - began)
    full, peak = server.memory()
    for each in (crowd, asking):
        if ended := each.ask(do="state")["ended"]:
            raise SystemExit(f"{name}: connections ended: {ended}")
    if found["failed"]:
        raise SystemExit(f"{name}: {found['failed']}")
    a_second = (nodes - ASKING) / came["seconds"]
    held = Held(name, nodes, a_second, empty, full, peak, cpu, found["questions"], found["requests"])
    print(held.row(), flush=True)
    return held, asking


def _ended(number: int, _: object) -> None:
    raise SystemExit(f"ended by {signal.Signals(number).name}; it has {_MOST_SECONDS} s")


def _refusal(came: dict[str, Any]) -> str:
    return ", ".join(came["refused"]) or "NOT refused"


def _times(found: dict[str, Any]) -> str:
    return f"{found['median']:.1f}, {found['p99']:.1f}, {found['most']:.1f} ms" if found["count"] else ""


if __name__ == "__main__":
    main()
