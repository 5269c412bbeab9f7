"""Flower's own programs, unmodified, through forwards: a SuperLink at one node, SuperNodes at two others.

``make flower`` runs it, with Flower in an environment of its own, which ``FLOWER`` names.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests import ports
from tests.labs import eventually
from tests.region import region

PROGRAMS = Path(os.environ.get("FLOWER", ""))
APP = Path(__file__).resolve().parents[2] / "examples/flower"

pytestmark = [
    pytest.mark.skipif(not os.environ.get("FLOWER"), reason="needs Flower: make flower"),
    pytest.mark.timeout(600),
]


@contextmanager
def program(folder: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """One of Flower's programs, with a folder of its own and its log there."""
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{PROGRAMS}:{os.environ['PATH']}",  # it starts others of its own
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
    }
    environment.pop("PYTHONPATH", None)
    with (folder / "log").open("wb") as log:
        command = [str(PROGRAMS / name), *arguments]
        running = subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def node(folder: Path, superlink: str, patients: int) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A SuperNode at one hospital, whose SuperLink is the forward's end."""
    return program(
        folder,
        "flower-supernode",
        *("--insecure", "--superlink", superlink),
        *("--host", "127.0.0.1", "--port", str(free_port())),
        *("--node-config", f"partition-id={patients}"),
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_a_flower_app_completes_its_rounds_through_the_tunnel(tmp_path: Path) -> None:
    with region() as here:
        aggregator = here.lab("fl-aggregator")
        sites = [here.lab("site-a"), here.lab("site-b")]
        port = free_port()
        for site in sites:
            ports.open_ports(site, aggregator)
            aggregator.ask("expose", str(port), "--to", site.hostname)
        links = [ports.forward(site, aggregator, port) for site in sites]
        shutil.copytree(APP, tmp_path / "app")
        with program(
            tmp_path / "superlink",
            "flower-superlink",
            *("--insecure", "--host", "127.0.0.1", "--port", str(port)),
            "--disable-runtime-dependency-installation",
        ):
            eventually(lambda: accepts(port), "the SuperLink listens", 120)
            with (
                node(tmp_path / "site-a-node", links[0].local, 0),
                node(tmp_path / "site-b-node", links[1].local, 1),
            ):
                said = run(tmp_path, port)
        assert "hospitals: rounds=2 accuracy=0.9" in said, said
        for lab in (aggregator, *sites):
            assert {host for _, host in ports.listening(lab.pid)} <= {"127.0.0.1"}
        for site in sites:
            carried = site.ask("forward", "--list")["forwards"][0]
            assert carried["total"] > 0, carried
            assert carried["bytes_received"] > 1000, carried
        entries = aggregator.ask("audit", "log", "--kind", "forward.closed")["entries"]
        assert {entry["peer"] for entry in entries} == {site.fingerprint for site in sites}
        for link in links:
            link.command.stop()


def run(folder: Path, port: int) -> str:
    """``flwr run`` of the app at the aggregator; what it says until its end."""
    home = folder / "user"
    home.mkdir()
    (home / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    environment = {**os.environ, "FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "NO_COLOR": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(PROGRAMS / "flwr"), "run", str(folder / "app"), "--stream"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
