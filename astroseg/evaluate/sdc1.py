"""The official score of the SKA Science Data Challenge 1, for whole lists at once.

Written from the published rules (Bonaldi et al. 2021, MNRAS 500, 3821, and the notes that came
with the challenge) and checked against the official scorer, ska-sdc 2.0.0, whose oddities are kept
on purpose, as a score is only worth something when it is the same one:

- candidates are sought in right ascension and declination as if the sky were flat, without the
  cosine, within the convolved size of the detection;
- the beam in all sizes is 0.625 arcsec at 560 MHz, not the 1.5 arcsec of the image;
- position angles are folded to within 45 degrees, not 90;
- where a list holds a negative flux or size, its zeros are dropped with it;
- a list without any match scores 0, however many false detections it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import numpy as np
from astropy.table import Table
from scipy.spatial import KDTree

from astroseg.errors import UsageError
from astroseg.evaluate.blocks import cut_blocks
from astroseg.evaluate.estimates import Bootstrap, Estimate
from astroseg.evaluate.positions import Positions
from astroseg.evaluate.tables import column, names, plain
from astroseg.sky import ARCSEC

__all__ = ["SDC1_COLUMNS", "Sdc1Score", "sdc1_score"]

#: The columns of a list, in order: degrees, Jy, arcsec; PA from the axis of RA; size 1 = largest angular
#: scale, 2 = Gaussian FWHM, 3 = exponential scale; class 1 = steep-spectrum, 2 = flat-spectrum AGN, 3 = galaxy.
SDC1_COLUMNS = (
    "id", "ra_core", "dec_core", "ra_cent", "dec_cent", "flux", "core_frac", "b_maj", "b_min", "pa", "size", "class",
)  # fmt: skip

_BEAM = {frequency: 350 / frequency for frequency in (560, 1400, 9200)}  # arcsec, by MHz
_PLACES = {"core": "core", "centroid": "cent"}
# Training area of each image: RA and Dec, exclusive.
_TRAINING = {
    560: ((-0.6723, 0.0), (-29.94, -29.4061)),
    1400: ((-0.2688, 0.0), (-29.94, -29.7265)),
    9200: ((-0.04092, 0.0), (-29.94, -29.9074)),
}
_TO_GAUSSIAN = np.array([np.nan, 0.471, 1.0, np.sqrt(2), np.nan])  # by size: to a Gaussian FWHM
_NOT_NEGATIVE = ("flux", "core_frac", "b_min", "b_maj")  # cleaned in this order
_SCALES = 0.93, 0.36, 4.38  # of position, flux and size in the distance of a match
_LARGEST_DISTANCE = 5.0
_CORE_FRACTION = 0.75  # mean of unresolved AGN
_THRESHOLDS = {"position": 0.3, "flux": 0.1, "b_maj": 0.3, "b_min": 0.3, "pa": 10.0, "core_frac": 0.05}

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Sdc1Score:
    """What `sdc1_score` returns.

    Parameters
    ----------
    score : float
        Sum of the scores of the matches (0 to 1 each), less 1 for each false detection.
    n_det : int
        Detections that are complete and lie in the scored area.
    n_match, n_false : int
        Their sum is ``n_det``.
    n_bad : int
        Matches that were refused because flux, size and position are too far off; they are false.
    subscores : dict of float
        Mean over the matches of ``position``, ``flux``, ``b_maj``, ``b_min``, ``pa``, ``core_frac``, ``class``.
    null_rate : float
        Share of the detections that match after a shift; NaN where that was not asked for.
    found, truth : 1-D `~numpy.ndarray` of int
        Rows of the matches in the two lists.
    points : 1-D `~numpy.ndarray`
        What each of the ``n_det`` detections adds to the score.
    """

    score: float
    n_det: int
    n_match: int
    n_false: int
    n_bad: int
    subscores: dict[str, float]
    null_rate: float
    found: np.ndarray = field(repr=False)
    truth: np.ndarray = field(repr=False)
    points: np.ndarray = field(repr=False)
    positions: tuple[Positions, Positions] = field(repr=False)

    @property
    def purity(self) -> float:
        """Share of the detections that match, NaN without detections."""
        return self.n_match / self.n_det if self.n_det else float("nan")

    def estimate(self, bootstrap: Bootstrap | None = None) -> Estimate:
        """The score with its interval; two lists against one truth can be compared in pairs.

        Parameters
        ----------
        bootstrap : Bootstrap, optional
            Number of resamples, confidence and seed.
        """
        blocks = cut_blocks(*self.positions)
        sums = blocks.sum_found(self.points)
        return (bootstrap or Bootstrap()).estimate(lambda weights: weights @ sums, blocks.count, blocks.key)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; what is not known is None."""
        keys = ("score", "n_det", "n_match", "n_false", "n_bad", "purity", "null_rate", "subscores")
        estimate = self.estimate()
        values = {key: getattr(self, key) for key in keys}
        return plain(values | {"intervals": {"score": [estimate.low, estimate.high]}})

    def to_table(self) -> Table:
        """One row a number."""
        values = {name: value for name, value in self.to_dict().items() if not isinstance(value, dict)}
        values |= {f"{name} score": value for name, value in self.subscores.items()}
        known = {name: float("nan") if value is None else float(value) for name, value in values.items()}
        return Table({"score": list(known), "value": list(known.values())})


