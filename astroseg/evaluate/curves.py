"""Scores along an axis: shares in bins of S/N or flux, and completeness against reliability."""

from __future__ import annotations

from dataclasses import dataclass, fields

import astropy.units as u
import numpy as np
from astropy.table import QTable

from astroseg.evaluate.estimates import wilson

__all__ = ["SNR_EDGES", "Curve", "Sweep", "flux_edges", "share_in_bins", "sweep"]

#: Edges of the S/N bins by default.
SNR_EDGES = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 50.0, 100.0, np.inf)


@dataclass(frozen=True)
class Curve:
    """A share (completeness, reliability, recall) in bins of a quantity.

    Parameters
    ----------
    quantity : str
        What the bins are of.
    edges : `~astropy.units.Quantity`, shape (n + 1,)
        Bins hold their lower edge.
    successes, trials : `~numpy.ndarray` of int, shape (n,)
    low, high : `~numpy.ndarray`, shape (n,)
        Wilson interval of the share.
    """

    quantity: str
    edges: u.Quantity
    successes: np.ndarray
    trials: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Successes over trials, NaN without trials."""
        return np.where(self.trials > 0, self.successes / np.maximum(self.trials, 1), np.nan)

    def to_table(self) -> QTable:
        """One row a bin."""
        return QTable(
            {
                f"{self.quantity}_low": self.edges[:-1],
                f"{self.quantity}_high": self.edges[1:],
                "successes": self.successes,
                "trials": self.trials,
                "share": self.share,
                "low": self.low,
                "high": self.high,
            }
        )


def share_in_bins(
    quantity: str,
    values: u.Quantity | np.ndarray,
    success: np.ndarray,
    edges: u.Quantity | np.ndarray,
    *,
    weights: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Curve:
    """Share of successes in bins.

    Parameters
    ----------
    quantity : str
        Name of the values.
    values : 1-D `~astropy.units.Quantity` or `~numpy.ndarray`
        NaN, and what lies beyond the edges, is in no bin.
    success : 1-D `~numpy.ndarray`
        Boolean, or how many of the trials succeeded.
    edges : `~astropy.units.Quantity` or `~numpy.ndarray`
        Ascending, in a unit that converts to that of the values.
    weights : 1-D `~numpy.ndarray` of int, optional
        Trials that each value stands for, 1 by default.
    confidence : float
        Content of the interval.

    Examples
    --------
    >>> from astroseg.evaluate import share_in_bins
    >>> curve = share_in_bins("snr", [3, 4, 6, 7], [False, True, True, True], [2, 5, 10])
    >>> curve.share
    array([0.5, 1. ])
    """
    values, edges = u.Quantity(values), u.Quantity(edges)
    index = np.digitize(values.to_value(edges.unit), edges.value)  # NaN sorts behind the last edge
    weights = np.ones(len(values), dtype=int) if weights is None else weights
    length = len(edges) + 1
    trials = np.bincount(index, weights=weights, minlength=length)[1:-1].astype(int)
    successes = np.bincount(index, weights=success, minlength=length)[1:-1].astype(int)
    return Curve(quantity, edges, successes, trials, *wilson(successes, trials, confidence))


def flux_edges(flux: u.Quantity, count: int = 10) -> u.Quantity:
    """Edges of equal steps in log flux that hold all positive fluxes.

    Parameters
    ----------
    flux : `~astropy.units.Quantity`
    count : int
        Number of bins.
    """
    positive = flux.value[np.isfinite(flux.value) & (flux.value > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    edges = np.geomspace(low, high if high > low else 2 * low, count + 1)
    edges[-1] = np.nextafter(edges[-1], np.inf)  # bins don't hold their upper edge
    return u.Quantity(edges, flux.unit)


@dataclass(frozen=True)
class Sweep:
    """Completeness and reliability as the finder's own score is swept from strict to lax.

    Parameters
    ----------
    score : str
        Column of the catalogue that was swept.
    threshold : 1-D `~numpy.ndarray`
        Descending; detections of at least this score are kept.
    completeness, reliability : 1-D `~numpy.ndarray`
    """

    score: str
    threshold: np.ndarray
    completeness: np.ndarray
    reliability: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        """Harmonic mean of both, at each threshold."""
        total = self.completeness + self.reliability
        return np.where(total > 0, 2 * self.completeness * self.reliability / np.where(total > 0, total, 1), 0.0)

    def completeness_at(self, reliability: float) -> float:
        """Highest completeness among thresholds that are at least so reliable; 0 where none is.

        Parameters
        ----------
        reliability : float
        """
        return float(np.max(self.completeness[self.reliability >= reliability], initial=0.0))

    def to_table(self) -> QTable:
        """One row a threshold, with the F1 score."""
        columns = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "score"}
        return QTable(columns | {"f1": self.f1}, meta={"score": self.score})


def sweep(
    score: str,
    values: np.ndarray,
    true: np.ndarray,
    counted: np.ndarray,
    n_truth: float,
    weights: np.ndarray | None = None,
) -> Sweep:
    """Sweep a score over detections whose matches are known.

    Parameters
    ----------
    score : str
        Name of the score.
    values : 1-D `~numpy.ndarray`
        Score of each detection; NaN comes last.
    true : 1-D `~numpy.ndarray` of bool
        Detections that are not false.
    counted : 1-D `~numpy.ndarray` of bool
        Detections whose partner counts for completeness.
    n_truth : float
        Number of sources that count for completeness.
    weights : 1-D `~numpy.ndarray` of int, optional
        How often each detection is there, 1 by default.

    Notes
    -----
    Detections of one score enter together. The matches are those of the whole list.
    """
    values = np.nan_to_num(values, nan=-np.inf)
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    weights = np.ones(len(values), dtype=int) if weights is None else weights[order]
    last = np.append(ranked[1:] != ranked[:-1], True)[: len(ranked)]
    kept, right, complete = (np.cumsum(weights * share)[last] for share in (1, true[order], counted[order]))
    reliability = np.where(kept > 0, right / np.maximum(kept, 1), np.nan)
    return Sweep(score, ranked[last], complete / n_truth if n_truth else np.full(kept.size, np.nan), reliability)
