"""A receiver with a full disk: its home is a small filesystem in memory, mounted for its processes alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from comity import limits
from tests.labs import Lab, eventually
from tests.region import MIB, Region, region, under_way

FILE = 32 * MIB
DISK = FILE + limits.FREE_SPACE_MARGIN + 16 * MIB

MOUNT = 'mount -t tmpfs -o size=$1,mode=0700 tmpfs "$2" && echo mounted && exec sleep 600'


@contextmanager
def small_disk(place: Path) -> Iterator[int]:
    """A process that sees a small empty filesystem at ``place``, where everybody else sees a folder."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("needs root, unshare and nsenter")
    place.mkdir(parents=True)
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        MOUNT,
        "sh",
        str(DISK),
        str(place),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stderr is not None
            if holder.stdout.readline() != "mounted\n":
                pytest.skip(f"no filesystem can be mounted here: {holder.stderr.read().strip()}")
            yield holder.pid
        finally:
            holder.kill()


@dataclass(frozen=True)
class Scene:
    """Lab b has the small disk; ``inside`` is its home as it sees it."""

    here: Region
    a: Lab
    b: Lab
    inside: Path

    def visible(self) -> list[str]:
        return sorted(path.name for path in (self.inside / "received").rglob("*") if path.is_file())

    def parts(self) -> list[str]:
        return os.listdir(self.inside / "incoming")

    def fill(self) -> None:
        """Write until nothing more fits, to the last page."""
        with (self.inside / "filler").open("ab", buffering=0) as file:
            for piece in (MIB, 4096, 1):
                try:
                    while True:
                        file.write(bytes(piece))
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.inside / "filler").unlink()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with region(proxied=True) as here, small_disk(here.folder / "small" / "home") as holder:
        a = here.lab("lab-a-trainer")
        b = here.site("lab-b-trainer", "small", ("nsenter", "--target", str(holder), "--mount"))
        b.init(here.rendezvous.join)
        b.up()
        b.ask("handshake", a.card, "IRB #2026-0142")
        eventually(lambda: a.ask("pending")["pending"] != [], "lab-a-trainer is asked")
        a.ask("approve", "lab-b-trainer", "--fingerprint", b.fingerprint)
        eventually(lambda: a.sees(b), "they meet")
        try:
            yield Scene(here, a, b, Path(f"/proc/{holder}/root{b.home}"))
        finally:
            b.end()  # while its home is there


def test_too_little_room_is_said_before_anything_is_sent(scene: Scene) -> None:
    (scene.a.folder / "large").write_bytes(os.urandom(FILE + 17 * MIB))
    refusal = scene.a.refused("send-file", "lab-b-trainer", "large")
    assert refusal.told == ("disk_full", 43)
    assert str(scene.b.home) not in refusal.message
    (row,) = scene.a.ask("transfers")["transfers"]
    assert (row["state"], row["bytes_done"]) == ("failed", 0)
    assert scene.visible() == []


def test_a_disk_that_fills_up_on_arrival(scene: Scene) -> None:
    content = os.urandom(FILE)
    with under_way(scene.here, scene.a, scene.b, content) as (command, _):
        eventually(lambda: scene.parts() != [], "it has begun")
        scene.fill()
    assert command.refusal().told == ("disk_full", 43)
    eventually(lambda: scene.parts() == [], "the part is gone, and with it the room that it took")
    assert scene.visible() == []
    assert scene.b.ask("status")["running"]
    scene.make_room()
    assert scene.a.ask("send-file", "lab-b-trainer", "model.bin")["bytes"] == FILE
    assert scene.visible() == ["model.bin"]
    states = [(row["state"], row["name"]) for row in scene.b.ask("transfers")["transfers"]]
    assert states == [("done", "model.bin"), ("failed", "model.bin")]
    assert scene.b.ask("audit", "verify")["valid"]
