"""Lab B of the federated training that lab A's script runs with ``pilotctl``: its mirror, on Comity's API.

    python lab_b.py --partner lab-a-trainer --rounds 10

Lab A sends its weights and waits for ``training/weights-ready``. So lab B answers each round's weights with
its own, and says that they are ready once it holds lab A's signed receipt, so that they are there when lab A
hears of them. Which of lab A's files were answered is kept in a file: killed at any point and started again,
lab B goes on. If lab A starts again it begins at round 1, and lab B answers that too.

It ends when lab A has published that the last round is complete.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import comity
from comity.control import ReceivedFile
from comity.errors import LinkLost, PeerUnreachable, TimedOut, TransferFailed

HERE = Path(__file__).resolve().parent
_WEIGHTS = re.compile(r"local-round-([0-9]+)\.pt")
_PASSING = (PeerUnreachable, LinkLost, TransferFailed)  # lab A is away: it comes back
_LOOK_EVERY = 1.0


class LabB:
    """``models`` holds what outlives this process: every round's model, and what was answered."""

    def __init__(self, node: comity.Node, partner: str, data: Path, models: Path) -> None:
        self._node = node
        self._partner = partner
        self._data = data
        self._models = models
        self._record = models / "answered.json"
        self._answered = set(json.loads(self._record.read_text()) if self._record.exists() else ())

    def run(self, rounds: int) -> None:
        """Answer lab A's weights until it has completed the last round."""
        while not self._complete(rounds):
            try:
                for file in self._node.arrivals(peer=self._partner, past=True, timeout=_LOOK_EVERY):
                    match = _WEIGHTS.fullmatch(file.name)
                    if match is not None and file.path not in self._answered:
                        self._answer(int(match[1]), file)
            except TimedOut:
                pass

    def _answer(self, number: int, theirs: ReceivedFile) -> None:
        print(f"--- Round {number}: {theirs.name} has come from {self._partner} ---", flush=True)
        ours = self._models / theirs.name
        if not ours.exists():
            start = self._models / f"global-round-{number - 1}.pt"
            self._program("train.py", data=self._data, weights=start, output=ours)
        receipt = self._send(ours)
        self._node.publish("training/weights-ready", json.dumps({"round": number, "receipt": receipt}))
        result = self._models / f"global-round-{number}.pt"
        self._program("aggregate.py", local=ours, remote=theirs.path, output=result)
        self._answered.add(theirs.path)
        new = self._record.with_suffix(".new")
        new.write_text(json.dumps(sorted(self._answered)))
        new.replace(self._record)

    def _send(self, path: Path) -> str:
        """The receipt's digest, however long lab A takes to be there."""
        while True:
            try:
                return self._node.send(self._partner, path).receipt
            except _PASSING as error:
                print(f"waiting for {self._partner}: {error}", flush=True)
                time.sleep(_LOOK_EVERY)

    def _complete(self, rounds: int) -> bool:
        topic = "training/round-complete"
        try:
            with self._node.subscribe(topic, peer=self._partner, consumer="lab-b", timeout=0.2) as events:
                return any(json.loads(event.data)["round"] == rounds for event in events)
        except TimedOut:
            return False

    def _program(self, name: str, output: Path, **arguments: object) -> None:
        options = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
        new = output.with_suffix(".new")
        subprocess.run([sys.executable, str(HERE / name), *options, "--output", str(new)], check=True)
        new.replace(output)  # whole, or not at all, whenever this is killed


def main() -> None:
    """Be lab B until the last round is complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--partner", default="lab-a-trainer")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--data", type=Path, default=Path("/local/ct-scans"))
    parser.add_argument("--models", type=Path, default=Path("/models"))
    found = parser.parse_args()
    with comity.connect() as node:
        LabB(node, found.partner, found.data, found.models).run(found.rounds)
    print("Federated training complete.")


if __name__ == "__main__":
    main()
