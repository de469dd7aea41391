"""From the maps of the U-Net to sources: centres, the pixels of each, and their parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.labels import components

__all__ = ["Centres", "Maps", "add_certain", "assign_pixels", "find_centres", "source_parameters", "take_centres"]

CERTAIN = 4.0  # logit of the segmentation: what reaches it is no accident
AGREE = 0.5  # beams: two peaks whose votes come closer together than this mean one source
STRAY = 1.5  # beams: how far from a centre a pixel's vote may end ...
STRAY_SHARE = 0.35  # ... and this much more for each pixel of the vote's length

Maps = dict[str, np.ndarray]


@dataclass(frozen=True)
class Centres:
    """Sources, the most probable first.

    Parameters
    ----------
    row, column : 1-D `~numpy.ndarray` of int
        Pixel of the peak.
    x, y : 1-D `~numpy.ndarray`
        Position, 0-based pixels.
    score : 1-D `~numpy.ndarray`
        Logit of the peak.
    """

    row: np.ndarray
    column: np.ndarray
    x: np.ndarray
    y: np.ndarray
    score: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Centres:
        return Centres(*(values[index] for values in (self.row, self.column, self.x, self.y, self.score)))


def find_centres(maps: Maps, least: float, beam: float) -> Centres:
    """Find the peaks of the map of centres.

    Parameters
    ----------
    maps : dict of `~numpy.ndarray`, shape (channels, ny, nx)
    least : float
        Logit of the faintest peak.
    beam : float, pixels
    """
    logit = maps["centre"][0]
    row, column = _peaks(logit, least)
    return take_centres(maps, row, column, logit[row, column], beam)


def take_centres(maps: Maps, row: np.ndarray, column: np.ndarray, score: np.ndarray, beam: float) -> Centres:
    """Centres at these pixels, one where several mean the same source."""
    order = np.argsort(-score, kind="stable")
    row, column, score = row[order], column[order], score[order]
    x, y = (
        np.clip(at + vote[row, column].astype(float), -0.5, length - 0.5)
        for at, vote, length in zip((column, row), maps["vote"], maps["vote"].shape[:0:-1], strict=True)
    )
    kept = _without_doubles(x, y, AGREE * beam)
    return Centres(row[kept], column[kept], x[kept], y[kept], score[kept])


def _peaks(logit, least) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of the pixels that no neighbour outdoes; of equal neighbours it is the first."""
    bordered = np.pad(logit, 1, constant_values=-np.inf)
    width = bordered.shape[1]
    flat = bordered.ravel()
    place = np.flatnonzero(flat >= max(least, np.finfo(flat.dtype).min))
    for step in (1, width - 1, width, width + 1):
        place = place[(flat[place] > flat[place - step]) & (flat[place] >= flat[place + step])]
    row, column = np.divmod(place, width)
    return row - 1, column - 1


