"""A receiver killed at any step has no visible file, or the complete one with its receipt and audit entry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from comity.identity.envelope import Envelope
from tests.exchange_crash import CONTENT
from tests.exchange_nodes import Node
from tests.lanes import MemoryNet, World

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
async def test_kill_at_every_step(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.exchange_crash", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        check=True,
        timeout=100,
    )
    lives = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(lives) > 10
    finished = 0
    for home in lives:
        visible = [path for path in (home / "bob" / "received").rglob("*") if path.is_file()]
        assert [path.read_bytes() for path in visible] in ([], [CONTENT]), home.name
        world = World()
        bob = Node(home / "bob", "bob", lambda key, world=world: MemoryNet(world, key))  # type: ignore[misc]  # bound early on purpose
        bob.exchange.start()
        files = await bob.files()
        assert [Path(file.path) for file in files] == visible, home.name
        assert bob.on_disk() == [path.relative_to(home / "bob").as_posix() for path in visible], home.name
        assert {row.state for row in bob.rows()} <= {"done", "failed"}
        done = [row for row in bob.rows() if row.state == "done"]
        assert len(done) == len(files)
        for row in done:
            assert row.envelope is not None
            assert Envelope.from_json(row.envelope.encode()).digest == row.receipt
        entries = bob.entries("exchange.received")
        assert [entry.detail["receipt"] for entry in entries] == [row.receipt for row in done]
        assert len(bob.entries("exchange.failed")) == len(bob.rows()) - len(done)
        finished += bool(files)
        bob.close()
    assert 2 <= finished < len(lives)  # some before the file appeared, some after
