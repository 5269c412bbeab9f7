"""One daemon a home: a second is refused, a dead one's lease is taken over, another machine's is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from comity.errors import AlreadyRunning, HomeUnsafe, NotRunning
from comity.storage.home import Home
from comity.storage.lease import Holder, Lease, Machine, find_runtime, is_stale, read_holder
from comity.storage.runtime import Runtime, runtime_of

HERE = Machine("lab-a", 4242, "boot-1")
CHILD = """
import sys
from pathlib import Path
from comity.storage.home import Home
from comity.storage.lease import Lease
from comity.storage.runtime import Runtime
lease = Lease.acquire(Home(Path(sys.argv[1])), Runtime(Path(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()
lease.release()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(tmp_path / "run" / "0123456789abcdef")


def leave_lease(home: Home, machine: Machine, runtime: Runtime) -> None:
    """What a daemon that was killed leaves behind."""
    holder = Holder(host=machine.host, pid=machine.pid, boot=machine.boot, runtime=str(runtime.path))
    home.lease.write_bytes(msgspec.json.encode(holder))
    home.lease.chmod(0o600)


@pytest.fixture
def daemon(home: Home, runtime: Runtime) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the home."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home.path), str(runtime.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child
        child.kill()


def test_says_who_holds_it_and_goes_when_released(home: Home, runtime: Runtime) -> None:
    with Lease.acquire(home, runtime, HERE) as lease:
        assert read_holder(home) == Holder(host="lab-a", pid=4242, boot="boot-1", runtime=str(runtime.path))
        assert home.lease.stat().st_mode & 0o777 == 0o600
    assert read_holder(home) is None
    lease.release()
    Lease.acquire(home, runtime, HERE).release()


def test_real_machine_names_itself() -> None:
    here = Machine.here()
    assert here.pid == os.getpid()
    assert here.host
    assert here == Machine.here()


def test_second_daemon_is_refused_by_name(
    home: Home, runtime: Runtime, daemon: subprocess.Popen[bytes]
) -> None:
    with pytest.raises(AlreadyRunning, match=f"process {daemon.pid} on this machine"):
        Lease.acquire(home, runtime)
    holder = read_holder(home)
    assert holder is not None
    assert holder.pid == daemon.pid, "the refused one must leave the lease alone"


def test_killed_daemon_is_succeeded(home: Home, runtime: Runtime, daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGKILL)
    daemon.wait(60)
    assert read_holder(home) is not None, "kill -9 leaves the lease behind"
    with Lease.acquire(home, runtime):
        holder = read_holder(home)
        assert holder is not None
        assert holder.pid == os.getpid()


def test_second_lease_in_one_process_is_refused(home: Home, runtime: Runtime) -> None:
    with Lease.acquire(home, runtime, HERE), pytest.raises(AlreadyRunning, match="4242"):
        Lease.acquire(home, runtime, HERE)


@pytest.mark.parametrize(
    "before",
    [
        Machine("lab-a", 1, "boot-1"),  # pid 1 lives, but the lock is free: the number was given out again
        Machine("lab-a", 4242, "boot-0"),  # before a reboot
        Machine("lab-renamed", 7, "boot-1"),  # the machine was renamed, or it was another container on it
        Machine("lab-a", 7, ""),  # boot unknown
    ],
)
def test_stale_lease_of_this_machine_is_taken_over(home: Home, runtime: Runtime, before: Machine) -> None:
    leave_lease(home, before, runtime)
    with Lease.acquire(home, runtime, HERE):
        holder = read_holder(home)
        assert holder is not None
        assert holder.pid == HERE.pid


@pytest.mark.parametrize("boot", ["boot-9", ""])
def test_lease_of_another_machine_is_refused(home: Home, runtime: Runtime, boot: str) -> None:
    leave_lease(home, Machine("lab-b", 7, boot), runtime)
    with pytest.raises(AlreadyRunning, match="lab-b") as caught:
        Lease.acquire(home, runtime, HERE)
    assert "comity down on lab-b" in caught.value.hint
    assert str(home.lease) in caught.value.hint
    home.lease.unlink()  # what the hint says
    Lease.acquire(home, runtime, HERE).release()


@pytest.mark.parametrize("content", [b"", b"{", b'{"host": 1}', b"\xff", b"x" * 10_000])
def test_damaged_lease_leaves_it_to_the_lock(home: Home, runtime: Runtime, content: bytes) -> None:
    home.lease.write_bytes(content)
    home.lease.chmod(0o600)
    assert read_holder(home) is None
    with Lease.acquire(home, runtime, HERE):
        assert read_holder(home) is not None


def test_without_locks_the_pid_tells() -> None:
    """Some network filesystems have no locks at all."""
    here = Machine("lab-a", os.getpid(), "boot-1")
    alive = Holder(host="lab-a", pid=os.getppid(), boot="boot-1", runtime="")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait(60)
    dead = Holder(host="lab-a", pid=child.pid, boot="boot-1", runtime="")
    ours = Holder(host="lab-a", pid=here.pid, boot="boot-1", runtime="")
    assert not is_stale(alive, here, None)
    assert is_stale(alive, here, True)
    assert is_stale(dead, here, None)
    assert is_stale(ours, here, None), "an earlier process had our pid"


def test_lock_that_others_could_hold_is_refused(home: Home, runtime: Runtime) -> None:
    home.lock.touch(mode=0o666)
    home.lock.chmod(0o666)
    with pytest.raises(HomeUnsafe):
        Lease.acquire(home, runtime, HERE)


def test_clients_find_the_daemon_whatever_their_environment(home: Home, runtime: Runtime) -> None:
    assert find_runtime(home, {}, HERE) == runtime_of(home, {})
    with Lease.acquire(home, runtime, HERE):
        assert find_runtime(home, {}, HERE) == runtime
        with pytest.raises(NotRunning, match="lab-a"):
            find_runtime(home, {}, Machine("login-node", 1, "boot-7"))
