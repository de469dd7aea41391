"""Scores of a comparison as one table: a row for each finder and image, and one for each finder over all images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table

from astroseg.compare import Comparison, Run
from astroseg.evaluate import Estimate
from astroseg.evaluate.tables import column

__all__ = ["ALL", "COLUMNS", "PIXEL_SCORES", "SHOWN", "UNITS", "pool", "pooled_scores", "score_table"]

#: Stands for all images in the column ``image``.
ALL = "all"

#: Scores of the ranking, which a table may lack, and what the report calls them.
SHOWN = {
    "f1": "F1",
    "completeness": "Completeness",
    "reliability": "Reliability",
    "completeness_at_95": "Completeness at 95 % reliability",
    "null_rate": "By chance",
    "pixel_f1": "Pixel F1 (Dice)",
    "pixel_iou": "Pixel IoU",
    "pixel_average_precision": "Average precision",
    "pixel_panoptic_quality": "Panoptic quality",
}

PIXEL_SCORES = ("precision", "recall", "f1", "iou", "average_precision", "panoptic_quality")

#: Columns of the table of scores, and what they hold. Each score is followed by the ends of its 95 % interval,
#: ``_low`` and ``_high``.
COLUMNS = {
    "backend": "The finder with its options, as the user wrote them",
    "image": "Name of the image; 'all' for all of them together",
    "n_images": "Number of images that the finder did not fail on",
    "n_found": "Number of detections",
    "tp": "True sources of S/N 5 and more that were found",
    "fp": "Detections that match no true source of S/N 2 and more",
    "fn": "True sources of S/N 5 and more that were missed",
    "seconds": "Time of the runs by the clock on the wall, added up over images",
    "memory": "Most memory that a run took above what was in use at its start, child processes included; the largest "
    "over images. Neither the image nor what a finder loads once counts. NaN where the system does not tell (macOS)",
    "error": "Why the finder failed, or on how many images",
    "completeness": "Share of the true sources of S/N 5 and more that were found, tp / (tp + fn)",
    "completeness_3": "The same from S/N 3",
    "reliability": "Share of the detections that match a true source of S/N 2 and more, 1 - fp / n_found",
    "f1": "Harmonic mean of completeness and reliability",
    "null_rate": "Share of the detections that match when all of them are shifted: chance",
    "null_completeness": "Share of the true sources that shifted detections match: chance",
    "corrected_completeness": "completeness - null_completeness",
    "corrected_reliability": "reliability - null_rate",
    "corrected_f1": "Harmonic mean of these two",
    "completeness_at_95": "Completeness where the list, cut by the finder's own score, is 95 % reliable",
    "pixel_precision": "Share of the pixels with a label that have one in the truth",
    "pixel_recall": "Share of the pixels with a label in the truth that were found",
    "pixel_f1": "Harmonic mean of these two, the Dice coefficient",
    "pixel_iou": "Pixels with both labels over pixels with either",
    "pixel_average_precision": "Area under precision against recall of the probability map; NaN without one",
    "pixel_panoptic_quality": "Mean overlap (IoU) of the outlines that agree, times the F1 of these outlines",
}

UNITS = {"seconds": "s", "memory": "Mbyte"}

_HARMONIC = {"f1": ("completeness", "reliability"), "corrected_f1": ("corrected_completeness", "corrected_reliability")}


def pool(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Mean of a score over images, with an interval from the mean of their resampled skies.

    Parameters
    ----------
    estimates : sequence of Estimate
        Of one score, one an image.
    weights : sequence of float
        The denominators of shares, which makes the mean that of all sources together. 0 leaves an image out.

    Examples
    --------
    >>> from astroseg.evaluate import Estimate
    >>> from astroseg.report.ranking import pool
    >>> pool([Estimate(0.5, 0.4, 0.6), Estimate(0.8, 0.7, 0.9)], [100, 200]).value
    0.7
    """
    parts = [(estimate, weight) for estimate, weight in zip(estimates, weights, strict=True) if weight > 0]
    if not parts:
        return _estimate(math.nan, np.empty(0))
    shares = np.array([weight for _, weight in parts], dtype=float)
    shares /= shares.sum()
    value = float(sum(share * estimate.value for share, (estimate, _) in zip(shares, parts, strict=True)))
    samples = sum(share * estimate.samples for share, (estimate, _) in zip(shares, parts, strict=True))
    return _estimate(value, np.asarray(samples), tuple(estimate.design for estimate, _ in parts))


