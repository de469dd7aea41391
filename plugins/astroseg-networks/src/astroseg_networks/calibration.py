"""From the height of a peak to the probability that a source is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from astroseg_networks.patches import logistic

__all__ = ["fit_calibration", "fit_rarity", "logit_of", "probability_in_image", "probability_of"]

TAIL = 50  # of so many peaks in noise, the highest, the fall of the rate is measured


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


def probability_in_image(score: np.ndarray, beams: float, calibration: dict[str, Any]) -> np.ndarray:
    """Probability of the peaks of one image, less where noise alone could have made as many.

    Parameters
    ----------
    score : 1-D `~numpy.ndarray`
        Logits of all peaks of the image that are as high as the lowest of them.
    beams : float
        Of the image.
    calibration : dict
        ``score`` and ``logit``, see `probability_of`, and ``rarity``: minus the logarithm of the number of peaks of
        this height and more in a beam of noise.

    Notes
    -----
    The probability is at most 1 less the share of false ones among the peaks that are as high: Benjamini & Hochberg
    1995, J. R. Stat. Soc. B 57, 289, with the number of peaks expected of noise.
    """
    order = np.argsort(-score, kind="stable")
    expected = beams * np.exp(-np.interp(score[order], calibration["score"], calibration["rarity"]))
    false = np.minimum.accumulate((expected / np.arange(1, score.size + 1))[::-1])[::-1]
    probability = probability_of(score, calibration)
    probability[order] = np.fmin(probability[order], np.fmax(1 - false, 0))
    return probability


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


def fit_rarity(noise: np.ndarray, beams: float, score: list[float]) -> list[float]:
    """How rare peaks of some heights and more are in noise.

    Parameters
    ----------
    noise : 1-D `~numpy.ndarray`
        Logits of peaks in noise, all that are as high as the lowest of them.
    beams : float
        Of noise.
    score : list of float
        The heights, rising.

    Returns
    -------
    list of float
        Minus the logarithm of their number in a beam, rising. Beyond the highest peaks it is a straight line: their
        excess is taken to be exponential, and its mean is the best estimate of its scale.
    """
    highest = np.sort(noise)[-TAIL:]
    least, scale = highest[0], max(float(np.mean(highest) - highest[0]), 1e-3)
    number = np.array([np.count_nonzero(noise >= one) for one in score])
    excess = np.fmax(np.array(score) - least, 0)
    rarity = np.where(excess > 0, excess / scale - np.log(highest.size), -np.log(np.fmax(number, 1)))
    return np.maximum.accumulate(rarity + np.log(beams)).tolist()
