"""Two processes race for the last unit of a quota: one wins, in 1,000 tries."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from comity.clock import ManualClock
from comity.storage.schema import open_node_database
from tests.charter import race
from tests.charter.standing import ground, put_in_force

TRIES = 1000


def test_one_wins() -> None:
    with ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="race-")))
        database = folder / "node.db"
        with open_node_database(database) as db:
            put_in_force(ground(db, race.OWN, ManualClock(race.START)), race.OWN, race.plain())
        racers = [
            kept.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.charter.race", str(database), name, str(TRIES)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for name in ("one", "two")
        ]
        won = [0, 0]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for number in range(TRIES):
            for racer in (
                racers if number % 2 else reversed(racers)
            ):  # the first may always be the quicker one
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            answers = [racer.stdout.readline().strip() for racer in racers if racer.stdout is not None]
            assert sorted(answers) == ["no", "yes"], number
            won[answers.index("yes")] += 1
        assert [racer.wait(30) for racer in racers] == [0, 0]
        assert min(won) > 0, "they did not race"
