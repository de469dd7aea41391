"""Average precision of a probability map, and its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from astroseg.evaluate.blocks import PixelBlocks, ratio
from astroseg.evaluate.estimates import Bootstrap, Estimate
from astroseg.evaluate.tables import check_shapes

__all__ = ["average_precision", "estimate_precision"]

_MOST_STEPS = 1000  # thresholds of the resampled curves; with more, the interval would not change


def average_precision(truth: np.ndarray, probability: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Area under the precision-recall curve, the sum over thresholds of (R_n - R_n-1) P_n.

    Parameters
    ----------
    truth : `~numpy.ndarray`
        Mask or label image: what is above 0 is source.
    probability : `~numpy.ndarray` of the same shape
        Any score that is higher where a source is more likely; NaN is below all others.
    valid : `~numpy.ndarray` of bool, optional
        Pixels to count, all by default.

    Returns
    -------
    float
        NaN where there is no source.
    """
    positive, score = _pixels(truth, probability, valid)
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), ranked.size - 1)
    hits = np.cumsum(positive[order])[last]
    return float(_area(hits, last + 1))


def estimate_precision(
    truth: np.ndarray,
    probability: np.ndarray | None,
    blocks: PixelBlocks,
    bootstrap: Bootstrap,
    valid: np.ndarray | None = None,
) -> Estimate:
    """The average precision with its interval, NaN without a probability map.

    Parameters
    ----------
    truth, probability, valid
        As of `average_precision`.
    blocks : PixelBlocks
    bootstrap : Bootstrap
    """
    if probability is None:
        return Estimate(np.nan, np.nan, np.nan)
    positive, score = _pixels(truth, probability, valid)
    some = score[positive] if positive.any() else score[:1]
    steps = np.unique(np.quantile(some, np.linspace(0, 1, _MOST_STEPS), method="lower"))
    step = len(steps) - np.searchsorted(steps, score, side="right")  # 0 for the highest scores
    block = blocks.number[... if valid is None else np.asarray(valid, dtype=bool)].ravel().astype(int)
    shape = blocks.count, len(steps) + 1
    hits, number = (
        np.bincount(block * shape[1] + step, weights, minlength=shape[0] * shape[1]).reshape(shape)
        for weights in (positive, None)
    )

    def areas(weights):
        return _area(np.cumsum(weights @ hits, axis=1), np.cumsum(weights @ number, axis=1))

    estimate = bootstrap.estimate(areas, blocks.count, blocks.key)
    return replace(estimate, value=average_precision(truth, probability, valid))


def _pixels(truth, probability, valid) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pixel is source, and its score."""
    check_shapes(truth, probability, valid)
    which = ... if valid is None else np.asarray(valid, dtype=bool)
    score = np.asarray(probability)[which].ravel()
    return (np.asarray(truth) > 0)[which].ravel(), np.where(np.isnan(score), -np.inf, score)


def _area(hits, number):
    """From the source pixels and all pixels above each threshold, descending along the last axis."""
    recall = ratio(hits, np.broadcast_to(hits[..., -1:], hits.shape))
    precision = np.divide(hits, number, out=np.zeros(np.shape(hits)), where=number > 0)
    return np.sum(np.diff(recall, prepend=0) * precision, axis=-1)
