"""HTTP proxies that others wrote, on loopback: one that pip installs, and squid where it is installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.gateways import answers, free_port
from tests.labs import eventually

_SECONDS = 20.0
_HELPER = """\
import sys
for line in sys.stdin:
    print("OK" if line.split() == {login!r} else "ERR", flush=True)
"""
_SQUID = """\
http_port 127.0.0.1:{port}
cache deny all
cache_log {folder}/log
access_log none
pid_filename {folder}/pid
coredump_dir {folder}
shutdown_lifetime 0 seconds
pinger_enable off
auth_param basic program /usr/bin/python3 {folder}/helper.py
auth_param basic children 1
acl known proxy_auth REQUIRED
acl CONNECT method CONNECT
http_access deny !CONNECT
http_access allow known
http_access deny all
"""


def missing(kind: str) -> str | None:
    """Why there is no such proxy here, or None."""
    if kind == "proxy.py":
        return (
            None if importlib.util.find_spec("proxy") else "proxy.py is not installed (pip install proxy.py)"
        )
    return None if shutil.which("squid") else "squid is not installed (apt install squid)"


@contextmanager
def real_proxy(kind: str, folder: Path, login: str) -> Iterator[str]:
    """Its URL. It opens tunnels to whoever has the login, ``user:password``."""
    port = free_port()
    if kind == "proxy.py":
        command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port)]
        command += [
            "--num-workers",
            "1",
            "--num-acceptors",
            "1",
            "--basic-auth",
            login,
            "--log-level",
            "ERROR",
        ]
    else:
        folder.chmod(0o777)  # it gives up root for an account of its own
        (folder / "helper.py").write_text(_HELPER.format(login=login.split(":")))
        (folder / "squid.conf").write_text(_SQUID.format(port=port, folder=folder))
        command = ["squid", "-N", "-f", str(folder / "squid.conf")]
    with _running(command, port, folder):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "output").open("wb") as output:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        eventually(lambda: program.poll() is not None or answers(port), "the proxy answers")
        assert program.poll() is None, (folder / "output").read_text()
        yield
    finally:
        program.terminate()
        program.wait(_SECONDS)
