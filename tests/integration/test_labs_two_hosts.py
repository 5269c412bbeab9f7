"""One home, two hosts, as on a cluster: a second machine is a namespace with another name and boot id.

The lock is seen by both, as on NFS with lockd; that the lease alone refuses where it is not, is
``unit/test_storage_lease.py``'s.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.labs import Lab, eventually
from tests.region import Region, region

#: Takes a name, a file with a boot id, and a command.
MACHINE = 'hostname "$0" && mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'


@pytest.fixture
def place() -> Iterator[Region]:
    with region() as made:
        yield made


def machine(here: Region, name: str) -> tuple[str, ...]:
    """What goes before a command that runs on the machine ``name``."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    namespaces = ("unshare", *user, "--uts", "--mount", "--propagation", "private", "--")
    boot = here.folder / f"{name}.boot"
    boot.write_text(f"{name}-0000\n")
    made = (*namespaces, "sh", "-c", MACHINE, name, str(boot))
    tried = subprocess.run([*made, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no namespaces here: {tried.stderr.strip()}")
    return made


def elsewhere(here: Region, folder: str, name: str) -> Lab:
    """The lab in that folder, as another machine sees it, with a runtime folder of its own."""
    lab = here.site("lab-a", folder, machine(here, name))
    run = here.folder / f"run-{name}"
    run.mkdir(mode=0o700)
    lab.environment["XDG_RUNTIME_DIR"] = str(run)
    return lab


def test_a_second_host_is_refused_by_name_or_supersedes(place: Region) -> None:
    here = socket.gethostname()
    one = place.lab("lab-a")
    other = elsewhere(place, "lab-a", "login2")
    # The same home: whatever needs it for itself is refused, and says where it is in use.
    for command in (("up",), ("identity", "rotate")):
        refused = other.refused(*command)
        assert refused.told == ("already_running", 13)
        assert f"process {one.pid} on another machine, {here}," in refused.message
        assert f"comity down on {here}" in refused.hint
    for command in (("down",), ("ping", "lab-b")):
        refused = other.refused(*command)
        assert refused.code == "not_running"
        assert f"runs on another machine, {here}" in refused.message
    assert other.ask("status")["problem"].endswith(here)
    assert one.ask("status")["rendezvous_state"] == "registered", "and the first is as it was"
    # It is killed: its own machine takes the home again, another one asks a person first.
    one.kill()
    refused = other.refused("up")
    assert refused.told == ("already_running", 13)
    assert str(one.home / "lease.json") in refused.hint
    one.up()
    one.kill()
    (one.home / "lease.json").unlink()  # what the hint says
    assert other.up()["hostname"] == "lab-a"
    assert "runs on another machine, login2" in one.refused("down").message
    # A copy of the home: the newer daemon serves, the older one says why it doesn't.
    shutil.copytree(one.home, place.folder / "copy" / "home", ignore=shutil.ignore_patterns("lease.*"))
    (place.folder / "copy").chmod(0o700)
    third = elsewhere(place, "copy", "login3")
    assert third.up()["rendezvous_state"] == "registered"
    eventually(lambda: other.ask("status")["rendezvous_state"] == "refused", "the older one is turned out")
    assert "another daemon with this node's key" in other.ask("status")["problem"]
    assert third.ask("status")["rendezvous_state"] == "registered"
