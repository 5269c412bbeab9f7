"""The programs that are measured. Each moves one file once, and says which processes to count.

A rival is a context: entering starts what has to run beforehand. ``absent`` says why one can't be measured.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

from transfers.stage import RECEIVERS, SENDER, Nodes
from transfers.usage import Watch

BENCH = Path(__file__).resolve().parent.parent


class Run:
    """One measured transfer: seconds from the command's start to its end, all CPU, peaks by process."""

    def __init__(self, seconds: float, cpu: float, peak: dict[str, int]) -> None:
        self.seconds = seconds
        self.cpu = cpu
        self.peak = peak


def measured(command: list[str], roots: dict[str, int], environment: dict[str, str] | None = None) -> Run:
    """Run a command to its end beside ``roots``, which run already."""
    started = time.monotonic()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with Watch(roots) as watch:
        printed = child.stdout.read() if child.stdout else b""
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.stdout:
        child.stdout.close()
    if child.returncode:
        raise SystemExit(f"{command[:4]}: {printed.decode(errors='replace')}")
    peak = watch.peak | {"command": used.ru_maxrss * 1024}
    return Run(seconds, watch.cpu + used.ru_utime + used.ru_stime, peak)


class Rival(ABC):
    name: str
    absent = ""
    folders = True

    def why_not(self, artifact: Path) -> str:
        """Why this one can't be measured with ``artifact``, or nothing."""
        return self.absent or ("" if self.folders or artifact.is_file() else "moves one stream")

    @abstractmethod
    def move(self, file: Path, folder: Path) -> Run:
        """Copy ``file``, which may be a folder, into ``folder``, which is empty, and leave it empty."""


class Comity(Rival):
    def __init__(self, nodes: Nodes, path: str) -> None:
        self.name = f"comity, {path}"
        self._nodes = nodes
        self._path = path

    def move(self, file: Path, folder: Path) -> Run:
        receiver = RECEIVERS[self._path]
        command, environment = self._nodes.send_command(receiver, file)
        roots = {"sender": self._nodes.pids[SENDER], "receiver": self._nodes.pids[receiver]}
        if self._path == "relay":
            roots["rendezvous"] = self._nodes.rendezvous.pid
        run = measured(command, roots, environment)
        for arrived in (self._nodes.folder / receiver / "received").glob("*/*"):
            remove(arrived)
        return run


class Ceiling(Rival):
    folders = False

    def __init__(self, *, raw: bool) -> None:
        self.name = "raw pyOpenSSL stream" if raw else "ceiling"
        self._raw = ["--raw"] if raw else []

    def move(self, file: Path, folder: Path) -> Run:
        program = [sys.executable, "-m", "transfers.ceiling"]
        target = folder / "target"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(BENCH), *sys.path])}
        with subprocess.Popen(
            [*program, "receive", str(target), *self._raw], env=environment, stdout=subprocess.PIPE, text=True
        ) as receiver:
            port = receiver.stdout.readline().strip() if receiver.stdout else ""
            source = str(file.stat().st_size) if self._raw else str(file)
            run = measured(
                [*program, "send", port, source, *self._raw], {"receiver": receiver.pid}, environment
            )
        target.unlink(missing_ok=True)
        return run


class Ssh:
    """A private server on loopback, with its own keys; shared by scp and rsync, and no rival itself."""

    def __init__(self, folder: Path) -> None:
        server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")
        self.absent = "" if server and shutil.which("scp") else "openssh-server is not installed"
        self.process: subprocess.Popen[bytes] | None = None
        self.options: list[str] = []
        if not self.absent:
            self._start(str(server), folder)

    def _start(self, server: str, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            key = str(folder / name)
            subprocess.run(
                [str(shutil.which("ssh-keygen")), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True
            )
        shutil.copy(folder / "user.pub", folder / "authorized")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it demands to be able to hide
        settings = {
            "Port": port,
            "ListenAddress": "127.0.0.1",
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "Subsystem": "sftp internal-sftp",
            "Ciphers": "aes256-gcm@openssh.com",
        }
        config = folder / "config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        log = (folder / "log").open("wb")
        self.process = subprocess.Popen([server, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
        log.close()
        self.options = [
            *("-o", f"IdentityFile={folder / 'user'}", "-o", "IdentitiesOnly=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *("-o", f"Port={port}", "-o", "Ciphers=aes256-gcm@openssh.com"),
        ]
        for _ in range(100):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"sshd did not start: {(folder / 'log').read_text()}")

    def end(self) -> None:
        """Stop the server."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Scp(Rival):
    name = "scp, aes256-gcm"

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh
        self.absent = ssh.absent

    def move(self, file: Path, folder: Path) -> Run:
        return _remote(["scp", "-q", "-r", *self._ssh.options, str(file)], self._ssh, folder)


class Rsync(Rival):
    def __init__(self, ssh: Ssh, *, sync: bool) -> None:
        self.name = "rsync over ssh, --fsync" if sync else "rsync over ssh"
        self._sync = ["--fsync"] if sync else []
        self._ssh = ssh
        self.absent = ssh.absent or ("" if shutil.which("rsync") else "rsync is not installed")

    def move(self, file: Path, folder: Path) -> Run:
        shell = " ".join(["ssh", *self._ssh.options])
        source = f"{file}/" if file.is_dir() else str(file)
        return _remote(["rsync", "-rW", *self._sync, "-e", shell, source], self._ssh, folder)


class Cp(Rival):
    name = "cp"

    def move(self, file: Path, folder: Path) -> Run:
        run = measured(["/bin/cp", "-r", str(file), str(folder / "target")], {})
        remove(folder / "target")
        return run


def _remote(command: list[str], ssh: Ssh, folder: Path) -> Run:
    if ssh.process is None:
        raise SystemExit("no server")
    run = measured([*command, f"127.0.0.1:{folder}/target"], {"sshd": ssh.process.pid})
    remove(folder / "target")
    return run


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
