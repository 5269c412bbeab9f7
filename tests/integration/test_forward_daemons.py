"""Ports across the tunnel between real daemons, with real programs: curl, HTTP, WebSocket, plain sockets."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from comity.errors import LinkLost, NotExposed, TargetUnreachable
from comity.sdk import forwarding
from tests import ports
from tests.labs import Lab, eventually
from tests.region import MIB, Region, meet, region

CURL = shutil.which("curl") or "curl"


@pytest.fixture(scope="module")
def place() -> Iterator[Region]:
    with region() as here:
        one, two = here.lab("lab-a-trainer"), here.lab("lab-b-trainer", up=("--listen", "127.0.0.1:0"))
        here.lab("lab-c-trainer")
        ports.open_ports(one, two)
        yield here


@pytest.fixture
def labs(place: Region) -> Iterator[tuple[Lab, Lab]]:
    yield place.labs[0], place.labs[1]
    for view in place.labs[1].ask("expose", "--list")["exposed"]:
        place.labs[1].ask("expose", str(view["port"]), "--end")


def curl(*arguments: str) -> bytes:
    return subprocess.run(
        [CURL, "--silent", "--show-error", "--fail", "--max-time", "90", *arguments],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout


def closed(lab: Lab) -> list[dict[str, Any]]:
    """What is on record of connections that have ended."""
    entries = lab.ask("audit", "log", "--kind", "forward.closed")["entries"]
    return [entry["detail"] for entry in entries]


def view_of(lab: Lab, running: ports.Forwarded) -> dict[str, Any]:
    """How a forward stands; one that was stopped before may be listed for a moment longer."""
    forwards: list[dict[str, Any]] = lab.ask("forward", "--list")["forwards"]
    (found,) = (each for each in forwards if each["local"] == running.local)
    return found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_downloads_and_uploads_through_a_forward(labs: tuple[Lab, Lab], tmp_path: Path) -> None:
    a, b = labs
    with ports.web() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)
        url = f"http://{running.local}"
        assert curl(f"{url}/1000") == ports.content(1000)[:1000]
        size = 40 * MIB
        assert digest(curl(f"{url}/{size}")) == digest(ports.content(size)[:size])
        upload = tmp_path / "upload"
        upload.write_bytes(ports.content(20 * MIB))
        assert curl("--data-binary", f"@{upload}", url).decode() == digest(upload.read_bytes())
        running.command.stop()
        eventually(lambda: len(closed(b)) == 3, "each connection is on record")
        assert {each["port"] for each in closed(b)} == {port}
        assert max(each["bytes_received"] for each in closed(b)) > 20 * MIB
        assert max(each["bytes_sent"] for each in closed(b)) > size


def test_a_websocket_passes_as_it_is(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.web() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)
        with running.connect() as sock:
            key = base64.b64encode(os.urandom(16)).decode()
            sock.sendall(
                f"GET / HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
            )
            with sock.makefile("rb") as said:
                assert b"101" in said.readline()
                while said.readline() != b"\r\n":
                    pass
                for text in (b"hello", b"x" * 40_000):
                    sock.sendall(ports.frame(0x81, text, mask=b"mask"))
                    wanted = ports.frame(0x81, text)
                    assert said.read(len(wanted)) == wanted
                sock.sendall(ports.frame(0x88, b"", mask=b"mask"))
                assert said.read() == ports.frame(0x88, b"")
        running.command.stop()


def test_what_a_program_says_after_the_other_has_ended_arrives(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.answering_last() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)
        for size in (0, 1, 3 * MIB):
            said = ports.content(size)[:size]
            with running.connect() as sock, ThreadPoolExecutor(1) as pool:
                answer = pool.submit(sock.makefile("rb").read)
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
                assert answer.result(60) == f"{size}\n".encode() + said
            assert running.notice("closed")["bytes_sent"] == size
        running.command.stop()


def test_more_connections_at_once_than_there_are_places_all_come_through(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.web() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)

        def get(number: int) -> bytes:
            with running.connect() as sock, sock.makefile("rb") as said:
                sock.sendall(f"GET /{number} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n".encode())
                return said.read().partition(b"\r\n\r\n")[2]

        with ThreadPoolExecutor(50) as pool:
            for number, found in enumerate(pool.map(get, range(50))):
                assert found == ports.content(number)[:number]
        view = view_of(a, running)
        assert (view["total"], view["peer"], view["port"]) == (50, b.hostname, port)
        running.command.stop()


def test_only_exposed_ports_are_reached_and_only_by_whom_they_are_exposed_to(
    place: Region, labs: tuple[Lab, Lab]
) -> None:
    a, b = labs
    with ports.web() as port, ports.web() as other:
        running = ports.forward(a, b, port)
        assert _refuses(running)
        assert "not exposed" in running.notice("failed")["problem"]
        b.ask("expose", str(other), "--to", a.hostname)
        with pytest.raises(NotExposed), forwarding.stream(a.client, b.hostname, port):
            pass
        assert place.labs[2].refused("forward", f"{b.hostname}:{port}").code == "untrusted_peer"
        assert b.refused("expose", str(port)).code == "invalid_input"  # to whom? nobody by default
        refused = [
            entry["reasons"][0] for entry in b.ask("audit", "log", "--kind", "forward.refused")["entries"]
        ]
        assert set(refused[-2:]) == {"not_exposed"}
        b.ask("expose", str(port), "--all")
        with running.connect() as sock:
            _get(sock, 10)
        running.command.stop()


def test_a_port_on_which_nothing_listens_is_told_apart(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.silent() as (port, listener):
        listener.close()
        b.ask("expose", str(port), "--to", a.hostname)
        with pytest.raises(TargetUnreachable), forwarding.stream(a.client, b.hostname, port):
            pass


def test_ending_an_exposure_cuts_what_came_by_it(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.silent() as (port, listener):
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)
        with running.connect() as sock:
            there, _ = listener.accept()
            with there:
                eventually(
                    lambda: b.ask("expose", "--list")["exposed"][0]["connections"] == 1, "it is counted"
                )
                assert b.ask("expose", str(port), "--end", "--to", a.hostname)["connections_closed"] == 1
                assert _broken(sock)
                assert _broken(there)
        running.command.stop()


def test_a_forward_ends_with_its_command_or_by_another_one(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.silent() as (port, listener):
        b.ask("expose", str(port), "--to", a.hostname)
        for by_another in (False, True):
            running = ports.forward(a, b, port)
            with running.connect() as sock:
                there, _ = listener.accept()
                with there:
                    if by_another:
                        assert a.ask("forward", "--end", running.local)["local"] == running.local
                        assert running.command.end().returncode == 0
                    else:
                        running.command.stop()
                    assert _broken(sock)
                    assert _broken(there)
            eventually(lambda: a.ask("forward", "--list")["forwards"] == [], "no forward runs")
            with pytest.raises(ConnectionRefusedError):
                running.connect()


def test_without_local_the_socket_is_for_its_user_alone(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.web() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port, "--json")
        path = Path(running.local)
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        with running.connect() as sock:
            _get(sock, 70_000)
        taken = a.refused("forward", f"{b.hostname}:{port}")
        assert taken.code == "invalid_input"
        assert "already there" in taken.message
        running.command.process.send_signal(signal.SIGINT)
        running.command.end()
        eventually(lambda: not path.exists(), "its socket is gone")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("curl") is None, reason="needs root, and curl")
def test_other_users_of_the_machine_cannot_use_a_forwarded_port(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.web() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        for option in (), ("--any-user",):
            running = ports.forward(a, b, port, "--local", "0", *option)
            command = [CURL, "--silent", "--fail", "--max-time", "30", f"http://{running.local}/5"]
            done = subprocess.run(command, user=65534, group=65534, stdout=subprocess.DEVNULL)
            assert (done.returncode == 0) is bool(option)
            if not option:
                assert "another user" in running.notice("failed")["problem"]
            running.command.stop()


def test_a_program_that_does_not_read_holds_back_its_own_connection_only(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.web() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)
        size = 64 * MIB
        with running.connect() as slow, running.connect() as other:
            slow.sendall(_request(size))
            assert _moved(a, running) < size  # it stands still now, and most of it was not sent
            _get(other, 100_000)
            with slow.makefile("rb") as said:
                while said.readline() != b"\r\n":
                    pass
                assert digest(said.read(size)) == digest(ports.content(size)[:size])
        running.command.stop()


def test_a_stream_of_the_sdk_says_whether_it_ended_in_order(labs: tuple[Lab, Lab]) -> None:
    a, b = labs
    with ports.answering_last() as port:
        b.ask("expose", str(port), "--to", a.hostname)
        with forwarding.stream(a.client, b.hostname, port) as stream:
            stream.socket.sendall(b"abc")
            stream.socket.shutdown(socket.SHUT_WR)
            assert stream.socket.makefile("rb").read() == b"3\nabc"
            end = stream.finish(30)
            assert (end.bytes_sent, end.bytes_received) == (3, 5)
    with ports.silent() as (port, listener):
        b.ask("expose", str(port), "--to", a.hostname)
        with forwarding.stream(a.client, b.hostname, port) as stream:
            there, _ = listener.accept()
            with there:
                b.ask("expose", str(port), "--end")
                assert _broken(stream.socket)
            with pytest.raises(LinkLost):
                stream.finish(30)


def test_exposures_outlive_the_daemon_and_nothing_outlives_the_agreement() -> None:
    with region() as here, ports.silent() as (port, listener):
        a = here.lab("lab-a-trainer")
        b = here.lab("lab-b-trainer", up=("--listen", "127.0.0.1:0"))
        ports.open_ports(a, b)
        b.ask("expose", str(port), "--to", a.hostname)
        b.kill()
        b.up("--listen", "127.0.0.1:0")
        meet(a, b)
        running = ports.forward(a, b, port)
        with running.connect() as sock:
            there, _ = listener.accept()
            with there:
                there.sendall(b"hello")
                assert sock.recv(5) == b"hello"
                assert b.ask("revoke", a.hostname)["links_closed"] >= 1
                assert _broken(sock)
                assert _broken(there)
        assert b.ask("expose", "--list")["exposed"][0]["active"] is False
        eventually(lambda: not a.agreements().trusted, "a knows")
        assert _refuses(running)
        running.command.stop()
        ports.open_ports(a, b)  # a new agreement opens nothing that was opened under the old one
        with pytest.raises(NotExposed), forwarding.stream(a.client, b.hostname, port):
            pass


def test_a_killed_daemon_breaks_its_connections_and_ends_its_forwards() -> None:
    with region() as here, ports.silent() as (port, listener):
        a, b = here.lab("lab-a-trainer"), here.lab("lab-b-trainer", up=("--listen", "127.0.0.1:0"))
        ports.open_ports(a, b)
        b.ask("expose", str(port), "--to", a.hostname)
        running = ports.forward(a, b, port)
        with running.connect() as sock:
            there, _ = listener.accept()
            with there:
                a.kill()
                assert _broken(there)
                sock.close()
        done = running.command.end()
        assert done.returncode == 12, done  # not_running
        a.up()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux lists the sockets of a process")
def test_without_listen_no_socket_of_a_daemon_is_open_to_other_hosts(labs: tuple[Lab, Lab]) -> None:
    a, b = labs  # a does not listen, b does: on loopback
    with ports.web() as port:
        for one, other in ((a, b), (b, a)):
            one.ask("expose", str(port), "--to", other.hostname)
        running = ports.forward(a, b, port)
        with running.connect() as sock:
            _get(sock, 1)
        b_listens = {place for place, _ in ports.listening(b.pid)}
        assert len(b_listens) == 1  # the listing sees what there is
        assert {place for place, _ in ports.listening(a.pid)} == {running.local}
        for lab in labs:
            assert {host for _, host in ports.listening(lab.pid)} == {"127.0.0.1"}
        running.command.stop()
        a.ask("expose", str(port), "--end")
        eventually(lambda: not ports.listening(a.pid), "it listens nowhere")


def _request(size: int) -> bytes:
    return f"GET /{size} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n".encode()


def _get(sock: socket.socket, size: int) -> None:
    sock.sendall(_request(size))
    with sock.makefile("rb") as said:
        assert said.read().partition(b"\r\n\r\n")[2] == ports.content(size)[:size]


def _moved(lab: Lab, running: ports.Forwarded) -> int:
    """How many bytes have come through it, once there are some and no more come."""
    eventually(lambda: view_of(lab, running)["bytes_received"] > 0, "it has begun")
    before = 0
    while (now := int(view_of(lab, running)["bytes_received"])) != before:
        before = now
        time.sleep(0.5)
    return before


def _refuses(forwarded: ports.Forwarded) -> bool:
    """Whether a new connection is over at once: the reset may come while the caller still connects."""
    try:
        sock = forwarded.connect()
    except ConnectionResetError:
        return True
    with sock:
        return _broken(sock)


def _broken(sock: socket.socket) -> bool:
    """Whether the connection is over, in order or, as a broken one should be, by a reset."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
