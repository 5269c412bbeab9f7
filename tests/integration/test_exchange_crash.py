"""A receiver killed at any step has no visible file, or the complete one with its receipt and audit entry."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from comity.identity.envelope import Envelope
from comity.identity.keys import Identity
from tests.exchange_crash import CONTENT
from tests.exchange_nodes import Node, acquaint
from tests.lanes import MemoryNet, World

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(300)
async def test_kill_at_every_step(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.exchange_crash", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        check=True,
        timeout=250,
    )
    lives = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(lives) > 10
    finished = 0
    for home in lives:
        visible = [path for path in (home / "bob" / "received").rglob("*") if path.is_file()]
        assert [path.read_bytes() for path in visible] in ([], [CONTENT]), home.name
        world = World()
        alice, bob = (node(home, name, world) for name in ("alice", "bob"))
        acquaint(alice, bob)
        bob.exchange.start()
        alice.exchange.start()
        files = await bob.files()
        assert [Path(file.path) for file in files] == visible, home.name
        assert {row.state for row in bob.rows()} <= {
            "done",
            "interrupted",
            "failed",
        }  # before its part was made
        done = [row for row in bob.rows() if row.state == "done"]
        assert len(done) == len(files)
        for row in done:
            assert row.envelope is not None
            assert Envelope.from_json(row.envelope.encode()).digest == row.receipt
        entries = bob.entries("exchange.received")
        assert [entry.detail["receipt"] for entry in entries] == [row.receipt for row in done]
        ended = [*bob.entries("exchange.interrupted"), *bob.entries("exchange.failed")]
        assert len(ended) == len(bob.rows()) - len(done)
        finished += bool(files)
        again = await alice.send("bob", home / "file")  # it goes on, or gets the receipt that it had missed
        await world.nodes[bob.key].idle()
        (kept,) = {Path(file.path).name for file in await bob.files()} - (
            {"file.2"} if alice_knew(alice) else set()
        )
        assert kept == "file"
        assert again.digest == "sha256:" + hashlib.sha256(CONTENT).hexdigest()
        assert all(Path(file.path).read_bytes() == CONTENT for file in await bob.files())
        assert not list((home / "bob" / "incoming").iterdir()), home.name
        await world.close()
        alice.close()
        bob.close()
    assert 2 <= finished < len(lives)  # some before the file appeared, some after


def node(home: Path, name: str, world: World) -> Node:
    identity = Identity.from_pem((home / f"{name}.pem").read_bytes())
    return Node(home / name, name, lambda key: MemoryNet(world, key), identity=identity)


def alice_knew(alice: Node) -> bool:
    """Whether the first sending was done for her, so that the second was a new one."""
    return len(alice.rows()) > 1