def sdc1_score(
    found: Any,
    truth: Any,
    *,
    frequency: Literal[560, 1400, 9200] = 560,
    mode: Literal["core", "centroid"] = "core",
    train: bool = True,
    null_shift: float | None = 12.0,
) -> Sdc1Score:
    """Score a list of detections as SDC1 did.

    Parameters
    ----------
    found, truth : tables, or arrays of shape (n, 12)
        With the columns `SDC1_COLUMNS`; `~astroseg.evaluate.sdc1_list` makes one from a catalogue.
        Detections of one ``id`` are one detection for the matching.
    frequency : {560, 1400, 9200}
        Of the image, in MHz.
    mode : {"core", "centroid"}
        Which positions are matched.
    train : bool
        Score the training area, else all but it.
    null_shift : float or None
        Declination (arcsec) added to the detections for the null test, `None` to leave it out.

    Notes
    -----
    A detection may match all truth within its convolved size hypot(beam, Gaussian FWHM). Of these, it
    takes the one of the least D = hypot(dr / c / 0.93, dS / S / 0.36, ds / c / 4.38), with S the flux, c
    the convolved and s the mean Gaussian size of the truth; then each truth keeps its best
    detection. Matches of D < 5 score the mean of seven terms min(1, threshold / error); for truth
    given by its largest angular scale, the minor axis and angle are not defined and score 1.
    """
    place = _choice(_PLACES, mode, "kind of position")
    _choice(_BEAM, frequency, "image, in MHz,")
    detections, sky = (_prepare(table, frequency, train=train) for table in (found, truth))
    # For few queries a tree of the plainest kind will do.
    tree = KDTree(_points(sky, place), leafsize=32, compact_nodes=False, balanced_tree=False)
    i, j, n_bad = _match(detections, sky, tree, place)
    terms = _terms(_select(detections, i), _select(sky, j), frequency)
    n_det = len(detections["id"])
    points = np.full(n_det, -1.0)
    points[i] = np.mean([*terms.values()], axis=0)
    return Sdc1Score(
        score=float(points.sum()) if i.size else 0.0,
        n_det=n_det,
        n_match=i.size,
        n_false=n_det - i.size,
        n_bad=n_bad,
        subscores={name: float(np.mean(term)) if i.size else float("nan") for name, term in terms.items()},
        null_rate=_null_rate(detections, sky, tree, place, null_shift),
        found=detections["row"][i],
        truth=sky["row"][j],
        points=points,
        positions=(_positions(detections, place), _positions(sky, place)),
    )


def _choice(choices, value, what):
    if value not in choices:
        msg = f"SDC1 has no {what} {value!r}. Choose from {', '.join(map(str, choices))}."
        raise UsageError(msg)
    return choices[value]


def _null_rate(found, truth, tree, place, shift):
    if shift is None or len(found["id"]) == 0:
        return float("nan")
    moved = found | {name: found[name] + shift / 3600 for name in ("dec_core", "dec_cent")}
    return len(_match(moved, truth, tree, place)[0]) / len(found["id"])


def _prepare(table, frequency, *, train) -> Columns:
    """Columns of the rows that are complete, not negative and in the area, with what follows from them."""
    if isinstance(table, np.ndarray) and table.ndim == 2 and table.shape[1] == len(SDC1_COLUMNS):
        table = dict(zip(SDC1_COLUMNS, table.T, strict=True))
    known = names(table)
    missing = [name for name in SDC1_COLUMNS if name not in known]
    if missing:
        msg = f"An SDC1 list needs the columns {', '.join(SDC1_COLUMNS)}; this one lacks {', '.join(missing)}."
        raise UsageError(msg)
    columns = {name: column(table, name) for name in SDC1_COLUMNS}
    columns["row"] = np.arange(len(columns["id"]))
    for name in ("ra_core", "ra_cent"):
        columns[name] = np.where(columns[name] > 180, columns[name] - 360, columns[name])
    columns = _select(columns, ~np.any([np.isnan(values) for values in columns.values()], axis=0))
    for name in _NOT_NEGATIVE:
        if np.any(columns[name] < 0):
            columns = _select(columns, columns[name] > 0)
    columns = _select(columns, _in_area(columns, frequency, train=train))
    scale = _TO_GAUSSIAN[np.clip(columns["size"], 0, len(_TO_GAUSSIAN) - 1).astype(int)]
    columns["scale"] = scale
    columns["gaussian"] = scale * (columns["b_maj"] + columns["b_min"]) / 2
    columns["convolved"] = np.hypot(_BEAM[frequency], scale * np.maximum(columns["b_maj"], columns["b_min"]))
    return columns


