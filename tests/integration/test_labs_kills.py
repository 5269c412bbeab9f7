"""kill -9 of sender, of receiver, of both, at random moments of real transfers between real daemons.

COMITY_KILLS says how many (``make kills`` takes 200); every run is another file, another victim and another
moment, all from one seed, COMITY_KILLS_SEED, which is printed. Whatever is killed: nothing that is visible is
incomplete or wrong, what lay verified on the receiver's disk doesn't travel again, and the same command ends
well. What travels again is counted with all that the kernels held: it is no more than one chunk may have
(``limits.CHUNK_BYTES``; those of this size are shorter).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from comity import limits
from tests.labs import PATIENCE, Command, Lab
from tests.region import Region, agree, region

RUNS = int(os.environ.get("COMITY_KILLS", "3"))
SEED = int(os.environ.get("COMITY_KILLS_SEED", "0")) or random.SystemRandom().randrange(2**32)
CHUNK = limits.SMALL_CHUNK_BYTES
SIZE = 48 * CHUNK + 4321


@pytest.fixture(scope="module")
def here() -> Iterator[Region]:
    """Two labs; the second listens, so that transfers take the direct path."""
    with region() as made:
        one = made.lab("lab-a-trainer")
        two = made.lab("lab-b-trainer", up=("--listen", "127.0.0.1:0"))
        agree(one, two)
        yield made


def whole_chunks(part: Path, content: bytes) -> int:
    """How many chunks from the beginning on lie in a part as they should."""
    try:
        held = part.read_bytes()
    except FileNotFoundError:  # its receiver lives, and is done with it
        return 0
    count = 0
    while count * CHUNK < len(content):
        here = slice(count * CHUNK, (count + 1) * CHUNK)
        if held[here] != content[here]:
            break
        count += 1
    return count


def visible(lab: Lab) -> list[Path]:
    return [path for path in lab.received() if path.suffix != ".part"]


def await_part(lab: Lab, command: Command) -> None:
    """Return once something arrives there, or nothing will."""
    incoming = lab.home / "incoming"
    while command.process.poll() is None and not any(incoming.iterdir()):
        time.sleep(0.002)


def check_visible(lab: Lab, content: bytes) -> None:
    """A file is there whole, or not at all."""
    for path in visible(lab):
        assert path.read_bytes() == content, "a wrong byte, or a part of a file, is visible"


def revive(lab: Lab) -> None:
    lab.up(*(("--listen", "127.0.0.1:0") if lab.hostname == "lab-b-trainer" else ()))


@pytest.mark.timeout(60 + 40 * RUNS)
def test_kills_at_random_moments(here: Region, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = here.labs
    dice = random.Random(SEED)
    seen: Counter[str] = Counter()
    again: list[int] = []
    for number in range(RUNS):
        content = os.urandom(SIZE)
        name = f"model-{number}.bin"
        (a.folder / name).write_bytes(content)
        victims = dice.choice([(a,), (b,), (a, b)])
        command = a.begin("send-file", "lab-b-trainer", name)
        if dice.random() < 0.9:
            await_part(b, command)
        time.sleep(dice.uniform(0.0, 0.3))
        for lab in victims:
            lab.kill()
        check_visible(b, content)
        parts = [path for path in b.received() if path.suffix == ".part"]
        assert len(parts) <= 1
        done = whole_chunks(parts[0], content) if parts else 0
        moment = "before" if not parts and not visible(b) else "while" if parts else "after"
        seen[moment] += 1
        for lab in victims:
            revive(lab)
        check_visible(b, content)
        ended, deadline = command.end(), time.monotonic() + PATIENCE
        while ended.returncode != 0 and time.monotonic() < deadline:
            ended = a.begin("send-file", "lab-b-trainer", name).end()
            check_visible(b, content)
        assert ended.returncode == 0, ended
        sent = int(ended.stdout.split('"bytes_sent": ')[1].split(",")[0])
        if moment == "while" and a in victims:
            # The receiver was found with this much, and the command was run anew.
            assert sent <= max(0, SIZE - done * CHUNK), (number, victims, sent, done)
        elif moment == "while":
            again.append(sent - SIZE)
            if sys.platform == "linux":  # elsewhere the kernel decides what it holds
                assert sent - SIZE <= limits.CHUNK_BYTES, (number, victims, sent)
        check_visible(b, content)
        assert visible(b)
        assert not [path for path in b.received() if path.suffix == ".part"]
        for path in visible(b):
            path.unlink()
        (a.folder / name).unlink()
    most = max(again, default=0) / limits.CHUNK_BYTES
    with capsys.disabled():
        sys.stderr.write(
            f"\n{RUNS} runs, seed {SEED}: killed {dict(seen)} bytes were stored\n"
            f"where the sender lived, at most {most:.2f} of the longest chunk travelled again\n"
        )