def _estimate(value, samples, design=()) -> Estimate:
    known = samples[np.isfinite(samples)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (math.nan, math.nan)
    return Estimate(value, float(low), float(high), samples, design)


def pooled_scores(runs: Sequence[Run]) -> dict[str, Estimate]:
    """Every score of one finder over all images that it was run on.

    Parameters
    ----------
    runs : sequence of Run
        With scores.
    """
    scored = [run for run in runs if run.sources is not None]
    scores: dict[str, Estimate] = {}
    for name in scored[0].sources.scores if scored and scored[0].sources else ():
        if name not in _HARMONIC:
            parts = [(run.sources.scores[name], _weight(run, name)) for run in scored if run.sources]
            scores[name] = pool(*zip(*parts, strict=True))
    for name, (first, second) in _HARMONIC.items():
        if first in scores:
            scores[name] = _harmonic(scores[first], scores[second])
    drawn = [run.pixels for run in runs if run.pixels is not None]
    for name in PIXEL_SCORES if drawn else ():
        parts = [(pixels.scores[name], _pixel_weight(pixels, name)) for pixels in drawn]
        scores[f"pixel_{name}"] = pool(*zip(*parts, strict=True))
    return scores


def _weight(run, name) -> float:
    """Number of sources that a share is of."""
    if "reliability" in name or name == "null_rate":
        return run.sources.n_found
    level = run.sources.options["beside" if name == "completeness_3" else "counted"]
    snr = np.nan_to_num(column(run.field.truth.catalog, "snr"), nan=np.inf)
    return float(np.sum(snr >= level))


def _pixel_weight(pixels, name) -> float:
    """Number of pixels, or outlines, that a share is of; 0 where it is not known."""
    tp, fp, fn = pixels.counts.tp, pixels.counts.fp, pixels.counts.fn
    outlines = pixels.panoptic.counts
    known = math.isfinite(pixels.scores[name].value)
    return (
        known
        * {
            "precision": tp + fp,
            "recall": tp + fn,
            "f1": 2 * tp + fp + fn,
            "iou": tp + fp + fn,
            "average_precision": tp + fn,
            "panoptic_quality": 2 * outlines.tp + outlines.fp + outlines.fn,
        }[name]
    )


def _harmonic(first: Estimate, second: Estimate) -> Estimate:
    def f1(a, b):
        a, b = (np.maximum(np.nan_to_num(share), 0) for share in (a, b))
        return np.divide(2 * a * b, a + b, out=np.zeros_like(a), where=a + b > 0)

    if math.isnan(first.value) and math.isnan(second.value):  # nothing is there and nothing was found
        return _estimate(1.0, np.empty(0))
    value = float(f1(np.array(first.value), np.array(second.value)))
    same = first.samples.shape == second.samples.shape
    return _estimate(value, f1(first.samples, second.samples) if same else np.empty(0), first.design)


def score_table(comparison: Comparison) -> Table:
    """All scores with their intervals, the rows over all images first and the best of them on top.

    Parameters
    ----------
    comparison : Comparison
    """
    rows: list[dict[str, Any]] = []
    for backend in comparison.backends:
        done = comparison.runs_of(backend)
        failed = sum(run.backend is backend for run in comparison.failures)
        error = f"failed on {failed} of {len(comparison.fields)} images" if failed else ""
        rows.append(
            {"backend": backend.label, "image": ALL, **_counts(done), "error": error, **_flat(pooled_scores(done))}
        )
    rows.sort(key=lambda row: -np.nan_to_num(row.get("f1", -1.0), nan=-1.0))
    for run in comparison.runs:
        done = [run] if run.detections is not None else []
        place = {"backend": run.backend.label, "image": run.field.image.meta["name"]}
        rows.append(place | _counts(done) | {"error": run.error} | _flat(_own_scores(run)))
    names = list(dict.fromkeys(name for row in rows for name in row))
    missing = {"error": "", "n_found": 0, "tp": 0, "fp": 0, "fn": 0}
    table = Table({name: [row.get(name, missing.get(name, math.nan)) for row in rows] for name in names})
    for name in set(table.colnames) & set(COLUMNS):
        table[name].unit, table[name].description = UNITS.get(name), COLUMNS[name]
    radius = comparison.radius
    table.meta["match_radius"] = str(radius) if isinstance(radius, u.Quantity) else f"{radius:g} beams"
    return table


def _counts(runs) -> dict[str, float]:
    counts = {"n_images": len(runs), "n_found": sum(len(run.catalog) for run in runs)}
    for name in ("tp", "fp", "fn"):
        counts[name] = sum(getattr(run.sources.counts, name) for run in runs if run.sources)
    memory = max((run.memory for run in runs), default=math.nan)
    return counts | {"seconds": sum(run.seconds for run in runs), "memory": memory}


def _own_scores(run) -> dict[str, Estimate]:
    scores = dict(run.sources.scores) if run.sources else {}
    if run.pixels:
        scores |= {f"pixel_{name}": run.pixels.scores[name] for name in PIXEL_SCORES}
    return scores


def _flat(scores) -> dict[str, float]:
    return {
        f"{name}{end}": getattr(score, part)
        for name, score in scores.items()
        for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
