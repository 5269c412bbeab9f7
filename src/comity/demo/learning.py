"""The middle of the demo: each hospital trains on its own patients, and only sums and weights cross.

Every training, averaging and evaluation is a process of its own, which is given the files that it may read.
Both hospitals average by themselves, and must get the same model. What is judged is one model alone per
hospital, and the shared one, on patients that none of them was trained on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from comity.control import ReceivedFile, ReceivedResult, SendResult, TransfersResult
from comity.demo.agreement import Node
from comity.demo.checks import Checks
from comity.demo.console import Console
from comity.demo.failure import DemoFailed
from comity.demo.model import Score
from comity.demo.narrator import Narrator, percent, shortened
from comity.demo.study import FILE as PATIENTS
from comity.demo.study import Study, save_patients

_WAIT = "30"


@dataclass(frozen=True)
class Delivery:
    """One file that crossed. ``round`` 0 is the summaries; ``receipt`` is the digest of the receiver's
    signature.
    """

    round: int
    sender: str
    recipient: str
    name: str
    bytes: int
    digest: str
    seconds: float
    path: str
    receipt: str


@dataclass(frozen=True)
class Learned:
    """``alone``: each hospital's score by hostname; ``together``: the shared model's; ``model``: its
    digest.
    """

    alone: dict[str, Score]
    together: Score
    model: str
    deliveries: tuple[Delivery, ...]


class Learning:
    """The rounds between two nodes; ``evaluation`` is the terminal where the test patients are."""

    def __init__(
        self, nodes: Sequence[Node], evaluation: Console, narrator: Narrator, checks: Checks, agreement: str
    ) -> None:
        self._nodes = nodes
        self._evaluation = evaluation
        self._narrator = narrator
        self._checks = checks
        self._agreement = agreement
        self._deliveries: list[Delivery] = []

    def hand_out(self, study: Study) -> None:
        """Give each terminal its own patients and no others."""
        consoles = [*(node.console for node in self._nodes), self._evaluation]
        for console, patients in zip(consoles, (study.screening, study.referral, study.test), strict=True):
            save_patients(patients, console.folder / PATIENTS)

    def run(self, rounds: int) -> Learned:
        """Train alone, then together, then judge."""
        self._train_alone()
        starts = self._exchange_summaries()
        for number in range(1, rounds + 1):
            starts = self._round(number, starts)
        self._compare_receipts()
        return self._judge(starts[0])

    def _train_alone(self) -> None:
        self._narrator.step("Each hospital trains a model on its own patients, alone")
        for node in self._nodes:
            told = node.console.program("train", "--data", PATIENTS, "--out", "alone.safetensors")
            node.console.result(
                f"{told['patients']} patients, {told['cancers']} with cancer, {told['steps']} steps"
            )

    def _exchange_summaries(self) -> list[list[str]]:
        """What each hospital's first round starts from: both summaries, its own first."""
        self._narrator.step("They agree on a scale: sums per feature cross, not patients")
        for node in self._nodes:
            name = _file(node, "summary")
            told = node.console.program("summarise", "--data", PATIENTS, "--out", name)
            node.console.result(
                f"{told['features']} sums and sums of squares over {told['patients']} patients"
            )
        received = self._exchange(0, "summary")
        return [["--summary", *paths] for paths in received]

    def _round(self, number: int, starts: list[list[str]]) -> list[list[str]]:
        """One round of federated averaging; what the next one starts from, per hospital."""
        self._narrator.step(f"Round {number}: train on own patients, exchange weights, average")
        label = f"round-{number}"
        for node, start in zip(self._nodes, starts, strict=True):
            node.console.program("train", "--data", PATIENTS, "--out", _file(node, label), *start)
        shared = f"shared-{number}.safetensors"
        for node, models in zip(self._nodes, self._exchange(number, label), strict=True):
            told = node.console.program("average", *models, "--out", shared)
            node.console.result(f"mean of {told['models']} models, {told['patients']} patients")
        digests = [_digest(node.console.folder / shared) for node in self._nodes]
        self._checks.hold("both hospitals hold the same model", digests[0] == digests[1], digests[0])
        return [["--start", shared] for _ in self._nodes]

    def _exchange(self, number: int, label: str) -> list[list[str]]:
        """Send both ways; per hospital its own file and the other's, as paths in its folder."""
        one, other = self._nodes
        from_one, from_other = (
            self._deliver(one, other, number, label),
            self._deliver(other, one, number, label),
        )
        return [[_file(one, label), from_other], [_file(other, label), from_one]]

    def _deliver(self, sender: Node, recipient: Node, number: int, label: str) -> str:
        """Send one file and take delivery of it; where it lies, in the recipient's folder."""
        name = _file(sender, label)
        sent = sender.console.comity(SendResult, "send-file", recipient.name, name)
        sender.console.result(
            f"{sent.bytes} bytes over {sent.path} in {sent.seconds:.2f} s, receipt {shortened(sent.receipt)}"
        )
        arguments = ("received", "--wait", name, "--timeout", _WAIT)
        files = recipient.console.comity(ReceivedResult, *arguments).files
        got = _only(files, name, sender, recipient)
        digests = {sent.digest, got.digest, _digest(sender.console.folder / name), _digest(Path(got.path))}
        seen = shortened(got.digest)
        self._checks.hold(f"{name} arrived whole", len(digests) == 1, seen, recipient.console.printed)
        agreements = {sent.agreement, got.agreement}
        if agreements != {self._agreement} or not sent.receipt.startswith("sha256:"):
            raise DemoFailed.of(
                f"{name} has a receipt under the agreement", str(sent), sender.console.printed
            )
        delivery = Delivery(
            round=number,
            sender=sender.name,
            recipient=recipient.name,
            name=name,
            bytes=sent.bytes,
            digest=sent.digest,
            seconds=sent.seconds,
            path=sent.path,
            receipt=sent.receipt,
        )
        self._deliveries.append(delivery)
        return os.path.relpath(got.path, recipient.console.folder)

    def _compare_receipts(self) -> None:
        self._narrator.step("Receipts: both sides hold the same signatures")
        held = []
        for node in self._nodes:
            listed = node.console.comity(TransfersResult, "transfers").transfers
            held.append({(transfer.name, transfer.receipt) for transfer in listed})
        told = {(delivery.name, delivery.receipt) for delivery in self._deliveries}
        seen = f"{len(told)} receipts of {len(self._deliveries)} files"
        self._checks.hold("each delivery has one receipt, on both sides", held == [told, told], seen)

    def _judge(self, shared: Sequence[str]) -> Learned:
        self._narrator.step("Judged on patients that nobody trained on")
        alone = {}
        for node in self._nodes:
            alone[node.name] = self._evaluate(f"{node.name} alone", node, "alone.safetensors")
        together = self._evaluate("together", self._nodes[0], shared[-1])
        best = max(score.right for score in alone.values())
        self._checks.hold(
            "together is at least as good as each alone",
            together.right >= best,
            f"{percent(together.accuracy)} together; "
            + ", ".join(f"{percent(score.accuracy)} {name}" for name, score in alone.items()),
            self._evaluation.printed,
        )
        model = _digest(self._nodes[0].console.folder / shared[-1])
        return Learned(alone, together, model, tuple(self._deliveries))

    def _evaluate(self, label: str, node: Node, model: str) -> Score:
        path = os.path.relpath(node.console.folder / model, self._evaluation.folder)
        told = self._evaluation.program("evaluate", "--data", PATIENTS, "--model", path)
        del told["accuracy"]  # follows from the rest
        score = msgspec.convert(told, Score)
        self._evaluation.result(
            f"{label}: {percent(score.accuracy)} ({score.right} of {score.patients} right;"
            f" {score.missed} cancers missed, {score.false_alarms} false alarms)"
        )
        return score


def _file(node: Node, label: str) -> str:
    return f"{node.hospital.folder}-{label}.safetensors"


def _only(files: Sequence[ReceivedFile], name: str, sender: Node, recipient: Node) -> ReceivedFile:
    found = [file for file in files if file.name == name and file.fingerprint == sender.fingerprint]
    if len(found) != 1:
        raise DemoFailed.of(f"{name} arrives", f"it is listed {len(found)} times", recipient.console.printed)
    return found[0]


def _digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
