"""Pixel scores against scikit-learn, brute force and closed formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from astroseg.errors import UsageError
from astroseg.evaluate import (
    Counts,
    average_precision,
    count_pixels,
    evaluate_pixels,
    panoptic_quality,
    recall_by_snr,
)
from astroseg.evaluate.blocks import cut_pixels
from astroseg.evaluate.estimates import Bootstrap
from astroseg.evaluate.instances import instances_by_block
from astroseg.evaluate.precision import estimate_precision
from astroseg.tiling import plan_tiles

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the reference of the pixel scores")

labels = arrays(int, (6, 7), elements=st.integers(0, 3))


def test_published_iou_bug():
    """I / (U - I), which a notebook gets by adding Boolean masks, is 1/2 here; the IoU is 1/3."""
    truth, found = np.array([1, 1, 0, 0]), np.array([0, 1, 1, 0])
    for kind in (bool, "i4", "f4", "u1"):
        wrong = np.sum(truth & found) / (np.sum(truth.astype(bool) + found.astype(bool)) - np.sum(truth & found))
        assert wrong == 1 / 2
        assert count_pixels(truth.astype(kind), found.astype(kind)).iou == 1 / 3


@given(labels, labels)
def test_tiles_add_up(truth, found):
    tiles = plan_tiles(truth.shape, 3, 0)
    assert sum(count_pixels(truth[tile.own], found[tile.own]) for tile in tiles) == count_pixels(truth, found)


def test_valid_pixels_only():
    truth, found = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    assert count_pixels(truth, found, np.array([True, False, True, False])) == Counts(1, 1, 0, 0)
    assert count_pixels(truth, np.array([np.nan, 1, 0, 0])) == Counts(1, 0, 1, 2)


def test_shapes_must_agree():
    for call in (count_pixels, average_precision, panoptic_quality, evaluate_pixels):
        with pytest.raises(UsageError, match=r"one shape, not \(3,\) and \(4,\)"):
            call(np.ones(3, dtype=int), np.ones(4, dtype=int))


@given(arrays(bool, 40), arrays(float, 40, elements=st.sampled_from([0, 0.1, 0.3, 0.35, 0.8, 1])))
def test_average_precision_equals_scikit_learn(truth, probability):
    if truth.any():
        assert average_precision(truth, probability) == pytest.approx(
            metrics.average_precision_score(truth, probability), abs=1e-12
        )
    else:
        assert np.isnan(average_precision(truth, probability))


def test_average_precision_of_valid_pixels():
    rng = np.random.default_rng(1)
    truth, probability, valid = rng.random((9, 9)) < 0.3, rng.random((9, 9)), rng.random((9, 9)) < 0.5
    expected = metrics.average_precision_score(truth[valid], probability[valid])
    assert average_precision(truth, probability, valid) == pytest.approx(expected, abs=1e-12)


def brute_panoptic(truth, found):
    ious = []
    for i in set(truth[truth > 0]):
        for j in set(found[found > 0]):
            iou = np.sum((truth == i) & (found == j)) / np.sum((truth == i) | (found == j))
            if iou > 0.5:
                ious.append(iou)
    n_truth, n_found = len(set(truth[truth > 0])), len(set(found[found > 0]))
    return Counts(len(ious), n_found - len(ious), n_truth - len(ious)), sum(ious)


@given(labels, labels)
def test_panoptic_quality_by_brute_force(truth, found):
    counts, iou_sum = brute_panoptic(truth, found)
    result = panoptic_quality(truth, found)
    assert result.counts == counts
    assert result.iou_sum == pytest.approx(iou_sum)
    if counts.tp:
        assert result.quality == pytest.approx(result.segmentation * result.recognition)


def test_panoptic_quality_of_itself_and_of_nothing():
    labels, nothing = np.array([[1, 1, 0], [2, 0, 900_000]]), np.zeros((2, 3), dtype=int)
    assert panoptic_quality(labels, labels).quality == 1
    assert panoptic_quality(labels, nothing).quality == panoptic_quality(nothing, labels).quality == 0
    assert panoptic_quality(nothing, nothing).quality == 1
    assert np.isnan(panoptic_quality(nothing, nothing).segmentation)
    half = panoptic_quality(labels, labels, np.array([[True, True, True], [False, False, False]]))
    assert half.counts == Counts(1, 0, 0)


def test_recall_by_snr():
    labels = np.array([[1, 1, 1, 1], [0, 2, 2, 0], [3, 0, 0, 4]])
    found = np.array([[5, 5, 5, 0], [6, 6, 0, 0], [0, 0, 0, 0]])
    truth = {"label": [1, 2, 3, 4], "snr": [12.0, 3.0, 3.5, np.nan]}
    curve = recall_by_snr(labels, found, truth, edges=(2, 5, 20))
    assert list(curve.trials) == [3, 4]
    np.testing.assert_allclose(curve.share, [1 / 3, 3 / 4])
    assert list(recall_by_snr(labels, found, truth, edges=(2, 5, 20), valid=labels != 3).trials) == [2, 4]


def field():
    rng = np.random.default_rng(2)
    truth = np.zeros((80, 80), dtype=int)
    for label, (y, x) in enumerate(rng.integers(0, 76, (40, 2)), start=1):
        truth[y : y + 4, x : x + 4] = label
    return truth, np.roll(truth, 1, axis=1), np.clip(truth + rng.normal(0, 1, truth.shape), 0, 1)


def test_everything_together():
    truth, found, probability = field()
    catalog = {"label": np.arange(1, 41), "snr": np.linspace(2, 30, 40)}
    result = evaluate_pixels(truth, found, probability=probability, truth=catalog)
    values = result.to_dict()
    assert result.counts == count_pixels(truth, found)
    for name in ("precision", "recall", "f1", "iou", "accuracy", "specificity", "balanced_accuracy"):
        assert values[name] == getattr(result.counts, name)
    assert values["average_precision"] == average_precision(truth, probability)
    assert result.panoptic == panoptic_quality(truth, found)
    assert values["panoptic_quality"] == pytest.approx(result.panoptic.quality, rel=1e-12)
    for name, score in result.scores.items():
        assert score.low < score.value < score.high, name
        assert values["intervals"][name] == [score.low, score.high]
    assert result.recall_by_snr.trials.sum() == np.sum(truth > 0)
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert list(result.to_table()["score"]) == list(result.scores)


@pytest.mark.parametrize("kinds", [7, 10**9])
def test_resampled_average_precision_is_that_of_the_resampled_pixels(kinds):
    truth, _, probability = field()
    probability = np.floor(probability * kinds) / kinds
    blocks = cut_pixels(truth)
    estimate = estimate_precision(truth, probability, blocks, Bootstrap(n_resamples=5))
    assert estimate.value == average_precision(truth, probability)
    for weight, sample in zip(resampled(blocks.count), estimate.samples, strict=True):
        repeats = weight[blocks.number].ravel()
        expected = average_precision(np.repeat(truth.ravel(), repeats), np.repeat(probability.ravel(), repeats))
        assert sample == pytest.approx(expected, abs=2e-3 if kinds > 1000 else 1e-12)


def test_nan_is_the_lowest_score():
    truth, _, probability = field()
    holes = np.random.default_rng(2).random(truth.shape) < 0.3
    estimate = evaluate_pixels(truth, truth, probability=np.where(holes, np.nan, probability)).scores[
        "average_precision"
    ]
    assert estimate.low <= estimate.value <= estimate.high
    assert estimate.value == average_precision(truth, np.where(holes, -1, probability))


def resampled(n_blocks):
    """How often each block is there in each of five resampled skies."""
    seen = []
    Bootstrap(n_resamples=5).estimate(lambda weights: seen.append(weights) or weights[:, 0], n_blocks)
    return seen[-1]


@given(labels, labels)
def test_instances_of_blocks_add_up(truth, found):
    parts = instances_by_block(truth, found, cut_pixels(truth))
    whole = panoptic_quality(truth, found)
    assert Counts(*parts.sum(axis=0)[1:].astype(int).tolist()) == whole.counts
    assert parts.sum(axis=0)[0] == pytest.approx(whole.iou_sum)


def test_nothing_there_and_nothing_found():
    nothing = np.zeros((9, 9), dtype=int)
    values = evaluate_pixels(nothing, nothing).to_dict()
    assert values["iou"] == values["f1"] == values["panoptic_quality"] == 1
    assert values["recall"] is values["precision"] is values["average_precision"] is None
