"""Real daemons for the benchmark: a rendezvous, a sender, and two receivers, one of which listens.

Everything lies in one folder and ends with it. Uses the demo's stage, which ends its processes by their ids.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from comity.demo.processes import RendezvousProcess, end_daemon

#: Path name → the receiver that is reached by it.
RECEIVERS = {"direct": "bench-direct", "relay": "bench-relay"}
SENDER = "bench-sender"


class Nodes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("COMITY_")}
        self._environment["XDG_RUNTIME_DIR"] = str(runtime)
        self.rendezvous = RendezvousProcess(folder / "rendezvous", self._environment)
        self.pids: dict[str, int] = {}
        try:
            url = self.rendezvous.join_url()
            for name in (SENDER, *RECEIVERS.values()):
                self._start(name, url)
            for name in RECEIVERS.values():
                self._agree(name)
        except BaseException:
            self.end()
            raise

    def comity(self, name: str, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "comity", *words, "--json"],
            env=self._environment | {"COMITY_HOME": str(self.folder / name)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            raise SystemExit(f"comity {' '.join(words)}: {done.stdout}{done.stderr}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def send_command(self, receiver: str, path: Path) -> tuple[list[str], dict[str, str]]:
        command = [sys.executable, "-m", "comity", "send-file", receiver, str(path), "--json"]
        return command, self._environment | {"COMITY_HOME": str(self.folder / SENDER)}

    def end(self) -> None:
        for pid in self.pids.values():
            end_daemon(pid)
        self.rendezvous.end()

    def _start(self, name: str, url: str) -> None:
        self.comity(name, "init", "--hostname", name, "--join", url)
        listen = ("--listen", "127.0.0.1:0") if name == RECEIVERS["direct"] else ()
        self.pids[name] = self.comity(name, "up", *listen)["pid"]

    def _agree(self, name: str) -> None:
        deadline = time.monotonic() + 30
        card = self.comity(name, "card")["card"]
        self.comity(SENDER, "handshake", card, "benchmark", "--expires", "1d")
        while not (asked := self.comity(name, "pending")["pending"]):
            if time.monotonic() > deadline:
                raise SystemExit("the handshake did not arrive")
            time.sleep(0.1)
        self.comity(name, "approve", asked[0]["address"], "--allow", "exchange")
        while name not in [peer["hostname"] for peer in self.comity(SENDER, "trust")["trusted"]]:
            if time.monotonic() > deadline:
                raise SystemExit("the approval did not arrive")
            time.sleep(0.1)
