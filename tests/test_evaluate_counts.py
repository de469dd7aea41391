"""Counts add up and give the scores of scikit-learn; intervals cover what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroseg.errors import UsageError
from astroseg.evaluate import Bootstrap, Counts, Estimate, compare_estimates, share_in_bins, wilson
from astroseg.evaluate.curves import flux_edges

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the reference of the pixel scores")

counts = st.builds(Counts, *[st.integers(0, 30)] * 4)


@given(counts, counts, counts)
def test_counts_add_up(a, b, c):
    assert a + b == b + a
    assert (a + b) + c == a + (b + c) == sum([a, b, c])
    assert (a + b).total == a.total + b.total


@given(st.builds(Counts, *[st.integers(1, 30)] * 4))
def test_scores_equal_scikit_learn(c):
    truth = np.repeat([1, 0, 1, 0], [c.tp, c.fp, c.fn, c.tn])
    found = np.repeat([1, 1, 0, 0], [c.tp, c.fp, c.fn, c.tn])
    assert c.precision == pytest.approx(metrics.precision_score(truth, found), abs=1e-12)
    assert c.recall == pytest.approx(metrics.recall_score(truth, found), abs=1e-12)
    assert c.f1 == pytest.approx(metrics.f1_score(truth, found), abs=1e-12)
    assert c.iou == pytest.approx(metrics.jaccard_score(truth, found), abs=1e-12)
    assert c.accuracy == pytest.approx(metrics.accuracy_score(truth, found), abs=1e-12)
    assert c.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, found), abs=1e-12)
    assert c.specificity == pytest.approx(metrics.recall_score(1 - truth, 1 - found), abs=1e-12)


@given(counts)
def test_f1_follows_from_iou(c):
    assert c.f1 == pytest.approx(2 * c.iou / (1 + c.iou))
    assert c.dice == c.f1
    assert c.completeness == c.recall or math.isnan(c.recall)
    assert c.reliability == c.precision or math.isnan(c.precision)


def test_empty_masks():
    nothing = Counts(0, 0, 0, 50)
    assert nothing.iou == nothing.f1 == nothing.accuracy == nothing.specificity == 1
    assert all(math.isnan(score) for score in (nothing.precision, nothing.recall, nothing.balanced_accuracy))
    all_missed = Counts(0, 0, 5, 45)
    assert all_missed.iou == all_missed.f1 == all_missed.recall == 0
    assert math.isnan(all_missed.precision)
    all_false = Counts(0, 5, 0, 45)
    assert all_false.iou == all_false.f1 == all_false.precision == 0
    assert math.isnan(all_false.recall)
    assert math.isnan(Counts(0, 0, 0).accuracy)


def test_counts_add_to_nothing_else():
    with pytest.raises(TypeError):
        Counts(1, 2, 3) + 1
    assert Counts(1, 2, 3, 4).to_dict()["iou"] == 1 / 6


def test_wilson_closed_formula():
    # 8 of 10 at 95 %: Brown, Cai & DasGupta 2001, Stat. Sci. 16, 101, eq. 4
    low, high = wilson(np.array([8]), np.array([10]))
    assert low[0] == pytest.approx(0.49016, abs=1e-5)
    assert high[0] == pytest.approx(0.94332, abs=1e-5)
    low, high = wilson(np.array([0, 7, 0]), np.array([7, 7, 0]))
    assert list(low[[0, 2]]) == [0, 0]
    assert list(high[[1, 2]]) == [1, 1]


def test_wilson_covers():
    rng = np.random.default_rng(3)
    low, high = wilson(rng.binomial(40, 0.9, 20_000), np.full(20_000, 40))
    assert np.mean((low <= 0.9) & (high >= 0.9)) == pytest.approx(0.95, abs=0.025)


def test_bootstrap_has_the_error_of_the_mean():
    rng = np.random.default_rng(4)
    values = rng.normal(3, 2, 400)
    estimate = Bootstrap(2000, 0.6827).estimate(lambda weights: weights @ values / weights.sum(axis=1), 400)
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.high - estimate.low) / 2 == pytest.approx(values.std() / 20, rel=0.1)
    assert float(estimate) == estimate.value


def test_bootstrap_is_seeded():
    score = lambda weights: weights @ np.arange(9) / 9
    first, second, third = (Bootstrap(seed=seed).estimate(score, 9) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert not np.array_equal(first.samples, third.samples)


def test_paired_comparison_sees_what_single_intervals_hide():
    rng = np.random.default_rng(5)
    field = rng.normal(0.8, 0.1, 64)  # some blocks are hard for everybody
    better = field + 0.02 + rng.normal(0, 0.02, 64)
    scores = [Bootstrap().estimate(lambda w, v=values: w @ v / w.sum(axis=1), 64, "sky") for values in (better, field)]
    assert scores[0].low < scores[1].high
    difference, probability = compare_estimates(*scores)
    assert difference.value == pytest.approx(0.02, abs=0.01)
    assert difference.low > 0
    assert probability > 0.99
    assert compare_estimates(scores[0], scores[0]) == (Estimate(0.0, 0.0, 0.0), 0.5)


def test_only_like_is_compared():
    score = lambda weights: weights @ np.arange(9) / 9
    first = Bootstrap().estimate(score, 9, "one truth")
    for other in (Bootstrap().estimate(score, 9, "another"), Bootstrap(seed=1).estimate(score, 9, "one truth")):
        with pytest.raises(UsageError, match="same truth"):
            compare_estimates(first, other)


def test_unknown_scores_have_no_interval():
    estimate = Bootstrap().estimate(lambda weights: np.full(len(weights), np.nan), 4)
    assert all(math.isnan(value) for value in (estimate.value, estimate.low, estimate.high))
    assert math.isnan(compare_estimates(estimate, estimate)[1])


def test_shares_in_bins():
    curve = share_in_bins("snr", [1, 2, 2.5, 5, np.nan, 9], [1, 1, 0, 1, 1, 1], [2, 5, 8, 9])
    assert list(curve.trials) == [2, 1, 0]
    assert list(curve.successes) == [1, 1, 0]
    np.testing.assert_array_equal(curve.share, [0.5, 1, np.nan])
    assert curve.to_table().colnames == ["snr_low", "snr_high", "successes", "trials", "share", "low", "high"]
    assert np.all(curve.low <= np.nan_to_num(curve.share, nan=1))


def test_flux_edges_hold_every_flux():
    import astropy.units as u

    flux = [1e-6, 3e-3, -1.0, np.nan, 2.0] * u.Jy
    curve = share_in_bins("flux", flux, np.ones(5), flux_edges(flux, 7))
    assert curve.trials.sum() == 3
    assert curve.edges.unit == u.Jy
    assert len(flux_edges([] * u.Jy)) == 11
    assert share_in_bins("flux", [2, 2] * u.Jy, np.ones(2), flux_edges([2, 2] * u.Jy)).trials.sum() == 2
