"""Who could read what: modes of everything a lab writes, what its processes show, what its logs tell, and who
may talk to its daemon. All of it was started by somebody whose umask is 0.
"""

from __future__ import annotations

import base64
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from comity.identity.keys import Identity
from comity.storage.home import Home
from comity.storage.keystore import FileKeyStore
from comity.storage.lease import find_runtime
from tests.labs import Lab
from tests.region import Region, agree, region

JUSTIFICATION = "Gliastudie Nr. 7, IRB #2026-0142-QX9"
REQUESTED_BY = "Prof. Oduya-Lindqvist"
PASSPHRASE = "seven quiet otters under the ice"
NOBODY = 65534

#: Says one thing to a socket as another user, and prints what came back.
CALLER = """
import os, socket, sys
if sys.argv[1] != "0":
    os.setgroups([])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
try:
    sock.connect(sys.argv[2])
    socket.send_fds(sock, [sys.argv[3].encode()], [0] if len(sys.argv[3]) == 32 else [])
    print(sock.recv(100).decode().split("\\r")[0] or "nothing")
except OSError as error:
    print(type(error).__name__)
"""
STATUS = "POST /v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
TOKEN = "ab" * 16


@dataclass(frozen=True)
class Scene:
    """Lab a's key is protected by a passphrase. Both have done what labs do."""

    here: Region
    a: Lab
    b: Lab

    def runtime(self, lab: Lab) -> Path:
        return find_runtime(Home(lab.home), lab.environment).path


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    before = os.umask(0)
    try:
        with region() as here:
            a = here.site("lab-a-trainer")
            secret = a.folder / "passphrase"
            secret.write_text(PASSPHRASE)
            secret.chmod(0o600)
            locked = ("--passphrase-file", str(secret))
            a.init(here.rendezvous.join, *locked)
            assert a.refused("up").told == ("wrong_passphrase", 16)
            a.up(*locked)
            b = here.lab("lab-b-trainer", "--contact", "irb@obernburg.example")
            agree(a, b, JUSTIFICATION, "--as", REQUESTED_BY)
            (a.folder / "model.bin").write_bytes(os.urandom(100_000))
            a.ask("send-file", "lab-b-trainer", "model.bin")
            yield Scene(here, a, b)
    finally:
        os.umask(before)


def private_keys(lab: Lab) -> list[bytes]:
    """Every private key of a lab, in every form in which it could slip out."""
    raw = [FileKeyStore(Home(lab.home).identity_key).load(PASSPHRASE).private_key.private_bytes_raw()]
    raw.append(Identity.from_pem(Home(lab.home).log_key.read_bytes()).private_key.private_bytes_raw())
    with closing(sqlite3.connect(f"file:{Home(lab.home).database}?mode=ro", uri=True)) as db:
        raw += [private for (private,) in db.execute("SELECT private FROM own_sealing_key")]
    assert len(raw) >= 3
    shown = [form for key in raw for form in (key, key.hex().encode(), repr(key).encode())]
    # In a PEM the key ends the base64, wherever it began: its last 24 bytes are letters of their own.
    return shown + [base64.b64encode(key[-24:]) for key in raw]


def test_modes(scene: Scene) -> None:
    roots = [
        scene.a.home,
        scene.b.home,
        scene.here.rendezvous.state,
        scene.runtime(scene.a),
        scene.runtime(scene.b),
    ]
    paths = [path for root in roots for path in (root, *root.rglob("*"))]
    kinds = {stat.S_IFMT(path.lstat().st_mode) for path in paths}
    assert kinds == {stat.S_IFDIR, stat.S_IFREG, stat.S_IFSOCK}
    for path in paths:
        mode = path.lstat().st_mode
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
    names = {path.name for path in paths}
    assert {
        "identity.key",
        "log.key",
        "node.db",
        "control.sock",
        "handoff.sock",
        "model.bin",
        "join.url",
    } <= names


def test_a_locked_key_is_nowhere_in_the_open(scene: Scene) -> None:
    identity = private_keys(scene.a)[:3]
    for path in scene.a.home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(form in content for form in identity), path
            assert PASSPHRASE.encode() not in content


def test_what_ps_shows(scene: Scene) -> None:
    if sys.platform != "linux":
        pytest.skip("there is no /proc to look into")
    secrets = [PASSPHRASE.encode(), *private_keys(scene.a), *private_keys(scene.b), JUSTIFICATION.encode()]
    for pid in (scene.a.pid, scene.b.pid, scene.here.rendezvous.pid):
        for file in ("cmdline", "environ"):
            shown = Path(f"/proc/{pid}/{file}").read_bytes()
            assert shown
            assert not any(secret in shown for secret in secrets)


def test_what_the_logs_tell(scene: Scene) -> None:
    words = [JUSTIFICATION, REQUESTED_BY, PASSPHRASE, "PRIVATE KEY", "irb@obernburg"]
    secrets = [*map(str.encode, words), *private_keys(scene.a), *private_keys(scene.b)]
    for said in (scene.a.said(), scene.b.said(), scene.here.rendezvous.said()):
        assert "registered" in said
        assert not [secret for secret in secrets if secret in said.encode()]
    assert "session" in scene.a.said()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_no_answer(scene: Scene) -> None:
    """The folder keeps them out; and were it open, the daemon would."""
    runtime = scene.runtime(scene.a)
    sockets = {str(runtime / "control.sock"): STATUS, str(runtime / "handoff.sock"): TOKEN}
    assert [said(0, path, words) for path, words in sockets.items()] == ["HTTP/1.1 200 OK", "OK"]
    assert {said(NOBODY, path, words) for path, words in sockets.items()} == {"PermissionError"}
    doors = [scene.here.folder, scene.here.run, runtime.parent, runtime, *map(Path, sockets)]
    modes = [stat.S_IMODE(door.stat().st_mode) for door in doors]
    for door in doors:
        door.chmod(0o777)
    try:
        answers = {said(NOBODY, path, words) for path, words in sockets.items()}
    finally:
        for door, mode in zip(doors, modes, strict=True):
            door.chmod(mode)
    assert answers <= {"nothing", "ConnectionResetError", "BrokenPipeError"}
    assert scene.a.ask("status")["running"]


def said(user: int, path: str, words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CALLER, str(user), path, words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_a_home_that_is_open_to_others_is_refused(scene: Scene) -> None:
    lab = scene.here.site("lab-c-trainer")
    lab.init(scene.here.rendezvous.join)
    for path, mode in (
        (lab.home, 0o750),
        (lab.home / "identity.key", 0o640),
        (lab.home / "config.toml", 0o606),
    ):
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        refusal = lab.refused("up")
        assert refusal.told == ("home_unsafe", 14)
        assert str(path) in refusal.message
        path.chmod(before)
    lab.up()
