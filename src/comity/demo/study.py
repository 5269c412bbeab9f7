"""The patients: real ones, split between two hospitals and a set that neither trains on.

The source is scikit-learn's copy of the Wisconsin diagnostic breast cancer set (Wolberg, Street and
Mangasarian, 1995; CC BY 4.0): 569 patients, 30 features computed from an image of a fine-needle aspirate,
212 cancers. The hospitals are invented. Thirty in a hundred patients of each outcome are set aside for
evaluation. Of the others a screening clinic sees most of the healthy and few of the ill, a referral
hospital the reverse: uneven and not identically distributed, as between real institutions. A model trained
on one side alone inherits that side's view, so the screening clinic's misses cancers and the referral
hospital's raises false alarms. How much the two gain together is owed to this split: hospitals that see the
same mix of patients gain less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

from comity.demo.model import Patients

#: What a group's file is called, in the folder of whoever has it.
FILE = "patients.npz"
SET_ASIDE = 0.30
#: What the screening clinic sees of the patients that are not set aside.
SCREENED_HEALTHY = 0.93
SCREENED_CANCERS = 0.04


@dataclass(frozen=True)
class Study:
    """Three groups without a patient in common."""

    screening: Patients
    referral: Patients
    test: Patients


def all_patients() -> Patients:
    """All 569, in the source's order; its target 0 is malignant."""
    features, target = load_breast_cancer(return_X_y=True)
    return Patients(np.asarray(features, np.float64), np.asarray(target == 0, np.float64))


def split(patients: Patients, seed: int) -> Study:
    """The study of that seed: stratified by outcome, so that only who goes where differs between seeds."""
    random = np.random.default_rng(seed)
    screening: list[int] = []
    referral: list[int] = []
    test: list[int] = []
    for outcome, share in ((0.0, SCREENED_HEALTHY), (1.0, SCREENED_CANCERS)):
        shuffled = random.permutation(np.flatnonzero(patients.malignant == outcome)).tolist()
        aside = round(SET_ASIDE * len(shuffled))
        screened = aside + round(share * (len(shuffled) - aside))
        test += shuffled[:aside]
        screening += shuffled[aside:screened]
        referral += shuffled[screened:]
    return Study(_take(patients, screening), _take(patients, referral), _take(patients, test))


def _take(patients: Patients, rows: list[int]) -> Patients:
    chosen = sorted(rows)  # in the source's order, which tells nothing of the outcome
    return Patients(patients.features[chosen], patients.malignant[chosen])


def save_patients(patients: Patients, path: Path) -> None:
    """Write one group to an ``.npz`` file of its own."""
    np.savez(path, features=patients.features, malignant=patients.malignant)
