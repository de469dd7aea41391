"""Heights of peaks and the probability that they are real."""

import numpy as np
import pytest
from astroseg_networks.calibration import (
    fit_calibration,
    fit_rarity,
    logit_of,
    probability_in_image,
    probability_of,
)
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


# The number of peaks of noise falls as exp(-2 score); one beam in 100 has one above 0.
FALLING = {"score": [0.0, 10.0], "logit": [0.0, 10.0], "rarity": [np.log(100), np.log(100) + 20]}


class TestNoise:
    def peaks(self, beams, seed):
        rng = np.random.default_rng(seed)
        return rng.exponential(0.5, rng.poisson(beams / 100))

    def test_noise_alone_has_few_probable_peaks(self):
        found = [np.count_nonzero(probability_in_image(self.peaks(1e5, seed), 1e5, FALLING) > 0.7)
                 for seed in range(200)]  # fmt: skip
        without = [np.count_nonzero(probability_of(self.peaks(1e5, seed), FALLING) > 0.7) for seed in range(200)]
        # The chance that the highest of them is as rare as 1 in 1 / 0.3 images, and a little for all others.
        assert np.mean(found) < 0.8
        assert np.mean(without) > 100

    def test_many_sources_are_as_probable_as_without_it(self):
        score = np.concatenate([self.peaks(1e5, 1), np.random.default_rng(2).uniform(2, 9, 3000)])
        high = score > 3
        np.testing.assert_array_equal(
            probability_in_image(score, 1e5, FALLING)[high], probability_of(score, FALLING)[high]
        )

    @given(st.lists(st.floats(-5, 15), max_size=30), st.floats(1, 1e6))
    def test_a_higher_peak_is_never_less_probable(self, scores, beams):
        score = np.array(scores)
        probability = probability_in_image(score, beams, FALLING)
        order = np.argsort(score, kind="stable")
        assert np.all(np.diff(probability[order]) >= 0)
        assert np.all((probability >= 0) & (probability <= probability_of(score, FALLING)))
        # The share of false ones among the peaks as high, counted one by one.
        for one, value in zip(score, probability, strict=True):
            rate = [
                beams * np.exp(-np.interp(other, FALLING["score"], FALLING["rarity"])) / np.sum(score >= other)
                for other in score[score <= one]
            ]
            assert value == pytest.approx(min(probability_of(one, FALLING), max(1 - min(rate), 0)), abs=1e-9)

    def test_fit_finds_the_rate_and_goes_on_beyond_the_highest(self):
        beams = 1e6
        fitted = fit_rarity(self.peaks(beams, 3), beams, [0.0, 1.0, 2.0, 5.0, 8.0])
        np.testing.assert_allclose(fitted, np.log(100) + 2 * np.array([0, 1, 2, 5, 8]), atol=1.5)
        assert fitted[:2] == pytest.approx([np.log(100), np.log(100) + 2], abs=0.1)
        assert np.all(np.diff(fitted) > 0)
