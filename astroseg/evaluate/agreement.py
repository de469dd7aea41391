"""How well flux, position, size and angle of matched sources agree with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.table import Table

from astroseg.evaluate.matching import Matches
from astroseg.evaluate.positions import Positions
from astroseg.evaluate.tables import column, common_columns

__all__ = ["Agreement", "agreement_table", "measure_agreement"]

_MAD_TO_SIGMA = 1.482602218505602  # of a normal distribution
_OUTLIER = 5  # scaled MADs
_RATIOS = ("flux", "peak_flux", "fwhm_major", "fwhm_minor", "deconvolved_major", "deconvolved_minor")


@dataclass(frozen=True)
class Agreement:
    """Distribution of a ratio or difference over matched sources, by numbers that outliers can't move.

    Parameters
    ----------
    unit : str
        Empty for ratios.
    n : int
        Number of pairs that have the value.
    median : float
    mad : float
        Median absolute deviation from the median, times 1.4826: the standard deviation of a normal
        distribution.
    error : float
        Standard error of the median, sqrt(pi / 2) mad / sqrt(n).
    outliers : float
        Share of pairs further than 5 ``mad`` from the median.
    """

    unit: str
    n: int
    median: float
    mad: float
    error: float
    outliers: float

    @classmethod
    def of(cls, values: np.ndarray, unit: str = "") -> Agreement:
        """Summarize values; those not finite are left out.

        Parameters
        ----------
        values : 1-D `~numpy.ndarray`
        unit : str
        """
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(unit, 0, *[float("nan")] * 4)
        median = float(np.median(values))
        mad = float(_MAD_TO_SIGMA * np.median(np.abs(values - median)))
        outliers = float(np.mean(np.abs(values - median) > _OUTLIER * mad))
        return cls(unit, values.size, median, mad, float(np.sqrt(np.pi / 2 / values.size) * mad), outliers)


def measure_agreement(
    found: Any, truth: Any, matches: Matches, positions: tuple[Positions, Positions]
) -> dict[str, Agreement]:
    """Compare what was measured with the truth, over matched sources.

    Parameters
    ----------
    found, truth : tables
    matches : Matches
    positions : (Positions, Positions)
        Of both tables.

    Returns
    -------
    dict
        ``<column>_ratio`` (found / truth, where both are above 0), ``offset_east``, ``offset_north``
        (or ``offset_x``, ``offset_y``) and ``separation``, and ``pa`` and ``deconvolved_pa``
        (difference, -90 to 90 deg; for resolved sources whose true axes differ).
    """
    result = {f"{name}_ratio": Agreement.of(_ratio(found, truth, matches, name)) for name in _RATIOS}
    mine, theirs = positions[0].subset(matches.found), positions[1].subset(matches.truth)
    unit = str(mine.unit)
    for name, offset in zip(("east", "north") if mine.on_sky else ("x", "y"), mine.offsets(theirs), strict=True):
        result[f"offset_{name}"] = Agreement.of(offset, unit)
    result["separation"] = Agreement.of(matches.separation.value, unit)
    for name, axes in (("pa", "fwhm"), ("deconvolved_pa", "deconvolved")):
        result[name] = Agreement.of(_turn(found, truth, matches, name, axes), "deg")
    return result


def _ratio(found, truth, matches, name):
    pair = common_columns(found, truth, name)
    if pair is None:
        return np.empty(0)
    mine, theirs = pair[0][matches.found], pair[1][matches.truth]
    known = (mine > 0) & (theirs > 0)
    return mine[known] / theirs[known]


def _turn(found, truth, matches, name, axes):
    turn = column(found, name)[matches.found] - column(truth, name)[matches.truth]
    major, minor = (column(truth, f"{axes}_{axis}")[matches.truth] for axis in ("major", "minor"))
    resolved = column(found, f"{axes}_major")[matches.found] > 0
    return np.where((major > minor) & resolved, (turn + 90) % 180 - 90, np.nan)


def agreement_table(agreement: Mapping[str, Agreement]) -> Table:
    """One row a quantity.

    Parameters
    ----------
    agreement : dict of Agreement
    """
    return Table([{"quantity": name} | asdict(item) for name, item in agreement.items()])
