"""From the height of a peak to the probability that a source is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from astroseg_networks.patches import logistic

__all__ = ["fit_calibration", "logit_of", "probability_of"]


def probability_of(score: np.ndarray, calibration: dict[str, Any]) -> np.ndarray:
    """Probability of peaks.

    Parameters
    ----------
    score : `~numpy.ndarray`
        Logits.
    calibration : dict
        ``score`` and ``logit``: corresponding values, both rising; between them the line is straight.
    """
    return logistic(np.interp(score, calibration["score"], calibration["logit"]))


def logit_of(probability: float, calibration: dict[str, Any]) -> float:
    """Logit of the peaks that have this probability, infinite where none has; the inverse of `probability_of`."""
    wanted = np.log(probability / (1 - probability))
    return float(np.interp(wanted, calibration["logit"], calibration["score"], right=np.inf))


def fit_calibration(score: np.ndarray, real: np.ndarray, knots: int = 16) -> dict[str, list[float]]:
    """Fit a rising line through the share of real sources among peaks of about equal height.

    Parameters
    ----------
    score : 1-D `~numpy.ndarray`
        Logits of peaks on skies with truth.
    real : 1-D `~numpy.ndarray` of bool
    knots : int
        Number of groups: half of them hold as many real sources each, half as many of the others, so that the line is
        known well where there are few of either.

    Notes
    -----
    Isotonic regression (pool adjacent violators) of the groups: Zadrozny & Elkan 2002, KDD, 694.
    """
    from scipy.optimize import isotonic_regression

    inner = np.linspace(0, 1, knots // 2 + 1)[1:-1]
    edges = np.concatenate([np.quantile(kind, inner) for kind in (score[real], score[~real]) if kind.size])
    number = np.searchsorted(np.unique(edges), score, side="right")
    groups = [np.flatnonzero(number == group) for group in np.unique(number)]
    middle = np.array([score[group].mean() for group in groups])
    share = np.array([(real[group].sum() + 0.5) / (group.size + 1) for group in groups])
    share = isotonic_regression(share, weights=np.array([group.size for group in groups])).x
    # Rising strictly, so that there is an inverse.
    logit = np.log(share / (1 - share)) + 1e-4 * np.arange(share.size)
    return {"score": middle.tolist(), "logit": logit.tolist()}
