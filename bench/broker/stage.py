"""A rendezvous and two real daemons with an agreement, for measurements of events; ended by their ids."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from comity.control import InitRequest
from comity.demo.processes import RendezvousProcess
from comity.errors import RateLimited
from comity.sdk import daemon
from comity.sdk.connection import Node, connect
from comity.sdk.home import init

BROKER, READER = "bench-broker", "bench-reader"
ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 120.0


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rendezvous = RendezvousProcess(folder / "rendezvous", os.environ)
        self._homes: list[Path] = []
        self._programs: list[subprocess.Popen[str]] = []
        try:
            self.join = self._rendezvous.join_url()
            for name in (BROKER, READER):
                init(InitRequest(hostname=name, join=self.join), home=folder / name)
                daemon.start(folder / name, listen="127.0.0.1:0" if name == BROKER else None)
                self._homes.append(folder / name)
        except BaseException:
            self.end()
            raise

    def node(self, name: str) -> Node:
        return connect(self.folder / name)

    def agree(self) -> None:
        """The reader asks, the broker approves; returns once both have a session."""
        self.node(READER).handshake(self.node(BROKER).status().card, "measurement")
        until(lambda: len(self.node(BROKER).pending()) == 1)
        self.node(BROKER).approve(READER)
        until(lambda: len(self.node(READER).info().sessions) == 1)

    def ask(self, cards: list[str]) -> None:
        """Let the broker ask all of these; returns once they have approved, and sessions stand."""
        broker = self.node(BROKER)
        for card in cards:  # this way round: requests to one node are taken at a slower rate
            until(partial(_asked, broker, card))
        until(lambda: len(broker.info().sessions) == 1 + len(cards))

    def program(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """One of ours in a process of its own, which ``end`` ends if nothing else has."""
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "bench")])
        program = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._programs.append(program)
        return program

    def end(self) -> None:
        for program in self._programs:
            if program.poll() is None:
                program.kill()
                program.communicate()
        for home in self._homes:
            daemon.stop(home)
        self._rendezvous.end()


def _asked(broker: Node, card: str) -> bool:
    """Whether the rendezvous took the question; it answers a few dozen at once, then one a second."""
    try:
        broker.handshake(card, "measurement")
    except RateLimited:
        time.sleep(1)
        return False
    return True


def until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds()``; SystemExit where that never comes about."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("the nodes did not get ready")
        time.sleep(0.1)
