"""Source-wise evaluation: completeness, reliability and the like, by the same rules for every finder.

The rules. Truth below ``floor`` (S/N 2) doesn't exist for the evaluation. Detections and truth are
matched one to one. A detection is false when it has no partner. Completeness counts truth of S/N
``counted`` (5) and more, and ``beside`` it (3). F1 is made of this completeness and the
reliability. The S/N of a true source is the peak of its beam-convolved apparent model over the
local noise, the column ``snr`` of the truth. How much of all this chance would give is measured
with the same detections, shifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.nddata import CCDData
from astropy.table import Table

from astroseg.errors import UsageError
from astroseg.evaluate.agreement import Agreement, agreement_table, measure_agreement
from astroseg.evaluate.blocks import cut_blocks
from astroseg.evaluate.counts import Counts
from astroseg.evaluate.curves import SNR_EDGES, Curve, Sweep, flux_edges, share_in_bins
from astroseg.evaluate.estimates import Bootstrap, Estimate
from astroseg.evaluate.evidence import Evidence
from astroseg.evaluate.matching import Matches, match_positions, required_agreements
from astroseg.evaluate.null import match_by_chance, matching_lengths
from astroseg.evaluate.positions import common_positions
from astroseg.evaluate.tables import column, length, plain, quantity

__all__ = ["SourceScores", "evaluate_sources"]

_RELIABILITY = 0.95  # of completeness_at_95
_OWN_SCORES = ("probability", "snr", "peak_flux", "flux")


@dataclass(frozen=True)
class SourceScores:
    """What `evaluate_sources` returns.

    Parameters
    ----------
    counts : Counts
        ``tp`` and ``fn`` of the true sources that count, ``fp`` of the detections.
    n_found : int
        Number of detections.
    scores : dict of Estimate
        ``completeness``, ``completeness_3`` (beside it), ``reliability``, ``f1``, ``null_rate`` (share of
        shifted detections that match), ``null_completeness``, ``completeness_at_95`` (% reliability,
        on the sweep), and ``corrected_completeness``, ``corrected_reliability``, ``corrected_f1``: the
        same with the null rates taken off.
    curves : dict of Curve
        ``completeness_by_snr``, ``completeness_by_flux`` (of the truth), ``reliability_by_snr``,
        ``reliability_by_flux`` (of the detections).
    sweep : Sweep
        Completeness against reliability.
    agreement : dict of Agreement
        Of the matched sources that count.
    matches : Matches
        Rows of both catalogues.
    options : dict
        The rules: every number that the scores depend on.
    """

    counts: Counts
    n_found: int
    scores: dict[str, Estimate]
    curves: dict[str, Curve]
    sweep: Sweep
    agreement: dict[str, Agreement]
    matches: Matches
    options: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; what is not known is None."""
        counts = {"tp": self.counts.tp, "fp": self.counts.fp, "fn": self.counts.fn, "n_found": self.n_found}
        values = {name: score.value for name, score in self.scores.items()}
        intervals = {name: [score.low, score.high] for name, score in self.scores.items()}
        agreement = {name: vars(item) for name, item in self.agreement.items()}
        return plain(counts | values | {"intervals": intervals, "agreement": agreement, "options": self.options})

    def to_table(self) -> Table:
        """One row a score, with its interval."""
        rows = [{"score": name, "value": s.value, "low": s.low, "high": s.high} for name, s in self.scores.items()]
        return Table(rows, meta=dict(self.options))

    def agreement_table(self) -> Table:
        """One row a quantity: median, scatter and outliers of the matched sources."""
        return agreement_table(self.agreement)


