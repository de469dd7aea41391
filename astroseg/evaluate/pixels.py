"""Pixel-wise evaluation: masks, probability maps and label images against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from astroseg.evaluate.blocks import cut_pixels
from astroseg.evaluate.counts import Counts
from astroseg.evaluate.curves import SNR_EDGES, Curve, share_in_bins
from astroseg.evaluate.estimates import Bootstrap, Estimate
from astroseg.evaluate.instances import PanopticQuality, instances_by_block, panoptic_quality
from astroseg.evaluate.precision import average_precision, estimate_precision
from astroseg.evaluate.tables import check_shapes, column, plain

__all__ = [
    "PixelScores",
    "average_precision",
    "count_pixels",
    "evaluate_pixels",
    "recall_by_snr",
]

_SCORES = ("precision", "recall", "f1", "iou", "accuracy", "specificity", "balanced_accuracy")
_QUALITIES = {
    "panoptic_quality": "quality",
    "segmentation_quality": "segmentation",
    "recognition_quality": "recognition",
}


def count_pixels(truth: np.ndarray, found: np.ndarray, valid: np.ndarray | None = None) -> Counts:
    """Count pixels. Counts of tiles add up to those of the image.

    Parameters
    ----------
    truth, found : `~numpy.ndarray` of one shape
        Masks or label images, of any type: what is above 0 is source.
    valid : `~numpy.ndarray` of bool, optional
        Pixels to count, all by default.

    Notes
    -----
    A published notebook takes ``truth + found`` for the sum of the masks when it forms the
    intersection over union. For Booleans that is "or", which gives I / (U - I), 1/2 in place of
    1/3. Here masks are Booleans, and are never added.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.evaluate import count_pixels
    >>> count_pixels(np.array([1, 1, 0, 0]), np.array([0.0, 1.0, 1.0, 0.0])).iou
    0.3333333333333333
    """
    kinds = _kinds(truth, found, valid)
    tn, fp, fn, tp = (int(count) for count in np.bincount(kinds, minlength=4)[:4])
    return Counts(tp, fp, fn, tn)


def _kinds(truth, found, valid):
    """0 to 4 a pixel, flat: true negative, false positive, false negative, true positive, not valid."""
    check_shapes(truth, found, valid)
    kinds = 2 * (np.asarray(truth) > 0).astype(np.uint8) + (np.asarray(found) > 0)
    return (kinds if valid is None else np.where(valid, kinds, 4)).ravel()


def recall_by_snr(
    labels: np.ndarray,
    found: np.ndarray,
    truth: Any,
    *,
    edges: np.ndarray | tuple[float, ...] = SNR_EDGES,
    valid: np.ndarray | None = None,
) -> Curve:
    """Share of the truth's pixels that were found, in bins of the S/N of their source.

    Parameters
    ----------
    labels : `~numpy.ndarray` of int
        The truth's label image.
    found : `~numpy.ndarray` of the same shape
        Mask or label image.
    truth : table
        Columns ``label`` and ``snr``.
    edges : 1-D array
        Of the S/N bins.
    valid : `~numpy.ndarray` of bool, optional
        Pixels to count, all by default.
    """
    check_shapes(labels, found, valid)
    counts = (np.asarray(labels) > 0) if valid is None else (np.asarray(labels) > 0) & valid
    pixels, hit = np.asarray(labels)[counts], (np.asarray(found) > 0)[counts]
    numbers = column(truth, "label").astype(int)
    size = max(int(pixels.max(initial=0)), int(numbers.max(initial=0))) + 1
    there, hits = np.bincount(pixels, minlength=size), np.bincount(pixels, weights=hit, minlength=size)
    return share_in_bins("snr", column(truth, "snr"), hits[numbers], edges, weights=there[numbers])


@dataclass(frozen=True)
class PixelScores:
    """What `evaluate_pixels` returns.

    Parameters
    ----------
    counts : Counts
        Of pixels.
    scores : dict of Estimate
        ``precision``, ``recall``, ``f1``, ``iou``, ``accuracy``, ``specificity``, ``balanced_accuracy``;
        ``average_precision``, NaN for finders without a probability map; and of the instances ``panoptic_quality``,
        ``segmentation_quality``, ``recognition_quality``.
    panoptic : PanopticQuality
    recall_by_snr : Curve or None
        None without a truth catalogue.
    """

    counts: Counts
    scores: dict[str, Estimate]
    panoptic: PanopticQuality
    recall_by_snr: Curve | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; what is not known is None."""
        counts = {"tp": self.counts.tp, "fp": self.counts.fp, "fn": self.counts.fn, "tn": self.counts.tn}
        values = {name: score.value for name, score in self.scores.items()}
        intervals = {name: [score.low, score.high] for name, score in self.scores.items()}
        return plain(counts | values | {"intervals": intervals})

    def to_table(self) -> Table:
        """One row a score, with its interval."""
        return Table(
            [{"score": name, "value": s.value, "low": s.low, "high": s.high} for name, s in self.scores.items()]
        )


