"""The HTTP proxies of a lab that reaches nothing else: the tests' own one, and squid where it is installed.

    python -m tests.natlab.proxies HOST PORT

Both ask for ``LOGIN`` and open tunnels to port 443, as squid's defaults do.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.connect_proxy import ConnectProxy
from tests.natlab.lab import Lab
from tests.natlab.nodes import wait_for

LOGIN = "ana:Trommelfell-7"
_PORT = 3128
_SECONDS = 20.0

#: Reads "user password" by line, as squid hands it over, and answers.
_HELPER = """\
import sys
for line in sys.stdin:
    print("OK" if line.split() == {login!r} else "ERR", flush=True)
"""
_SQUID = """\
http_port {host}:{port}
cache deny all
cache_log {folder}/log
access_log none
pid_filename {folder}/pid
coredump_dir {folder}
shutdown_lifetime 0 seconds
pinger_enable off
auth_param basic program {python} {folder}/helper.py
auth_param basic children 1
acl known proxy_auth REQUIRED
acl tunnels port 443
acl CONNECT method CONNECT
http_access deny !CONNECT
http_access deny !tunnels
http_access allow known
http_access deny all
"""


class Proxied:
    """Where the proxy is, for the node that is to use it."""

    def __init__(self, host: str) -> None:
        self.url = f"http://{host}:{_PORT}"

    @property
    def environment(self) -> dict[str, str]:
        return {"HTTPS_PROXY": self.url.replace("://", f"://{LOGIN}@")}


Proxy = Callable[[Lab], AbstractContextManager[Proxied]]


@contextmanager
def own_proxy(lab: Lab) -> Iterator[Proxied]:
    """The tests' own one, in box a."""
    host = lab.plan.inside(1, "proxy-only").gateway
    command = [sys.executable, "-m", __name__, host, str(_PORT)]
    with _running(lab, command, host):
        yield Proxied(host)


@contextmanager
def squid(lab: Lab) -> Iterator[Proxied]:
    """The proxy of many hospitals, in box a."""
    host = lab.plan.inside(1, "proxy-only").gateway
    folder = Path(tempfile.mkdtemp(prefix="natlab-squid-"))
    try:
        folder.chmod(0o777)  # it gives up root for an account of its own
        helper = _HELPER.format(login=LOGIN.split(":"))
        (folder / "helper.py").write_text(helper)
        config = _SQUID.format(host=host, port=_PORT, folder=folder, python="/usr/bin/python3")
        (folder / "squid.conf").write_text(config)
        with _running(lab, ["squid", "-N", "-f", str(folder / "squid.conf")], host):
            yield Proxied(host)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(lab: Lab, command: list[str], host: str) -> Iterator[None]:
    process = subprocess.Popen(
        lab.inside("box-a", command), cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL
    )
    try:
        probe = f"import socket; socket.create_connection(({host!r}, {_PORT}), 1).close()"
        wait_for(lambda: _answers(lab, probe), "the proxy answers")
        yield
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _answers(lab: Lab, probe: str) -> bool:
    command = lab.inside("a", [sys.executable, "-c", probe])
    return subprocess.run(command, check=False, capture_output=True, timeout=_SECONDS).returncode == 0


if __name__ == "__main__":
    with ConnectProxy(login=LOGIN, host=sys.argv[1], port=int(sys.argv[2])):
        signal.pause()  # until it is ended
