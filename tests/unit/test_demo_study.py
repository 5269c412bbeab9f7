"""The demo's science: nobody's patients are shared, and the gain is real for seeds that nobody picked."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from comity.demo.model import (
    ALONE_STEPS,
    ROUND_STEPS,
    Model,
    Patients,
    Score,
    average,
    evaluate,
    summarise,
    train,
    untrained,
)
from comity.demo.study import Study, all_patients, split

SEEDS = range(20)


def alone(patients: Patients) -> Model:
    return train(untrained([summarise(patients.features)]), patients, ALONE_STEPS)


def together(study: Study, rounds: int) -> Model:
    hospitals = (study.screening, study.referral)
    model = untrained([summarise(patients.features) for patients in hospitals])
    for _ in range(rounds):
        model = average([train(model, patients, ROUND_STEPS) for patients in hospitals])
    return model


def test_source_is_the_wisconsin_set() -> None:
    patients = all_patients()
    assert patients.features.shape == (569, 30)
    assert (len(patients), patients.cancers) == (569, 212)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_patient_is_in_exactly_one_group(seed: int) -> None:
    whole = all_patients()
    study = split(whole, seed)
    groups = (study.screening, study.referral, study.test)
    rows = np.concatenate([np.column_stack([group.features, group.malignant]) for group in groups])
    expected = np.column_stack([whole.features, whole.malignant])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, expected))
    assert [(len(group), group.cancers) for group in groups] == [(238, 6), (160, 142), (171, 64)]


def test_the_seed_alone_decides_the_split() -> None:
    whole = all_patients()
    assert np.array_equal(split(whole, 7).test.features, split(whole, 7).test.features)
    assert not np.array_equal(split(whole, 7).test.features, split(whole, 8).test.features)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rounds", [1, 3, 15])
def test_together_beats_both_hospitals_alone(seed: int, rounds: int) -> None:
    study = split(all_patients(), seed)
    screening, referral = (evaluate(alone(p), study.test) for p in (study.screening, study.referral))
    shared = evaluate(together(study, rounds), study.test)
    assert shared.right > max(screening.right, referral.right)


def test_gain_is_several_patients_in_a_hundred_on_average() -> None:
    gains = []
    for seed in SEEDS:
        study = split(all_patients(), seed)
        best = max(evaluate(alone(p), study.test).accuracy for p in (study.screening, study.referral))
        gains.append(evaluate(together(study, 3), study.test).accuracy - best)
    assert sum(gains) / len(gains) > 0.04


def test_each_hospital_alone_errs_in_its_own_way() -> None:
    study = split(all_patients(), 1)
    screening, referral = (evaluate(alone(p), study.test) for p in (study.screening, study.referral))
    assert screening.missed > screening.false_alarms
    assert referral.false_alarms > referral.missed


@pytest.mark.parametrize("seed", range(5))
def test_a_hospital_alone_is_no_straw_man(seed: int) -> None:
    """scikit-learn's own solver, on the same patients, does no better than our model alone."""
    study = split(all_patients(), seed)
    for patients in (study.screening, study.referral):
        model = alone(patients)
        reference = LogisticRegression(max_iter=5000)
        reference.fit((patients.features - model.mean) / model.scale, patients.malignant)
        theirs = reference.score((study.test.features - model.mean) / model.scale, study.test.malignant)
        assert evaluate(model, study.test).accuracy > theirs - 0.03


@pytest.mark.parametrize("seed", range(5))
def test_together_comes_close_to_one_pool_of_all_patients(seed: int) -> None:
    study = split(all_patients(), seed)
    pool = Patients(
        np.concatenate([study.screening.features, study.referral.features]),
        np.concatenate([study.screening.malignant, study.referral.malignant]),
    )
    shared = evaluate(together(study, 3), study.test)
    assert shared.accuracy > evaluate(alone(pool), study.test).accuracy - 0.02


def test_summaries_give_the_mean_and_deviation_over_both_hospitals() -> None:
    study = split(all_patients(), 1)
    parts = (study.screening.features, study.referral.features)
    model = untrained([summarise(part) for part in parts])
    pool = np.concatenate(parts)
    assert np.allclose(model.mean, pool.mean(axis=0))
    assert np.allclose(model.scale, pool.std(axis=0))


def test_a_constant_feature_is_not_divided_by_zero() -> None:
    features = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]])
    model = untrained([summarise(features)])
    assert model.scale[0] == 1.0
    trained = train(model, Patients(features, np.array([0.0, 0.0, 1.0])), 50)
    assert np.isfinite(trained.weights).all()


def test_both_hospitals_average_to_the_same_bits_in_either_order() -> None:
    study = split(all_patients(), 3)
    start = untrained([summarise(study.screening.features), summarise(study.referral.features)])
    one, other = (train(start, p, ROUND_STEPS) for p in (study.screening, study.referral))
    first, second = average([one, other]), average([other, one])
    assert first.weights.tobytes() == second.weights.tobytes()
    assert (first.bias, first.patients) == (second.bias, 398)


def test_average_weighs_by_patients() -> None:
    zero, one = np.zeros(1), np.ones(1)
    model = average([Model(30, zero, one, np.array([1.0]), 1.0), Model(10, zero, one, np.array([5.0]), 9.0)])
    assert (model.patients, model.weights[0], model.bias) == (40, 2.0, 3.0)


def test_models_of_different_standardisation_are_not_averaged() -> None:
    zero, one = np.zeros(1), np.ones(1)
    with pytest.raises(ValueError, match="standardise differently"):
        average([Model(1, zero, one, one, 0.0), Model(1, one, one, one, 0.0)])


def test_score_counts_both_kinds_of_error() -> None:
    model = Model(1, np.zeros(1), np.ones(1), np.ones(1), 0.0)
    patients = Patients(np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.array([1.0, 1.0, 0.0, 0.0]))
    assert evaluate(model, patients) == Score(patients=4, right=2, missed=1, false_alarms=1)
    assert evaluate(model, patients).accuracy == 0.5
