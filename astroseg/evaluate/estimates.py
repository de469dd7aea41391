"""How sure a score is: binomial intervals, and a bootstrap over blocks of sky that pairs finders.

Sources and pixels of one neighbourhood share its noise, artefacts and crowding, so that single
sources are no independent draws; blocks of sky nearly are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from astroseg.errors import UsageError

__all__ = ["Bootstrap", "Estimate", "compare_estimates", "wilson"]


@dataclass(frozen=True)
class Estimate:
    """A score with its interval.

    Parameters
    ----------
    value : float
        The score of the whole field.
    low, high : float
        Ends of the interval.
    samples : 1-D `~numpy.ndarray`
        The score of each resampled sky.
    design : tuple
        What the resampling depended on: only estimates of one design are paired.
    """

    value: float
    low: float
    high: float
    samples: np.ndarray = field(repr=False, compare=False, default_factory=lambda: np.empty(0))
    design: tuple = field(repr=False, compare=False, default=())

    def __float__(self) -> float:
        return float(self.value)


@dataclass(frozen=True)
class Bootstrap:
    """Resampling of blocks of sky, the same one each time.

    Parameters
    ----------
    n_resamples : int
    confidence : float
        Content of the intervals, between percentiles of the samples.
    seed : int

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg.evaluate import Bootstrap
    >>> found, true = np.array([8, 9, 7, 9]), np.array([10, 10, 10, 10])
    >>> Bootstrap().estimate(lambda weights: weights @ found / (weights @ true), 4)
    Estimate(value=0.825, low=0.75, high=0.9)
    """

    n_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def estimate(self, score: Callable[[np.ndarray], np.ndarray], n_blocks: int, key: str = "") -> Estimate:
        """The score of the whole field, with its interval.

        Parameters
        ----------
        score : callable
            Takes how often each block is there, shape (n, n_blocks), and returns n scores. Resampled
            skies for which it returns NaN (without a source, say) are left out of the interval.
        n_blocks : int
        key : str
            Names the truth and its blocks; goes into the design.
        """
        value = float(score(np.ones((1, n_blocks), dtype=int))[0])
        samples = np.asarray(score(_weights(n_blocks, self.n_resamples, self.seed)), dtype=float)
        low, high = _percentiles(samples, self.confidence)
        return Estimate(value, low, high, samples, (key, n_blocks, self.n_resamples, self.seed))


@lru_cache(maxsize=8)
def _weights(n_blocks, n_resamples, seed):
    """How often each resampled sky holds each block, shape (n_resamples, n_blocks)."""
    weights = np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n_resamples)
    weights.flags.writeable = False
    return weights


def compare_estimates(first: Estimate, second: Estimate, confidence: float = 0.95) -> tuple[Estimate, float]:
    """Is the first finder better than the second? Paired over the same resampled skies.

    Parameters
    ----------
    first, second : Estimate
        One score of two finders, against one truth with the same options.
    confidence : float
        Content of the interval.

    Returns
    -------
    difference : Estimate
        First minus second; its interval holds 0 where the field can't tell.
    probability : float
        Share of resampled skies on which the first is better (ties count half); NaN without any.

    Raises
    ------
    UsageError
        When the two do not stem from the same truth and blocks.
    """
    if first.design != second.design or first.samples.shape != second.samples.shape:
        msg = "Only scores against the same truth, with the same options and seed, can be compared in pairs."
        raise UsageError(msg)
    samples = first.samples - second.samples
    known = samples[np.isfinite(samples)]
    better = float(np.mean((known > 0) + 0.5 * (known == 0))) if known.size else float("nan")
    low, high = _percentiles(samples, confidence)
    return Estimate(first.value - second.value, low, high, samples, first.design), better


def _percentiles(samples, confidence):
    known = samples[np.isfinite(samples)]
    if known.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def wilson(successes: np.ndarray, trials: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a binomial share after Wilson (1927, J. Am. Stat. Assoc. 22, 209); 0 to 1 without trials.

    Parameters
    ----------
    successes, trials : `~numpy.ndarray` of int, any shape
    confidence : float
        Content of the interval.

    Returns
    -------
    low, high : `~numpy.ndarray`
    """
    known = np.asarray(trials) > 0
    n = np.where(known, trials, 1)
    share, z2 = np.asarray(successes) / n, ndtri((1 + confidence) / 2) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Rounding must not leave the share outside its own interval, where it is 0 or 1.
    low, high = np.clip(centre - half, 0, share), np.clip(centre + half, share, 1)
    return np.where(known, low, 0.0), np.where(known, high, 1.0)