def _without_doubles(x, y, radius) -> np.ndarray:
    """Indices of the points that have no earlier one within the radius that is kept itself."""
    if x.size == 0:
        return np.zeros(0, dtype=np.intp)
    dropped = np.zeros(x.size, dtype=bool)
    pairs = KDTree(np.stack([x, y], axis=1)).query_pairs(radius, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    for first, second in pairs.tolist():
        dropped[second] |= not dropped[first]
    return np.flatnonzero(~dropped)


def add_certain(maps: Maps, centres: Centres, significance: np.ndarray, beam: float) -> Centres:
    """Add a centre to each hill that certainly is one and that nobody claims: the best that the map of centres offers.

    Of a large source it may be beyond doubt that it is there, and open where its middle is.

    Parameters
    ----------
    maps : dict of `~numpy.ndarray`, shape (channels, ny, nx)
    centres : Centres
    significance : 2-D `~numpy.ndarray`
        The image in units of its noise.
    beam : float, pixels
    """
    segmentation, logit = maps["segmentation"][0], maps["centre"][0]
    free = segmentation >= 0
    row, column, nearest = _claims(maps, centres, beam)
    free[row[nearest >= 0], column[nearest >= 0]] = False
    hills = components(free)
    tops = _tops(significance, *np.nonzero(free & (segmentation >= CERTAIN)))
    inside = np.flatnonzero(np.isin(hills, hills[tops]) & free)
    inside = inside[np.lexsort((inside, -logit.ravel()[inside], hills.ravel()[inside]))]
    best = inside[np.unique(hills.ravel()[inside], return_index=True)[1]]
    more = np.unravel_index(best, hills.shape)
    row, column = (np.append(one, other) for one, other in zip((centres.row, centres.column), more, strict=True))
    return take_centres(maps, row, column, np.append(centres.score, logit[more]), beam)


def _tops(values, row, column) -> tuple[np.ndarray, np.ndarray]:
    """Those of some pixels that no neighbour outdoes."""
    bordered = np.pad(values, 1, constant_values=-np.inf)
    for dy, dx in np.ndindex(3, 3):
        higher = bordered[row + dy, column + dx] > values[row, column]
        row, column = row[~higher], column[~higher]
    return row, column


def assign_pixels(maps: Maps, centres: Centres, beam: float) -> np.ndarray:
    """Give each pixel of the segmentation to the centre that it votes for.

    Returns
    -------
    2-D `~numpy.ndarray` of int32
        1 + index of the centre, 0 where there is none.
    """
    shape = maps["segmentation"].shape[1:]
    owner = np.zeros(shape, dtype=np.int32)
    if centres.x.size == 0:
        return owner
    row, column, nearest = _claims(maps, centres, beam)
    stray = nearest < 0
    owner[row, column] = nearest + 1
    _own_neighbourhood(owner, maps, centres, beam)
    _fill(owner, row[stray], column[stray], maps)
    return owner


def _claims(maps, centres, beam) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the pixels of the segmentation, and the centre each one votes for, -1 where there is none."""
    row, column = np.nonzero(maps["segmentation"][0] >= 0)
    if centres.x.size == 0:
        return row, column, np.full(row.shape, -1)
    vote_x, vote_y = maps["vote"][0][row, column], maps["vote"][1][row, column]
    tree = KDTree(np.stack([centres.x, centres.y], axis=1))
    distance, nearest = tree.query(np.stack([column + vote_x, row + vote_y], axis=1))
    near = distance <= STRAY * beam + STRAY_SHARE * np.hypot(vote_x, vote_y)
    return row, column, np.where(near, nearest, -1)


def _own_neighbourhood(owner, maps, centres, beam) -> None:
    """Every source has the pixel of its peak; one that the segmentation misses, the disk of half a beam around it."""
    reach = int(np.ceil(beam / 2))
    lost = owner[centres.row, centres.column] != np.arange(1, centres.row.size + 1)
    lost &= maps["segmentation"][0][centres.row, centres.column] < 0
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            row, column = centres.row[lost] + dy, centres.column[lost] + dx
            inside = (row >= 0) & (row < owner.shape[0]) & (column >= 0) & (column < owner.shape[1])
            if np.hypot(dx, dy) <= beam / 2:
                row, column, number = row[inside], column[inside], np.flatnonzero(lost)[inside] + 1
                free = owner[row, column] == 0
                owner[row[free], column[free]] = number[free]
    owner[centres.row, centres.column] = np.arange(1, centres.row.size + 1)


def _fill(owner, row, column, maps) -> None:
    """Pixels whose vote leads nowhere belong to the nearest pixel of their island that has an owner."""
    islands = components(maps["segmentation"][0] >= 0)
    concerned = np.zeros(islands.max() + 1, dtype=bool)
    concerned[islands[row, column]] = True
    owned = np.nonzero(concerned[islands] & (owner > 0))
    if owned[0].size == 0:
        return
    # With the island as a third coordinate, others are out of reach.
    apart = sum(owner.shape)
    tree = KDTree(np.stack([*owned, apart * islands[owned].astype(float)], axis=1))
    stray = np.stack([row, column, apart * islands[row, column].astype(float)], axis=1)
    distance, nearest = tree.query(stray, distance_upper_bound=apart)
    reached = np.isfinite(distance)
    owner[row[reached], column[reached]] = owner[owned][nearest[reached]]


def source_parameters(maps: Maps, centres: Centres, significance: np.ndarray, beam: float) -> dict[str, np.ndarray]:
    """Flux and shape of each source, as the network sees them at its peak.

    Returns
    -------
    dict of `~numpy.ndarray`
        ``flux`` (over the noise: the peak of a point source), ``flux_error`` (of its logarithm), ``covariance``
        (n, 2, 2), the shape without the beam, in pixels squared, ``major_error``, ``minor_error`` (of the logarithms)
        and ``elongation`` (0 to 1: how sure the angle is).
    """
    at = {name: values[:, centres.row, centres.column].astype(float) for name, values in maps.items()}
    reference = np.arcsinh(significance[centres.row, centres.column].astype(float) / 2)
    major, minor = (np.exp(at[name][0]) * beam / FWHM_PER_SIGMA for name in ("log_major", "log_minor"))
    major, minor = np.fmax(major, minor), np.fmin(major, minor)
    elongation = np.hypot(*at["angle"])
    cosine, sine = at["angle"] / np.fmax(elongation, 1e-9)
    middle, half = (major**2 + minor**2) / 2, (major**2 - minor**2) / 2
    xx, yy, xy = middle + half * cosine, middle - half * cosine, half * sine
    return {
        "flux": np.exp(at["log_flux"][0] + reference),
        "flux_error": np.exp(0.5 * at["log_flux"][1]),
        "covariance": np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2),
        "major_error": np.exp(0.5 * at["log_major"][1]),
        "minor_error": np.exp(0.5 * at["log_minor"][1]),
        "elongation": np.fmin(elongation, 1.0),
    }
