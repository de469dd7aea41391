"""What matching says about each detection and each true source, and the scores that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from astroseg.evaluate.blocks import Blocks, ratio
from astroseg.evaluate.counts import Counts
from astroseg.evaluate.curves import Sweep, sweep
from astroseg.evaluate.estimates import Bootstrap, Estimate

__all__ = ["Evidence"]

Formula = Callable[[np.ndarray], np.ndarray]  # weights of blocks, shape (n, blocks) -> n scores


@dataclass(frozen=True)
class Evidence:
    """One value a detection, or a true source.

    Parameters
    ----------
    blocks : Blocks
        Block of sky of each.
    true : 1-D `~numpy.ndarray` of bool
        Detections that have a partner.
    hit : 1-D `~numpy.ndarray` of bool
        True sources that have a partner.
    null_true, null_hit : 1-D `~numpy.ndarray`
        The same for shifted detections: share of the shifts.
    snr : 1-D `~numpy.ndarray`
        Of the true sources.
    partner_snr : 1-D `~numpy.ndarray`
        Of the partner of each detection, 0 without.
    score_name : str
    score : 1-D `~numpy.ndarray`
        The finder's own score of its detections.
    counted, beside : float
        S/N from which completeness counts.
    """

    blocks: Blocks
    true: np.ndarray
    hit: np.ndarray
    null_true: np.ndarray
    null_hit: np.ndarray
    snr: np.ndarray
    partner_snr: np.ndarray
    score_name: str
    score: np.ndarray
    counted: float
    beside: float

    @property
    def counts(self) -> Counts:
        """Of the true sources that count, and of false detections."""
        counts = self.snr >= self.counted
        return Counts(int(np.sum(self.hit & counts)), int(np.sum(~self.true)), int(np.sum(~self.hit & counts)))

    def sweep(self, weights: np.ndarray | None = None) -> Sweep:
        """Completeness and reliability along the finder's own score.

        Parameters
        ----------
        weights : 1-D `~numpy.ndarray`, optional
            How often each block is there.
        """
        counts, there = self.partner_snr >= self.counted, self.snr >= self.counted
        if weights is None:
            return sweep(self.score_name, self.score, self.true, counts, float(np.sum(there)))
        n_truth = float(weights[self.blocks.truth] @ there)
        return sweep(self.score_name, self.score, self.true, counts, n_truth, weights[self.blocks.found])

    def estimates(self, bootstrap: Bootstrap, reliability: float) -> dict[str, Estimate]:
        """Every score with its interval.

        Parameters
        ----------
        bootstrap : Bootstrap
        reliability : float
            At which the completeness along the sweep is read.
        """
        formulas = self._formulas() | {f"completeness_at_{100 * reliability:g}": self._completeness_at(reliability)}
        return {
            name: bootstrap.estimate(formula, self.blocks.count, self.blocks.key) for name, formula in formulas.items()
        }

    def _formulas(self) -> dict[str, Formula]:
        complete, reliable = self._completeness(self.hit, self.counted), self._reliability(self.true)
        by_chance = self._completeness(self.null_hit, self.counted), self._reliability(self.null_true)
        corrected = _less(complete, by_chance[0]), _less(reliable, by_chance[1])
        return {
            "completeness": complete,
            f"completeness_{self.beside:g}": self._completeness(self.hit, self.beside),
            "reliability": reliable,
            "f1": _harmonic(complete, reliable),
            "null_rate": by_chance[1],
            "null_completeness": by_chance[0],
            "corrected_completeness": corrected[0],
            "corrected_reliability": corrected[1],
            "corrected_f1": _harmonic(*corrected),
        }

    def _completeness(self, hit, level) -> Formula:
        counts = self.snr >= level
        part, whole = self.blocks.sum_truth(hit * counts), self.blocks.sum_truth(counts)
        return lambda weights: ratio(weights @ part, weights @ whole)

    def _reliability(self, true) -> Formula:
        part, whole = self.blocks.sum_found(true), self.blocks.sum_found(np.ones(len(true)))
        return lambda weights: ratio(weights @ part, weights @ whole)

    def _completeness_at(self, reliability) -> Formula:
        return lambda weights: np.array([self.sweep(row).completeness_at(reliability) for row in weights])


def _less(formula, by_chance) -> Formula:
    return lambda weights: formula(weights) - by_chance(weights)


def _harmonic(completeness, reliability) -> Formula:
    """F1 of both: 0 where one is unknown or below 0; 1 where nothing is there and nothing was found."""

    def f1(weights):
        first, second = completeness(weights), reliability(weights)
        a, b = (np.maximum(np.nan_to_num(share), 0) for share in (first, second))
        score = np.divide(2 * a * b, a + b, out=np.zeros_like(a), where=a + b > 0)
        return np.where(np.isnan(first) & np.isnan(second), 1.0, score)

    return f1
