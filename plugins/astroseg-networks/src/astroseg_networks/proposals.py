"""Extreme points from contours at a ladder of levels, for objects that nobody pointed at.

What lies above a level falls into parts, and these into smaller ones above the next level: a tree. A part that is there
at two levels or more persists. Of each branch the level is taken at which the border is steepest; in images of the sky,
where sources fade into the noise, the lowest one. Where a part divides, the whole or its parts are taken, whichever
have the steeper borders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from astropy.nddata import CCDData
from scipy import ndimage, stats

from astroseg.background import MAD_TO_SIGMA
from astroseg.beam import FWHM_PER_SIGMA
from astroseg.header import pixel_scale, sky_kind
from astroseg.labels import components
from astroseg.sky import to_sky
from astroseg_networks.prompts import Prompt, extreme_points

__all__ = ["Proposal", "propose"]

POLARITIES = {"dark": (-1,), "bright": (1,), "both": (-1, 1)}
LOWEST = 3.0  # in units of the noise
STEP = 1.35  # from one level to the next
LEVELS = 24
SHARES = np.linspace(0.15, 0.9, 11)  # levels of a surface that is rough: shares of the way to its extremes
EXTREME = 0.2  # percentile that is taken for them
APART = 1.12  # least ratio of two levels
PERSISTENT = 2  # levels
STEEPER = 1.1  # ratio of the steepness at the next level, from which that is the better border
CORES = 0.4  # share of the whole that its parts cover, below which they are its cores
LARGEST = 0.5  # share of the image that an object may fill
LIMB = 0.97  # of the radius of the Sun: what lies beyond is not its disk
RADIUS = 960.0  # arcsec, of the Sun where the header does not say
RINGS = 40  # of the disk of the Sun
DARKENING = -0.9  # rank correlation of the brightness of rings with their radius, below which the limb is darker
MOST = 1000  # objects, those with the steepest borders


@dataclass(frozen=True)
class Proposal:
    """An object that a contour proposes, and whether that divides at other levels."""

    prompt: Prompt
    split: bool


@dataclass
class _Part:
    """What is connected above a level."""

    box: tuple[slice, slice]
    mask: np.ndarray
    steepness: float
    closed: bool
    children: list[_Part] = field(default_factory=list)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def levels(self) -> int:
        """Number of levels at which something of it is there."""
        return 1 + max((child.levels for child in self.children), default=0)


def propose(image: CCDData, polarity: str, min_pixels: int) -> list[Proposal]:
    """Propose objects.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    polarity : {"auto", "dark", "bright", "both"}
    min_pixels : int
        Smaller ones are not proposed, nor those smaller than the beam.

    Returns
    -------
    list of Proposal
        By the raster order of their first pixel.
    """
    kind = sky_kind(image.wcs)
    solar = kind in ("helioprojective", "heliographic")
    polarity = ("dark" if solar else "bright") if polarity == "auto" else polarity
    width, area = _beam(image)
    height, noise, seen = _flattened(image, width)
    if not noise > 0:
        return []
    parts: list[_Part] = []
    for sign in POLARITIES[polarity]:
        up = np.where(seen, sign * height, -np.inf)
        roots = _tree(up, _ladder(up[seen], noise, solar=solar), max(min_pixels, area))
        parts += [part for root in roots for part in _chosen(root, steepest=solar)]
    parts = sorted(parts, key=lambda part: -part.steepness)[:MOST]
    parts.sort(key=_first)
    return [
        Proposal(Prompt(points=_points(part), name=f"proposal {number}"), _divides(part))
        for number, part in enumerate(parts, start=1)
        if min(part.mask.shape) > 1
    ]


def _beam(image) -> tuple[float, int]:
    """Standard deviation of the smoothing in pixels, and the area of a beam; a pixel, and 1, without a beam."""
    beam = image.meta.get("beam")
    widths = None if beam is None else beam.fwhm_pixels(pixel_scale(image.wcs))
    if widths is None:
        return 1.0, 1
    # The noise is smooth on the scale of the beam already.
    return max(0.3 * float(widths[1]) / FWHM_PER_SIGMA, 0.3), int(np.ceil(np.prod(widths) * 1.133))


def _flattened(image, width) -> tuple[np.ndarray, float, np.ndarray]:
    """The image smoothed, less its median, or that of rings on the Sun; its noise; and where it shows something."""
    seen = np.isfinite(image.data) if image.mask is None else np.isfinite(image.data) & ~image.mask
    distance = _distance(image)
    seen = seen if distance is None else seen & (distance < LIMB)
    if not seen.any():
        return np.zeros(image.shape, dtype=np.float32), 0.0, seen
    level = _level(image.data, seen, distance)
    height = np.where(seen, image.data - level, 0).astype(np.float32)
    weight = ndimage.gaussian_filter(seen.astype(np.float32), width)
    height = ndimage.gaussian_filter(height, width) / np.fmax(weight, np.float32(1e-3))
    level = float(np.median(height[seen]))
    return height - level, float(MAD_TO_SIGMA * np.median(np.abs(height[seen] - level))), seen


def _level(values, seen, distance) -> np.ndarray | float:
    """The median; on a whole disk of the Sun that darkens to its limb, that of the ring that each pixel lies in."""
    if distance is not None and _all_round(distance):
        area = (distance / LIMB) ** 2  # rings of the same area, so that no spot fills one
        number = np.arange(RINGS)
        medians = ndimage.median(values, np.where(seen, (area * RINGS).astype(int), -1), number)
        # A corona brightens to the limb, and unevenly: rings would take its holes for background.
        if stats.spearmanr(number, medians).statistic < DARKENING:
            return np.interp(area, (number + 0.5) / RINGS, medians)
    return float(np.median(values[seen]))


def _all_round(distance) -> bool:
    """Whether an image shows the limb on all sides."""
    return bool(min(distance[0].min(), distance[-1].min(), distance[:, 0].min(), distance[:, -1].min()) > LIMB)


def _distance(image) -> np.ndarray | None:
    """Distance from the middle of the Sun in units of its radius, on images that are not maps of its surface."""
    if sky_kind(image.wcs) != "helioprojective":
        return None
    header = image.meta.get("header") or {}
    radius = float(header.get("RSUN_OBS", header.get("R_SUN", RADIUS)) or RADIUS)
    radius = radius if 900 < radius < 1000 else RADIUS
    y, x = np.indices(image.shape)
    place = np.stack(to_sky(image.wcs, x.ravel(), y.ravel())) * 3600
    return (np.hypot(*place) / radius).reshape(image.shape)


def _ladder(values, noise, *, solar) -> np.ndarray:
    """Levels above the median: multiples of the noise; of the Sun, whose surface is rough, also shares of the range."""
    levels = LOWEST * noise * STEP ** np.arange(LEVELS)
    if solar:
        high = float(np.percentile(values, 100 - EXTREME))
        levels = np.union1d(levels, SHARES * high) if high > 0 else levels
    levels = levels[levels < values.max()]
    kept: list[float] = []
    for level in levels.tolist():
        kept += [level] if not kept or level > APART * kept[-1] else []
    return np.array(kept)


def _tree(up, levels, least) -> list[_Part]:
    """The parts above the lowest level, each with those above the next one that lie in it."""
    steep = ndimage.gaussian_gradient_magnitude(np.where(np.isfinite(up), up, 0), 1.0)
    roots: list[_Part] = []
    above: list[_Part] = []
    owner = np.zeros(up.shape, dtype=np.int32)
    for level in levels:
        labels = components(up >= level)
        below, owner_below, above, owner = above, owner, [], np.zeros(up.shape, dtype=np.int32)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            mask = labels[box] == label
            if np.count_nonzero(mask) < least:
                continue
            part = _part(box, mask, steep, up.shape)
            row, column = (index[0] for index in np.nonzero(mask))
            parent = int(owner_below[box][row, column])
            (below[parent - 1].children if parent else roots).append(part)
            above.append(part)
            owner[box][mask] = len(above)
    return roots


def _part(box, mask, steep, shape) -> _Part:
    border = mask & ~ndimage.binary_erosion(mask)
    ends = zip(box, shape, strict=True)
    closed = all(side.start > 0 and side.stop < length for side, length in ends)
    small = np.count_nonzero(mask) <= LARGEST * shape[0] * shape[1]
    return _Part(box, mask, float(np.mean(steep[box][border])), closed and small)


def _chosen(part: _Part, *, steepest: bool) -> list[_Part]:
    """The parts to propose of a branch and all that grows from it."""
    chain = [part]
    while len(growing := [child for child in chain[-1].children if child.levels >= PERSISTENT]) == 1:
        chain.append(growing[0])
    chain += [] if growing else [child for child in chain[-1].children if len(chain[-1].children) == 1]
    usable = [one for one in chain if one.closed] if part.levels >= PERSISTENT else []
    whole = _best(usable) if steepest else usable[:1]
    apart = [one for child in growing for one in _chosen(child, steepest=steepest)]
    if whole and (not apart or not steepest):
        return whole
    cores = sum(one.area for one in apart) < CORES * sum(one.area for one in whole)
    return whole if cores else apart


def _best(chain) -> list[_Part]:
    """The lowest part of a branch whose border is nearly as steep as that of the next one."""
    return [low for low, high in pairwise(chain) if high.steepness < STEEPER * low.steepness][:1] or chain[-1:]


def _divides(part: _Part) -> bool:
    """Whether the part falls into several that persist."""
    while part.children:
        growing = [child for child in part.children if child.levels >= PERSISTENT]
        if len(growing) > 1:
            return True
        if not growing:
            return False
        part = growing[0]
    return False


def _points(part) -> np.ndarray:
    rows, columns = np.nonzero(part.mask)
    return extreme_points(rows + part.box[0].start, columns + part.box[1].start)


def _first(part) -> tuple[int, int]:
    row, column = part.box[0].start, int(np.argmax(part.mask[0])) + part.box[1].start
    return row, column