def _select(columns, which, needed=None) -> Columns:
    return {name: columns[name][which] for name in needed or columns}


def _in_area(columns, frequency, *, train):
    (west, east), (south, north) = _TRAINING[frequency]
    ra, dec = columns["ra_core"], columns["dec_core"]
    if train:
        return (ra > west) & (ra < east) & (dec > south) & (dec < north)
    return (ra < west) | (ra > east) | (dec < south) | (dec > north)


def _points(columns, place):
    return np.stack([columns[f"ra_{place}"], columns[f"dec_{place}"]], axis=-1)


def _positions(columns, place):
    return Positions(columns[f"ra_{place}"], columns[f"dec_{place}"], on_sky=True)


def _match(found, truth, tree, place):
    """Rows of the matches in both lists, and the number of those refused."""
    reach = np.nan_to_num(found["convolved"], nan=-1.0) / 3600  # a size of no kind reaches nothing
    near = tree.query_ball_point(_points(found, place), reach, return_sorted=False)
    i = np.repeat(np.arange(len(near)), [len(rows) for rows in near])
    j = np.fromiter(chain.from_iterable(near), dtype=int, count=len(i))
    needed = (f"ra_{place}", f"dec_{place}", "flux", "gaussian", "convolved")
    distance = _distance(_select(found, i, needed), _select(truth, j, needed), place)
    best = _least(found["id"][i], distance)
    best = best[_least(truth["id"][j[best]], distance[best])]
    accepted = best[distance[best] < _LARGEST_DISTANCE]
    return i[accepted], j[accepted], int(np.sum(distance[best] >= _LARGEST_DISTANCE))


def _least(groups, values):
    """Index of the least value of each group."""
    order = np.lexsort((values, groups))
    ranked = groups[order]
    return order[np.append(True, ranked[1:] != ranked[:-1])[: len(order)]]


def _distance(found, truth, place):
    with np.errstate(divide="ignore", invalid="ignore"):
        position = _separation(found, truth, place) / truth["convolved"]
        flux = (found["flux"] - truth["flux"]) / truth["flux"]
        size = (found["gaussian"] - truth["gaussian"]) / truth["convolved"]
        return np.sqrt(sum((value / scale) ** 2 for value, scale in zip((position, flux, size), _SCALES, strict=True)))


def _separation(found, truth, place):
    """Great-circle distance in arcsec, by the haversine formula."""
    dec, true_dec = np.radians(found[f"dec_{place}"]), np.radians(truth[f"dec_{place}"])
    half_ra = np.radians(found[f"ra_{place}"] - truth[f"ra_{place}"]) / 2
    square = np.sin((dec - true_dec) / 2) ** 2 + np.cos(dec) * np.cos(true_dec) * np.sin(half_ra) ** 2
    return 2 * ARCSEC * np.arcsin(np.sqrt(square))


def _terms(found, truth, frequency) -> Columns:
    """The seven scores of each match."""
    size = np.hypot(2 * _BEAM[frequency], (truth["b_maj"] + truth["b_min"]) / 2)
    convert = np.where(found["size"] == truth["size"], 1.0, found["scale"] / truth["scale"])
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = {
            "position": np.minimum(_separation(found, truth, "core"), _separation(found, truth, "cent")) / size,
            "flux": np.abs(found["flux"] - truth["flux"]) / truth["flux"],
            "b_maj": np.abs(found["b_maj"] * convert - truth["b_maj"]) / truth["b_maj"],
            "b_min": np.abs(found["b_min"] * convert - truth["b_min"]) / truth["b_min"],
            "pa": np.abs(_fold(found["pa"]) - _fold(truth["pa"])),
            "core_frac": np.abs(found["core_frac"] - truth["core_frac"]) / _CORE_FRACTION,
        }
    terms = {name: _term(error, _THRESHOLDS[name]) for name, error in errors.items()}
    for name in ("b_min", "pa"):  # not defined for what is given by its largest angular scale
        terms[name] = np.where(truth["size"] == 1, 1.0, terms[name])
    return terms | {"class": (found["class"] == truth["class"]).astype(float)}


def _term(error, threshold):
    """min(1, threshold / error); an error that is not defined, of a size of 0, scores nothing."""
    term = np.divide(threshold, error, out=np.ones_like(error), where=error > threshold)
    return np.where(np.isnan(error), 0.0, term)


def _fold(angle):
    for limit in (180, 90, 45):
        angle = np.where(angle > limit, angle - limit, angle)
    return np.where(angle < -45, angle + 45, angle)
