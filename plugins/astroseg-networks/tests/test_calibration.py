"""Heights of peaks and the probability that they are real."""

import numpy as np
import pytest
from astroseg_networks.calibration import fit_calibration, logit_of, probability_of
from astroseg_networks.weights import check_card
from hypothesis import given
from hypothesis import strategies as st

STRAIGHT = {"score": [-10.0, 10.0], "logit": [-10.0, 10.0]}
BENT = {"score": [-2.0, 0.0, 1.0], "logit": [-3.0, -2.0, 4.0]}


def test_a_straight_line_is_the_logistic_function():
    score = np.linspace(-9, 9, 50)
    np.testing.assert_allclose(probability_of(score, STRAIGHT), 1 / (1 + np.exp(-score)))


@given(st.floats(1 / (1 + np.exp(3)), 1 / (1 + np.exp(-4)), exclude_min=True, exclude_max=True))
def test_inverse(probability):
    assert probability_of(np.array([logit_of(probability, BENT)]), BENT)[0] == pytest.approx(probability, rel=1e-6)


@given(st.lists(st.floats(-50, 50), min_size=2))
def test_a_higher_peak_is_never_less_probable(scores):
    probability = probability_of(np.sort(scores), BENT)
    assert np.all(np.diff(probability) >= 0)
    assert np.all((probability > 0.04) & (probability < 0.99))


def test_beyond_the_calibration():
    assert logit_of(0.01, BENT) == -2
    assert logit_of(0.999, BENT) == np.inf  # no peak is that certain
    extreme = {"score": [-1.0, 1.0], "logit": [-1e9, 1e9]}
    np.testing.assert_allclose(probability_of(np.array([-1.0, 1.0]), extreme), [0, 1], atol=1e-30)


def drawn(slope, offset, n=20_000):
    rng = np.random.default_rng(0)
    score = rng.normal(0, 2, n)
    return score, rng.random(n) < 1 / (1 + np.exp(-(slope * score + offset)))


@pytest.mark.parametrize(("slope", "offset"), [(1, 0), (0.4, -1), (2, 1)])
def test_finds_the_true_probabilities(slope, offset):
    calibration = fit_calibration(*drawn(slope, offset))
    score = np.linspace(-3, 3, 30)
    np.testing.assert_allclose(
        probability_of(score, calibration), 1 / (1 + np.exp(-(slope * score + offset))), atol=0.05
    )


@pytest.mark.parametrize("slope", [1, 0, -1])
def test_rises_and_is_good_for_a_card(slope):
    calibration = fit_calibration(*drawn(slope, 0, 500), knots=8)
    assert 2 <= len(calibration["score"]) == len(calibration["logit"]) <= 8
    assert np.all(np.diff(calibration["logit"]) > 0)
    card = dict.fromkeys(("normalisation", "data", "seed", "command", "scores", "licence"), "")
    assert check_card({"architecture": {"name": "unet"}, "calibration": calibration, **card}) == ""


def test_all_or_nothing_real_is_no_certainty():
    score = np.arange(160.0)
    for real, limit in ((True, 0.99), (False, 0.01)):
        probability = probability_of(score, fit_calibration(score, np.full(160, real), knots=4))
        np.testing.assert_allclose(probability, limit, atol=0.01)
        assert np.all((probability > 0) & (probability < 1))
