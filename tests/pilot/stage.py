"""Machines for the seed's commands, as they are printed: its host names, its ports, its folders.

A stage is a network of its own, in which ``rendezvous.research-consortium.org`` is a loopback address and
ports 9000 and 9001 are free. Each machine on it has a root of its own: the real one's folders, besides
``/models``, ``/local``, a home and ``pilotctl`` on the path. All of it is in namespaces, and gone with their
processes; the machine that tests run on is left as it is. It needs root, or the right to user namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from comity.demo.processes import daemon_of, end_daemon, is_alive
from tests.labs import Command, kill

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
HOSTS = ("rendezvous.research-consortium.org",)
_TOOLS = ("unshare", "nsenter", "mount", "ip", "sh")
_HOLD = "echo ready; exec sleep infinity"

#: Makes a root of the real one's folders and the machine's own; $1 is where, $2 the machine's folder.
_BUILD = """
set -e
mount -t tmpfs tmpfs "$1"
for each in /*; do
  name="${each#/}"
  case "$name" in models|local|proc|lost+found) continue;; esac
  if [ -L "$each" ]; then cp -P "$each" "$1/$name"
  elif [ -d "$each" ]; then mkdir "$1/$name"; mount --rbind "$each" "$1/$name"
  fi
done
mkdir "$1/models" "$1/local" "$1/proc"
mount --rbind /proc "$1/proc"
mount --bind "$2/models" "$1/models"
mount --bind "$2/local" "$1/local"
mount --bind "$2/hosts" "$1/etc/hosts"
exec chroot "$1" sh -c 'echo ready; exec sleep infinity'
"""


def unavailable() -> str | None:
    """Why this machine can't have a stage, or None."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run([*_unshare("--net"), "true"], capture_output=True)
    return None if probe.returncode == 0 else "no namespaces here"


def _unshare(*more: str) -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "--propagation", "private", *more, "--"]


class _Holder:
    """A process that does nothing but hold its namespaces."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            _, errors = self.process.communicate(timeout=30)
            raise AssertionError(errors)

    def enter(self, *more: str) -> list[str]:
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.process.pid), *user, "--mount", "--net", *more, "--"]

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class Machine:
    """One machine of a stage. Commands are run there with ``run`` and ``begin``."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.folder = stage.folder / name
        self.home = self.folder / "user"
        for folder in (self.folder, self.home, self.folder / "models", self.folder / "local/ct-scans"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "local/ct-scans").mkdir(parents=True, exist_ok=True)
        (self.folder / "root").mkdir()
        hosts = "".join(f"127.0.0.1 {host}\n" for host in ("localhost", *HOSTS))
        (self.folder / "hosts").write_text(hosts)
        build = [*_unshare_again(), "sh", "-c", _BUILD, "sh", str(self.folder / "root"), str(self.folder)]
        self._holder = _Holder([*stage.enter(), *build])
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COMITY_")}
        self.environment = kept | {
            "HOME": str(self.home),
            "PATH": f"{stage.programs}:{os.environ['PATH']}",
            "XDG_RUNTIME_DIR": str(stage.run),
            "PYTHONUTF8": "1",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'pilot/src'}",
        }
        self._begun: list[Command] = []

    @property
    def comity(self) -> Path:
        """Comity's home on this machine."""
        return self.home / ".comity"

    def begin(self, *arguments: str) -> Command:
        """Start a command, in the folder with the example programs."""
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(EXAMPLES), *arguments]
        command = Command([*self._holder.enter("--root"), *inside], self.environment, EXAMPLES)
        self._begun.append(command)
        return command

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.begin(*arguments).end()

    def said(self, *arguments: str) -> list[str]:
        """The lines that a command prints which succeeds."""
        done = self.run(*arguments)
        assert done.returncode == 0, done
        return done.stdout.splitlines()

    def kill(self) -> None:
        """kill -9 of everything that runs on it but its namespaces."""
        pid = daemon_of(self.comity)
        for command in self._begun:
            command.stop()
        self._begun.clear()
        if pid is not None:
            kill(pid)

    def end(self) -> None:
        """End what was started there, then the machine."""
        for command in self._begun:
            command.stop()
        pid = daemon_of(self.comity)
        if pid is not None and is_alive(pid):
            end_daemon(pid)
        self._holder.end()


def _unshare_again() -> list[str]:
    """A mount namespace within one that may be a user namespace already."""
    return ["unshare", "--mount", "--propagation", "private", "--"]


class Stage:
    """A network with machines on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.run.mkdir(mode=0o700)
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, module in (("pilotctl", "pilotctl"), ("pilot-rendezvous", "rendezvous")):
            program = self.programs / name
            program.write_text(
                f"#!{sys.executable}\nimport sys\nfrom comity_pilot.{module} import main\nsys.exit(main())\n"
            )
            program.chmod(0o755)
        python = self.programs / "python"  # a link would lose the environment that it belongs to
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self._holder = _Holder([*_unshare("--net"), "sh", "-c", f"ip link set lo up; {_HOLD}"])
        self.machines: list[Machine] = []

    def enter(self) -> list[str]:
        return self._holder.enter()

    def machine(self, name: str) -> Machine:
        made = Machine(self, name)
        self.machines.append(made)
        return made

    def end(self) -> None:
        for machine in self.machines:
            machine.end()
        self._holder.end()


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage, gone at the end."""
    with ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="pilot-", dir="/tmp")))
        stage = Stage(folder)
        kept.callback(stage.end)
        yield stage
