"""The seed's training loop, byte for byte, against its mirror: ten rounds, any order, one lab killed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.labs import Command, eventually
from tests.pilot.stage import Machine, Stage, staged, unavailable
from tests.pilot.test_pilot_replay import REGISTRY, asked, serve
from tests.pilot.transcript import SEED

pytestmark = [
    pytest.mark.skipif(unavailable() is not None, reason=f"no stage: {unavailable()}"),
    pytest.mark.timeout(600),
]
LOOP = SEED / "training_loop.txt"
ROUNDS = 10


@pytest.fixture
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


def test_the_script_is_the_seeds() -> None:
    assert hashlib.sha256(LOOP.read_bytes()).hexdigest() == (
        "40e7a6e4009611f9b848566b3ece77429722fd20263d5d01812e2a49b4fb5641"
    )


class Lab:
    """A lab whose training can be killed with its node, and started again."""

    def __init__(self, machine: Machine, hospital: str, program: list[str]) -> None:
        self.machine = machine
        self.models = machine.folder / "models"
        self._program = program
        self.training: Command | None = None
        machine.said("pilotctl", "init", "--hostname", f"lab-{hospital}-trainer")
        machine.said("python", "patients.py", "--hospital", hospital, "--folder", "/local/ct-scans")

    def up(self) -> None:
        self.machine.said("pilotctl", "daemon", "start", *REGISTRY)

    def train(self) -> None:
        self.training = self.machine.begin(*self._program)

    def kill(self) -> None:
        self.machine.kill()

    def rounds(self) -> int:
        """How many rounds it has completed."""
        assert self.training is not None
        if self.training.process.poll() not in (None, 0):
            pytest.fail(self.training.end().stderr)
        return len(list(self.models.glob("global-round-*.pt")))

    def finish(self) -> str:
        assert self.training is not None
        out, err = self.training.process.communicate(timeout=400)
        assert self.training.process.returncode == 0, (out, err)
        return out


@pytest.mark.parametrize(
    ("first", "killed"),
    [
        ("b", "b"),
        pytest.param(
            "a",
            "a",
            marks=pytest.mark.skipif(not os.environ.get("PILOT_ALL"), reason="a minute more: PILOT_ALL=1"),
        ),
    ],
)
def test_ten_rounds_end_whoever_starts_first_and_whoever_is_killed(
    stage: Stage, tmp_path: Path, first: str, killed: str
) -> None:
    serve(stage, "pilot-rendezvous -registry-addr :9000 -beacon-addr :9001")
    script = stage.folder / "federated.py"
    script.write_bytes(LOOP.read_bytes())
    a = Lab(stage.machine("lab-a"), "a", ["python", str(script)])
    b = Lab(stage.machine("lab-b"), "b", ["python", "lab_b.py"])
    labs = {"a": a, "b": b}
    a.up()
    b.up()
    a.machine.said("pilotctl", "handshake", "lab-b-trainer", "IRB #2026-0142")
    asked(b.machine, 1)
    b.machine.said("pilotctl", "approve", "lab-a-trainer")

    order = [labs[first], labs["b" if first == "a" else "a"]]
    order[1].machine.said("pilotctl", "daemon", "stop")
    order[0].train()
    order[1].up()
    order[1].train()
    victim = labs[killed]
    eventually(lambda: victim.rounds() >= 3, "the third round is complete", 200)
    victim.kill()
    victim.up()
    victim.train()

    assert a.finish().endswith("Federated training complete.\n")
    assert b.finish().endswith("Federated training complete.\n")
    assert (a.rounds(), b.rounds()) == (ROUNDS, ROUNDS)
    for number in range(1, ROUNDS + 1):  # both have averaged the same two models
        one, two = (lab.models / f"global-round-{number}.pt" for lab in (a, b))
        if killed == "b":
            assert one.read_bytes() == two.read_bytes()
