"""One-to-one matching of two catalogues: as many pairs as possible, and of these the closest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from astroseg.errors import UsageError
from astroseg.evaluate.positions import Positions, common_positions
from astroseg.evaluate.tables import common_columns
from astroseg.sky import ARCSEC

__all__ = ["Matches", "match_positions", "match_sources", "required_agreements"]

Agreements = list[tuple[np.ndarray, np.ndarray, float]]


@dataclass(frozen=True)
class Matches:
    """Pairs of rows, in the order of the detections.

    Parameters
    ----------
    found, truth : 1-D `~numpy.ndarray` of int
        Row numbers in the two catalogues; no row is there twice.
    separation : 1-D `~astropy.units.Quantity`
        In arcsec, or pixels where there is no sky.
    """

    found: np.ndarray
    truth: np.ndarray
    separation: u.Quantity

    def __len__(self) -> int:
        return len(self.found)

    def subset(self, which: np.ndarray) -> Matches:
        """Some of the pairs.

        Parameters
        ----------
        which : 1-D `~numpy.ndarray` of bool or int
        """
        return Matches(self.found[which], self.truth[which], self.separation[which])


def match_sources(
    found: Any, truth: Any, radius: u.Quantity, *, flux_factor: float | None = None, size_factor: float | None = None
) -> Matches:
    """Match detections with truth, one to one.

    Of all ways to pair rows within the radius, the result has the most pairs, and among those the
    smallest sum of squared separations. The same input always gives the same pairs.

    Parameters
    ----------
    found, truth : tables
        With positions in common: ``ra`` and ``dec``, ``hpc_x`` and ``hpc_y``, ``hg_lon`` and
        ``hg_lat``, or ``x_centroid`` and ``y_centroid`` where one of them has no sky.
    radius : `~astropy.units.Quantity`
        Largest separation: an angle, or pixels where there is no sky.
    flux_factor, size_factor : float, optional
        Pair only what agrees in ``flux``, or ``fwhm_major``, within this factor (2: between half
        and double). Rows without the value fit any.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astroseg.evaluate import match_sources
    >>> found = {"x_centroid": [1.0, 2.0, 9.0], "y_centroid": [0.0, 0.0, 0.0]}
    >>> truth = {"x_centroid": [2.1, 3.0], "y_centroid": [0.0, 0.0]}
    >>> matches = match_sources(found, truth, 1.5 * u.pix)
    >>> matches.found, matches.truth
    (array([0, 1]), array([0, 1]))
    """
    agreements = required_agreements(found, truth, flux_factor, size_factor)
    return match_positions(*common_positions(found, truth), radius, agreements)


def required_agreements(found: Any, truth: Any, flux_factor: float | None, size_factor: float | None) -> Agreements:
    """Values that `match_positions` is to compare.

    Parameters
    ----------
    found, truth : tables
    flux_factor, size_factor : float or None
        See `match_sources`.

    Raises
    ------
    UsageError
        When a factor is below 1, or the values are not of one kind.
    """
    agreements = []
    for name, factor in (("flux", flux_factor), ("fwhm_major", size_factor)):
        if factor is None:
            continue
        if not factor >= 1:
            msg = f"The factor within which {name} must agree is {factor}; it must be at least 1."
            raise UsageError(msg)
        pair = common_columns(found, truth, name)
        if pair is None:
            msg = f"The {name} of detections and truth cannot be compared: their units differ in kind."
            raise UsageError(msg)
        agreements.append((pair[0], pair[1], factor))
    return agreements


def match_positions(
    found: Positions,
    truth: Positions,
    radius: u.Quantity,
    agreements: Agreements | None = None,
) -> Matches:
    """Match positions, one to one; see `match_sources`.

    Parameters
    ----------
    found, truth : Positions
        Of one kind.
    radius : `~astropy.units.Quantity`
    agreements : list of (found, truth, factor), optional
        Values that must agree within a factor.
    """
    i, j, separation = _candidates(found, truth, _radius_in(radius, found.unit))
    for mine, theirs, factor in agreements or []:
        ratio = mine[i] / np.where(theirs[j] > 0, theirs[j], np.nan)
        keep = ~((ratio < 1 / factor) | (ratio > factor))  # NaN fits any
        i, j, separation = i[keep], j[keep], separation[keep]
    chosen = _assign(i, j, separation)
    return Matches(i[chosen], j[chosen], u.Quantity(separation[chosen], found.unit))


def _radius_in(radius, unit):
    if not (isinstance(radius, u.Quantity) and radius.unit.is_equivalent(unit) and radius.value > 0):
        what = "an angle" if unit == u.arcsec else "in pixels, as one of the catalogues has no sky"
        msg = f"The matching radius is {radius}; it must be {what} and above 0."
        raise UsageError(msg)
    return radius.to_value(unit)


def _candidates(found, truth, radius):
    """All pairs within the radius, sorted: rows of both, and separations."""
    rows, columns = np.flatnonzero(found.known), np.flatnonzero(truth.known)
    if not (rows.size and columns.size):
        return np.empty(0, dtype=int), np.empty(0, dtype=int), np.empty(0)
    chord = 2 * ARCSEC * np.sin(radius / ARCSEC / 2) if found.on_sky else radius
    trees = KDTree(found.vectors[rows]), KDTree(truth.vectors[columns])
    pairs = trees[0].sparse_distance_matrix(trees[1], chord, output_type="ndarray")
    separation = 2 * ARCSEC * np.arcsin(pairs["v"] / ARCSEC / 2) if found.on_sky else pairs["v"]
    i, j = rows[pairs["i"]], columns[pairs["j"]]
    order = np.lexsort((j, i))
    return i[order], j[order], separation[order]


def _assign(i, j, separation):
    """Which candidate pairs make the best one-to-one matching.

    Most candidates have no rival. For the rest, a stand-in partner for every row, dearer than all
    real pairs together, turns "most pairs first, then closest" into one sparse assignment problem.
    """
    alone = (np.bincount(i)[i] == 1) & (np.bincount(j)[j] == 1) if i.size else np.empty(0, dtype=bool)
    rivals = np.flatnonzero(~alone)
    if rivals.size == 0:
        return np.flatnonzero(alone)
    rows, row = np.unique(i[rivals], return_inverse=True)
    columns, col = np.unique(j[rivals], return_inverse=True)
    scale = separation[rivals].max() or 1.0
    cost = 1 + (separation[rivals] / scale) ** 2  # the solver takes a cost of 0 for no edge
    stand_in = np.arange(rows.size)
    # 32-bit indices: SciPy before 1.15 takes no others here.
    edges = tuple(
        np.append(first, second).astype(np.int32) for first, second in ((row, stand_in), (col, columns.size + stand_in))
    )
    costs = np.append(cost, np.full(rows.size, 2.0 * (rows.size + 1)))
    graph = csr_array((costs, edges), shape=(rows.size, columns.size + rows.size))
    partner = min_weight_full_bipartite_matching(graph)[1]
    return np.sort(np.append(np.flatnonzero(alone), rivals[partner[row] == col]))
