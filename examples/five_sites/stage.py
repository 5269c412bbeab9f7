"""Where the study plays on one machine: a rendezvous, an aggregator and five sites, each with its own node.

In earnest each of these is another institution's machine; here they are processes in one folder. The sites
get an invitation each to a network of their own on the rendezvous, as an operator would give them. Whatever
was started is ended with the ``with`` block, by its process id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import study

import comity
from comity.control import InitRequest, StatusResult
from comity.control.rendezvous import InviteCreateRequest, NetworkCreateRequest
from comity.sdk import daemon, home, rendezvous, weights

AGGREGATOR = "aggregator"
NETWORK = "digits-study"
HERE = Path(__file__).resolve().parent
_START_SECONDS = 30.0
_END_SECONDS = 10.0


class Stage:
    """``folder``: an empty folder; everything is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[str, StatusResult] = {}
        self.programs: dict[str, subprocess.Popen[str]] = {}
        self._rendezvous: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.programs):
            self.end_program(name)
        for name in self.nodes:
            with suppress(comity.errors.ComityError):
                daemon.stop(self.home(name))
        if self._rendezvous is not None:
            _end(self._rendezvous)

    # ── the institutions ──────────────────────────────────────────────────────────────────────────────

    def open(self, data: dict[str, study.Images], start: study.Weights) -> None:
        """Start the rendezvous and all nodes, and give everybody what it needs to know."""
        self._serve()
        rendezvous.create_network(NetworkCreateRequest(NETWORK), self._state)
        for name in (AGGREGATOR, *study.SITES):
            self.folder_of(name).mkdir(mode=0o700)
            self.join(name, self.invite())
            self.start_node(name)
        for site in study.SITES:
            data[site].save(self.folder_of(site) / "images.npz")
        weights.save(start, self.folder_of(AGGREGATOR) / "untrained.safetensors")
        known = {site: self.nodes[site].fingerprint for site in study.SITES}
        (self.folder_of(AGGREGATOR) / "sites.json").write_text(json.dumps(known), encoding="utf-8")

    def invite(self) -> str:
        """A join URL for one newcomer."""
        return rendezvous.invite(InviteCreateRequest(NETWORK, 1, 3600), self._state).url

    def join(self, name: str, url: str) -> None:
        """Set a node up."""
        home.init(InitRequest(hostname=name, join=url), home=self.home(name))

    def start_node(self, name: str) -> None:
        """Start a node's daemon. Only the aggregator can be dialled; the sites are behind their firewalls."""
        listen = "127.0.0.1:0" if name == AGGREGATOR else None
        self.nodes[name] = daemon.start(self.home(name), listen=listen).status

    def kill(self, site: str) -> None:
        """End a site's program and its node without a word, as a power cut does."""
        self.programs[site].kill()
        self.end_program(site)
        pid = self.nodes[site].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def home(self, name: str) -> Path:
        """The home of a node."""
        return self.folder_of(name) / "home"

    def folder_of(self, name: str) -> Path:
        """What an institution has."""
        return self.folder / name

    # ── their programs ────────────────────────────────────────────────────────────────────────────────

    def start_site(self, site: str) -> None:
        """Run a site's program; what it says is in its folder's ``log``."""
        with (self.folder_of(site) / "log").open("a") as log:
            self._run(
                site,
                *("site.py", "--data", "images.npz", "--aggregator", self.nodes[AGGREGATOR].card),
                out=log.fileno(),
            )

    def start_aggregator(self, *options: str) -> subprocess.Popen[str]:
        """Run the aggregator's program; its lines come from ``stdout``."""
        return self._run(
            AGGREGATOR,
            *("aggregator.py", "--sites", "sites.json", "--model", "untrained.safetensors", *options),
            out=subprocess.PIPE,
        )

    def end_program(self, name: str) -> None:
        """End a program, if it runs."""
        program = self.programs.pop(name, None)
        if program is not None:
            _end(program)
            if program.stdout is not None:
                program.stdout.close()

    def _run(self, name: str, script: str, *options: str, out: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / script), "--home", "home", "--work", ".", *options]
        program = subprocess.Popen(
            command, cwd=self.folder_of(name), stdin=subprocess.DEVNULL, stdout=out, text=True
        )
        self.programs[name] = program
        return program

    # ── the rendezvous ────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> Path:
        return self.folder / "rendezvous"

    def _serve(self) -> None:
        command = [sys.executable, "-m", "comity", "rendezvous", "serve", "--listen", "127.0.0.1:0"]
        with (self.folder / "rendezvous.log").open("w") as log:
            self._rendezvous = subprocess.Popen(
                [*command, "--state", str(self._state)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while not (self._state / "join.url").exists():
            if self._rendezvous.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the rendezvous did not start: see {self.folder / 'rendezvous.log'}")
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