def evaluate_sources(
    found: Any,
    truth: Any,
    *,
    image: CCDData | None = None,
    radius: float | u.Quantity = 0.5,
    shift: u.Quantity | None = None,
    flux_factor: float | None = None,
    size_factor: float | None = None,
    counted: float = 5.0,
    beside: float = 3.0,
    floor: float = 2.0,
    bootstrap: Bootstrap | None = None,
) -> SourceScores:
    """Evaluate detections against a truth catalogue, source by source.

    Parameters
    ----------
    found, truth : tables
        Columns as in `astroseg.catalog.COLUMNS` (astropy, pandas or a dict); positions suffice. A
        true source without ``snr`` always counts.
    image : `~astropy.nddata.CCDData`, optional
        For its beam and the size of its pixels.
    radius : float or `~astropy.units.Quantity`
        Largest separation of a match: in beams (geometric mean of both FWHM), an angle, or pixels.
    shift : `~astropy.units.Quantity`, optional
        How far the null test shifts the detections, to each of four sides. By default 20 pixels (16
        radii where the size of a pixel is not known), and at least 3 radii.
    flux_factor, size_factor : float, optional
        A match must agree in flux, or major axis, within this factor.
    counted, beside, floor : float
        S/N of the truth that completeness counts, counts beside it, and that makes a detection true.
    bootstrap : Bootstrap, optional
        Number of resamples, confidence and seed of the intervals.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astroseg.evaluate import evaluate_sources
    >>> truth = {"x_centroid": [10.0, 60.0, 90.0], "y_centroid": [5.0, 5.0, 5.0], "snr": [9.0, 7.0, 2.5]}
    >>> found = {"x_centroid": [10.2, 40.0, 90.1], "y_centroid": [5.0, 5.0, 5.0], "snr": [9.5, 5.0, 2.7]}
    >>> scores = evaluate_sources(found, truth, radius=1 * u.pix).to_dict()
    >>> scores["completeness"], round(scores["reliability"], 3), round(scores["f1"], 3)
    (0.5, 0.667, 0.571)
    """
    if not floor <= beside <= counted:
        msg = f"The S/N limits must ascend: floor {floor:g}, beside {beside:g}, counted {counted:g}."
        raise UsageError(msg)
    positions = common_positions(found, truth)
    limit, step = matching_lengths(radius, shift, image, on_sky=positions[0].on_sky)
    snr = np.nan_to_num(column(truth, "snr"), nan=np.inf)
    there = np.flatnonzero(snr >= floor)
    agreements = required_agreements(found, truth, flux_factor, size_factor)
    evidence, matches = _gather(positions, snr, there, agreements, (limit, step), _own_score(found), (counted, beside))
    return SourceScores(
        counts=evidence.counts,
        n_found=length(found),
        scores=evidence.estimates(bootstrap or Bootstrap(), _RELIABILITY),
        curves=_curves(found, truth, evidence, there),
        sweep=evidence.sweep(),
        agreement=measure_agreement(found, truth, matches.subset(snr[matches.truth] >= counted), positions),
        matches=matches,
        options={
            "radius": f"{limit:.6g}",
            "shift": f"{step:.6g}",
            "flux_factor": flux_factor,
            "size_factor": size_factor,
            "counted": counted,
            "beside": beside,
            "floor": floor,
            "swept": evidence.score_name,
        },
    )


def _gather(positions, snr, there, agreements, lengths, score, levels) -> tuple[Evidence, Matches]:
    """Match, by position and by chance, with the rows of the truth that are ``there``."""
    found, truth = positions[0], positions[1].subset(there)
    agreements = [(mine, theirs[there], factor) for mine, theirs, factor in agreements]
    matches = match_positions(found, truth, lengths[0], agreements)
    null_true, null_hit = match_by_chance(found, truth, lengths[0], lengths[1], agreements)
    true, hit, partner_snr = np.zeros(len(found), dtype=bool), np.zeros(len(truth), dtype=bool), np.zeros(len(found))
    true[matches.found], hit[matches.truth] = True, True
    partner_snr[matches.found] = snr[there][matches.truth]
    blocks = cut_blocks(found, truth)
    evidence = Evidence(blocks, true, hit, null_true, null_hit, snr[there], partner_snr, *score, *levels)
    return evidence, Matches(matches.found, there[matches.truth], matches.separation)


def _own_score(found):
    """The first of probability, S/N, peak and flux that every detection has."""
    for name in _OWN_SCORES:
        values = column(found, name)
        if np.isfinite(values).all():
            return name, values
    return "none", np.zeros(length(found))


def _curves(found, truth, evidence, there) -> dict[str, Curve]:
    flux, true_flux = quantity(found, "flux"), quantity(truth, "flux")[there]
    return {
        "completeness_by_snr": share_in_bins("snr", evidence.snr, evidence.hit, SNR_EDGES),
        "completeness_by_flux": share_in_bins("flux", true_flux, evidence.hit, flux_edges(true_flux)),
        "reliability_by_snr": share_in_bins("snr", column(found, "snr"), evidence.true, SNR_EDGES),
        "reliability_by_flux": share_in_bins("flux", flux, evidence.true, flux_edges(flux)),
    }
