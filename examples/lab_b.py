"""Lab B of the federated training that lab A's script runs with ``pilotctl``: its mirror, on Comity's API.

    python lab_b.py --partner lab-a-trainer --rounds 10

Lab A sends its weights and waits for ``training/weights-ready``. So lab B answers each round's weights with its
own, and says that they are ready once it holds lab A's signed receipt, so that they are there when lab A hears
of them. Which of lab A's files were answered is kept in a file: killed at any point and started again, lab B
goes on. If lab A starts again it begins at round 1, and lab B answers that too.

It ends when lab A has published that the last round is complete.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import comity
from comity.control import ReceivedFile
from comity.errors import ComityError, LinkLost, PeerUnreachable, TransferFailed

HERE = Path(__file__).resolve().parent
_WEIGHTS = re.compile(r"local-round-([0-9]+)\.pt")
_PASSING = (PeerUnreachable, LinkLost, TransferFailed)


class LabB:
    """``answered`` is the file that outlives this process."""

    def __init__(self, node: comity.Node, partner: str, data: Path, models: Path) -> None:
        self._node = node
        self._partner = partner
        self._data = data
        self._models = models
        self._answered = models / "answered.json"
        self._over = threading.Event()

    def run(self, rounds: int) -> None:
        """Answer until the last round is complete."""
        watching = threading.Thread(target=self._watch, args=(rounds,), daemon=True)
        watching.start()
        for file in self._arriving():
            match = _WEIGHTS.fullmatch(file.name)
            if match is not None and file.path not in self._done():
                self._answer(int(match[1]), file)

    def _arriving(self) -> list[ReceivedFile]:
        ...