def evaluate_pixels(
    truth_labels: np.ndarray,
    labels: np.ndarray,
    *,
    probability: np.ndarray | None = None,
    truth: Any = None,
    valid: np.ndarray | None = None,
    bootstrap: Bootstrap | None = None,
) -> PixelScores:
    """Evaluate a segmentation against the truth, pixel by pixel and instance by instance.

    Parameters
    ----------
    truth_labels, labels : 2-D `~numpy.ndarray` of int, shape (ny, nx)
        Label images, 0 is background.
    probability : 2-D `~numpy.ndarray`, optional
        For the average precision.
    truth : table, optional
        Truth catalogue with ``label`` and ``snr``, for the recall in bins of S/N.
    valid : 2-D `~numpy.ndarray` of bool, optional
        Pixels to count, all by default.
    bootstrap : Bootstrap, optional
        Number of resamples, confidence and seed of the intervals.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.evaluate import evaluate_pixels
    >>> truth, found = np.zeros((32, 32), dtype=int), np.zeros((32, 32), dtype=int)
    >>> truth[4:8, 4:8], found[4:8, 5:8] = 1, 1
    >>> evaluate_pixels(truth, found).to_dict()["iou"]
    0.75
    """
    bootstrap = bootstrap or Bootstrap()
    check_shapes(truth_labels, labels, valid, probability)
    blocks = cut_pixels(truth_labels)
    precision = estimate_precision(truth_labels, probability, blocks, bootstrap, valid)
    return PixelScores(
        counts=count_pixels(truth_labels, labels, valid),
        scores=_estimates(truth_labels, labels, valid, blocks, bootstrap)
        | {"average_precision": precision}
        | _instance_estimates(truth_labels, labels, valid, blocks, bootstrap),
        panoptic=panoptic_quality(truth_labels, labels, valid),
        recall_by_snr=None if truth is None else recall_by_snr(truth_labels, labels, truth, valid=valid),
    )


def _estimates(truth, found, valid, blocks, bootstrap) -> dict[str, Estimate]:
    kinds = _kinds(truth, found, valid)
    counts = np.bincount(5 * blocks.number.ravel().astype(int) + kinds, minlength=5 * blocks.count).reshape(-1, 5)
    tn, fp, fn, tp, _ = counts.T
    parts = np.stack([tp, fp, fn, tn], axis=-1)
    return {name: bootstrap.estimate(_score_of(name, parts), blocks.count, blocks.key) for name in _SCORES}


def _score_of(name, parts):
    return lambda weights: np.array([getattr(Counts(*counts), name) for counts in (weights @ parts).tolist()])


def _instance_estimates(truth, found, valid, blocks, bootstrap) -> dict[str, Estimate]:
    parts = instances_by_block(truth, found, blocks, valid)
    return {
        name: bootstrap.estimate(_quality_of(quality, parts), blocks.count, blocks.key)
        for name, quality in _QUALITIES.items()
    }


def _quality_of(quality, parts):
    def of(weights):
        sums = (weights @ parts).tolist()
        return np.array([getattr(PanopticQuality(Counts(*counts), iou_sum), quality) for iou_sum, *counts in sums])

    return of
