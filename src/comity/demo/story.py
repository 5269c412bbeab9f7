"""The whole demo, from an empty folder to a refused send; what comes out of it is one object.

It returns only if everything held; the first thing that did not raises DemoFailed. The order is the story's,
the steps are in ``agreement``, ``learning`` and ``ending``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from comity.demo.agreement import Channel, Node, shake_hands, start_nodes, start_rendezvous
from comity.demo.checks import Check, Checks
from comity.demo.ending import AuditRoot, Revoked, revoke, verify_agreement, verify_logs
from comity.demo.failure import DemoFailed
from comity.demo.learning import Delivery, Learned, Learning
from comity.demo.model import Patients, Score
from comity.demo.narrator import Narrator, percent
from comity.demo.processes import is_alive
from comity.demo.stage import COTE_BLEUE, ST_MARY, Stage
from comity.demo.study import Study, all_patients, split


@dataclass(frozen=True)
class Settings:
    """``keep``: where to play and leave everything; ``seed`` decides who is whose patient; ``rounds`` from
    1 to 15.
    """

    rounds: int
    seed: int
    keep: Path | None


@dataclass(frozen=True)
class HospitalResult:
    """One hospital: its node, its patients, and how its model did alone."""

    hostname: str
    organization: str
    address: str
    fingerprint: str
    patients: int
    cancers: int
    alone: float


@dataclass(frozen=True)
class AgreementResult:
    """The agreement, and what its offline verification said."""

    digest: str
    justification: str
    valid: bool
    identities: str
    signed_at: str
    until: str


@dataclass(frozen=True)
class DemoResult:
    """Everything that ``--json`` prints. Accuracies are shares of the test patients; ``scores`` counts
    them.
    """

    ok: bool
    seed: int
    rounds: int
    hospitals: tuple[HospitalResult, ...]
    test_patients: int
    accuracy: dict[str, float]
    scores: dict[str, Score]
    model: str
    path: str
    group: str
    cipher: str
    channels: tuple[Channel, ...]
    agreement: AgreementResult
    transfers: tuple[Delivery, ...]
    audit: tuple[AuditRoot, ...]
    revocation: Revoked
    checks: tuple[Check, ...]
    folder: str | None
    seconds: float


def play(settings: Settings, narrator: Narrator) -> DemoResult:
    """The demo. Raises DemoFailed, whose message names the folder that was kept, and InvalidInput for
    ``keep``.
    """
    started = time.monotonic()
    stage = Stage(narrator, settings.keep)
    try:
        with stage:
            result = _play(settings, stage, narrator, started)
    except DemoFailed as failure:
        failure.folder = stage.folder
        raise
    _sum_up(result, narrator)
    return result


def _play(settings: Settings, stage: Stage, narrator: Narrator, started: float) -> DemoResult:
    checks = Checks(narrator)
    narrator.heading("Two hospitals share a model, not data.")
    whole = all_patients()
    study = split(whole, settings.seed)
    _describe(narrator, whole, study)
    url = start_rendezvous(stage, narrator)
    nodes = start_nodes(stage, narrator, url, (ST_MARY, COTE_BLEUE))
    agreed = shake_hands(nodes, narrator, checks)
    learning = Learning(nodes, stage.console("evaluation", "evaluation"), narrator, checks, agreed.digest)
    learning.hand_out(study)
    learned = learning.run(settings.rounds)
    verified = verify_agreement(nodes, stage.console("auditor", "auditor"), agreed, narrator, checks)
    roots = verify_logs(nodes, narrator, checks)
    revoked = revoke(nodes, agreed, narrator, checks)
    _close(nodes, stage, narrator, checks)
    return DemoResult(
        ok=True,
        seed=settings.seed,
        rounds=settings.rounds,
        hospitals=_hospitals(nodes, study, learned),
        test_patients=len(study.test),
        accuracy={name: score.accuracy for name, score in _scores(learned).items()},
        scores=_scores(learned),
        model=learned.model,
        path=agreed.channels[0].path,
        group=agreed.channels[0].group,
        cipher=agreed.channels[0].cipher,
        channels=agreed.channels,
        agreement=AgreementResult(
            digest=agreed.digest,
            justification=agreed.justification,
            valid=verified.valid,
            identities=verified.identities,
            signed_at=verified.signed_at,
            until=verified.until,
        ),
        transfers=learned.deliveries,
        audit=roots,
        revocation=revoked,
        checks=checks.held,
        folder=str(stage.folder) if stage.kept else None,
        seconds=round(time.monotonic() - started, 2),
    )


def _describe(narrator: Narrator, whole: Patients, study: Study) -> None:
    narrator.step("The patients")
    narrator.says(
        f"{len(whole)} real patients (Wisconsin diagnostic breast cancer); the hospitals are invented."
    )
    groups = (
        (ST_MARY.organization, study.screening),
        (COTE_BLEUE.organization, study.referral),
        ("set aside: neither hospital trains on them", study.test),
    )
    for name, patients in groups:
        narrator.says(f"{len(patients):>5}  {name} ({patients.cancers} with cancer)")


def _close(nodes: Sequence[Node], stage: Stage, narrator: Narrator, checks: Checks) -> None:
    narrator.step("The end")
    for node in nodes:
        node.console.answer("down")
    left = [pid for pid in stage.daemons if is_alive(pid)]
    checks.hold("both nodes ended", not left, f"{len(left)} processes are left")


def _sum_up(result: DemoResult, narrator: Narrator) -> None:
    narrator.heading("")
    narrator.heading(f"Everything held: {len(result.checks)} checks, {result.seconds:.0f} s.")
    for hospital in result.hospitals:
        narrator.says(f"{hospital.hostname} alone: {percent(hospital.alone)}")
    shared = f"together: {percent(result.accuracy['together'])}"
    narrator.says(f"{shared}, on {result.test_patients} patients that nobody trained on")
    narrator.says(f"path {result.path}, group {result.group}, cipher {result.cipher}")
    narrator.says(f"agreement {result.agreement.digest}")
    for log in result.audit:
        narrator.says(f"audit log of {log.hostname}: root {log.root}")
    if result.folder:
        narrator.says(f"kept: {result.folder}")


def _hospitals(nodes: Sequence[Node], study: Study, learned: Learned) -> tuple[HospitalResult, ...]:
    return tuple(
        HospitalResult(
            hostname=node.name,
            organization=node.hospital.organization,
            address=node.address,
            fingerprint=node.fingerprint,
            patients=len(patients),
            cancers=patients.cancers,
            alone=learned.alone[node.name].accuracy,
        )
        for node, patients in zip(nodes, (study.screening, study.referral), strict=True)
    )


def _scores(learned: Learned) -> dict[str, Score]:
    return learned.alone | {"together": learned.together}
