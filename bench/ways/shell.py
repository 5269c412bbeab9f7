"""scp between two labs, with the cipher that Comity uses and keys made for the run."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from tests.natlab.lab import Lab
from tests.natlab.nodes import wait_for

PORT = 2222
CIPHER = "aes256-gcm@openssh.com"


class Scp:
    """``absent``: why there is none, or empty."""

    def __init__(self, lab: Lab, folder: Path, host: str) -> None:
        server = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
        self.absent = "" if server and shutil.which("scp") else "openssh-server is not installed"
        self._lab, self._folder, self._host = lab, folder / "ssh", host
        self._process: subprocess.Popen[bytes] | None = None
        if not self.absent:
            self._begin(str(server))

    def _begin(self, server: str) -> None:
        self._folder.mkdir()
        for key in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / key)]
            subprocess.run(command, check=True)
        shutil.copy(self._folder / "user.pub", self._folder / "allowed")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it demands to be able to hide
        options = {
            "HostKey": self._folder / "host",
            "AuthorizedKeysFile": self._folder / "allowed",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "Subsystem": "sftp internal-sftp",
            "Ciphers": CIPHER,
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command = [server, "-D", "-e", "-f", "/dev/null", "-p", str(PORT), *words]
        self._process = subprocess.Popen(
            self._lab.inside("b", command), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._answers, "sshd answers")

    def _answers(self) -> bool:
        probe = ["ssh-keyscan", "-T", "1", "-p", str(PORT), self._host]
        return bool(subprocess.run(self._lab.inside("b", probe), capture_output=True, check=False).stdout)

    def seconds(self, file: Path) -> float:
        options = {
            "Port": PORT,
            "Ciphers": CIPHER,
            "IdentityFile": self._folder / "user",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        target = f"root@{self._host}:{self._folder}/target"
        began = time.monotonic()
        subprocess.run(
            self._lab.inside("a", ["scp", "-q", "-F", "/dev/null", *words, str(file), target]), check=True
        )
        return time.monotonic() - began

    def end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
