"""Draws many sources, each a sum of Gaussians, by the thousand at once.

Sources of the same number of parts and about the same size are drawn together, as one array of small stamps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["Parts", "draw_stamps", "joined"]

FAINTEST = 0.01  # brightness, in units of the level given, where a stamp may end
LEAST_REACH = 3.5  # sigmas; the flux beyond is 0.2 % of a Gaussian's
MOST_REACH = 9.0
HALVES = np.array([4, 6, 8, 11, 16, 23])  # half widths, in pixels, of stamps that are drawn together
CHUNK = 2**16  # pixels drawn at once: they stay in the cache
NUMBER_BITS = 32  # of a source, next to the bits of its brightness


@dataclass(frozen=True)
class Parts:
    """Gaussians that sources are made of; each source's parts follow one another.

    Parameters
    ----------
    count : 1-D `~numpy.ndarray` of int, one a source
        Number of its parts.
    dx, dy : 1-D `~numpy.ndarray`, one a part
        Offset from the source's position, in pixels.
    flux : 1-D `~numpy.ndarray`, one a part
        In Jy.
    covariance : `~numpy.ndarray`, shape (n, 3)
        Variance in x, covariance, variance in y: pixels squared.
    """

    count: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    flux: np.ndarray
    covariance: np.ndarray

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum of a value of the parts over each source."""
        owner = np.repeat(np.arange(self.count.size), self.count)
        return np.bincount(owner, values, minlength=self.count.size)

    def smeared(self, variance: float) -> Parts:
        """Convolve with a round Gaussian of this variance, in pixels squared."""
        return Parts(self.count, self.dx, self.dy, self.flux, self.covariance + variance * np.array([1.0, 0.0, 1.0]))

    def scaled(self, factor: np.ndarray) -> Parts:
        """Multiply the flux of each source."""
        return Parts(self.count, self.dx, self.dy, self.flux * np.repeat(factor, self.count), self.covariance)

    def peaks(self) -> np.ndarray:
        """Brightness of each part at its own centre, flux per square pixel."""
        xx, xy, yy = self.covariance.T
        return self.flux / (2 * np.pi * np.sqrt(xx * yy - xy * xy))

    def brightest(self) -> np.ndarray:
        """Brightness of each source, all its parts together, at the brightest of their centres."""
        found, first = np.zeros(self.count.size), np.cumsum(self.count) - self.count
        for count in np.unique(self.count).tolist():
            sources = np.flatnonzero(self.count == count)
            which = first[sources, None] + np.arange(count)
            xx, xy, yy = self.covariance[which].transpose(2, 0, 1)[..., None, :]
            dx, dy = (values[which][:, :, None] - values[which][:, None, :] for values in (self.dx, self.dy))
            exponent = -0.5 * (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / (xx * yy - xy**2)
            found[sources] = np.sum(self.peaks()[which][:, None, :] * np.exp(exponent), axis=2).max(axis=1)
        return found

    def moments(self) -> np.ndarray:
        """Covariance of each source, from all its parts: shape (n, 3)."""
        offsets = np.stack([self.dx**2, self.dx * self.dy, self.dy**2], axis=-1)
        spread = (self.covariance + offsets) * self.flux[:, None]
        return np.stack([self.total(column) for column in spread.T], axis=-1) / self.total(self.flux)[:, None]


def joined(groups: list[Parts]) -> Parts:
    """Sources of several groups, one group after the other."""
    names = ("count", "dx", "dy", "flux", "covariance")
    return Parts(*(np.concatenate([getattr(group, name) for group in groups]) for name in names))


def draw_stamps(
    shape: tuple[int, int], x: np.ndarray, y: np.ndarray, parts: Parts, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sources, and note which one is the brightest in each pixel.

    Parameters
    ----------
    shape : (int, int)
        Of the image, (ny, nx).
    x, y : 1-D `~numpy.ndarray`
        Positions, 0-based pixels.
    parts : Parts
        What each source consists of, convolved with the beam.
    level : float
        Brightness that matters (the noise), per square pixel: a stamp ends where its source falls below a hundredth
        of it, but never within 3.5 sigmas of a part nor beyond 9, and a source that is nowhere as bright is not drawn.

    Returns
    -------
    model : 2-D `~numpy.ndarray` of float32
        Flux per square pixel.
    owner : 2-D `~numpy.ndarray` of int32
        1 + index of the source that is the brightest, 0 where none reaches.
    """
    canvas, coefficients = _Canvas(shape), _coefficients(parts)
    first = np.cumsum(parts.count) - parts.count
    for sources, half in _batches(parts, level):
        alone = half > HALVES[-1]
        rows, columns = (_places(at[sources], half, length, alone) for at, length in zip((y, x), shape, strict=True))
        which = first[sources] + np.arange(parts.count[sources[0]])[:, None]
        stamps = _stamps(columns - x[sources, None], rows - y[sources, None], coefficients[:, which])
        (canvas.add_one if alone else canvas.add)(rows, columns, stamps, sources)
    return canvas.model, canvas.owner


def _batches(parts, level) -> Iterator[tuple[np.ndarray, int]]:
    """Sources of as many parts that are drawn together, and the half width of their stamps."""
    half = _halves(parts, level)
    group = half * (parts.count.max(initial=0) + 1) + parts.count
    visible = parts.total(parts.peaks()) > FAINTEST * level
    for kind in np.unique(group[visible]).tolist():
        members = np.flatnonzero(visible & (group == kind))
        size = int(half[members[0]])
        step = 1 if size > HALVES[-1] else CHUNK // (2 * size + 1) ** 2
        for start in range(0, members.size, step):
            yield members[start : start + step], size


class _Canvas:
    """The model so far, and in each pixel the source that is ahead: the bits of its brightness, then of its number.

    The bits of positive floats are in the order of the floats, so that the larger of two such integers is that of the
    brighter source; where none reaches, that of the least float and of no source. One more row and column take what
    falls beyond the edges.
    """

    def __init__(self, shape) -> None:
        padded = shape[0] + 1, shape[1] + 1
        self._model, self._ahead = np.zeros(padded, dtype=np.float32), np.full(padded, 1 << NUMBER_BITS)

    @property
    def model(self) -> np.ndarray:
        return self._model[:-1, :-1]

    @property
    def owner(self) -> np.ndarray:
        return self._ahead[:-1, :-1].astype(np.int32)  # the bits of the number only

    def add(self, rows, columns, stamps, sources) -> None:
        """Add stamps, which may overlap and stick out of the image."""
        edge_row, edge_column = (length - 1 for length in self._model.shape)
        rows, columns = (
            np.where((places < 0) | (places > edge), edge, places)
            for places, edge in ((rows, edge_row), (columns, edge_column))
        )
        place = (rows * (edge_column + 1))[:, :, None] + columns[:, None, :]
        place, values, numbered = (array.ravel("K") for array in (place, stamps, _numbered(stamps, sources)))
        np.add.at(self._model.reshape(-1), place, values)
        np.maximum.at(self._ahead.reshape(-1), place, numbered)

    def add_one(self, rows, columns, stamps, sources) -> None:
        """Add one stamp whose rows and columns all lie on the image."""
        if rows.size and columns.size:
            part = slice(rows[0, 0], rows[0, -1] + 1), slice(columns[0, 0], columns[0, -1] + 1)
            self._model[part] += stamps[0]
            np.maximum(self._ahead[part], _numbered(stamps, sources)[0], out=self._ahead[part])


def _numbered(stamps, sources) -> np.ndarray:
    """Bits of the brightness, then those of the source's number."""
    bits = stamps.view(np.int32).astype(np.int64)
    bits <<= NUMBER_BITS
    bits |= sources[:, None, None] + 1
    return bits


def _halves(parts, level) -> np.ndarray:
    """Half width of each source's stamp, in pixels; that of a large one is its own, as it is drawn alone."""
    with np.errstate(divide="ignore"):
        reach = np.sqrt(2 * np.log(np.fmax(parts.peaks() / (FAINTEST * level), 1)))
    widest = np.sqrt(np.fmax(parts.covariance[:, 0], parts.covariance[:, 2]))
    extent = np.fmax(np.abs(parts.dx), np.abs(parts.dy)) + np.clip(reach, LEAST_REACH, MOST_REACH) * widest
    largest = np.zeros(parts.count.size)
    np.maximum.at(largest, np.repeat(np.arange(parts.count.size), parts.count), extent)
    return np.where(largest > HALVES[-1], np.ceil(largest), HALVES[np.searchsorted(HALVES[:-1], largest)]).astype(int)


def _places(centre, half, length, cut) -> np.ndarray:
    """Rows (or columns) of stamps: shape (n, up to 2 half + 1); of a single stamp only those on the image.

    Of many small stamps those of the same pixel lie side by side in memory, as all that is made of them then does:
    NumPy's loops run along the sources, as they would be short along the pixels.
    """
    places = (np.arange(-half, half + 1)[:, None] + np.rint(centre).astype(np.intp)).T
    if cut:
        return places[:, (places[0] >= 0) & (places[0] < length)]
    return places if centre.size > half else np.ascontiguousarray(places)


def _coefficients(parts) -> np.ndarray:
    """Of each part the offsets, and ``a, b, c, d`` of its brightness ``exp(d + c * dy**2 - (a * dx + b * dy)**2)``."""
    xx, xy, yy = parts.covariance.T
    root = np.sqrt(0.5 / (xx - xy * xy / yy))
    with np.errstate(divide="ignore"):
        height = np.log(parts.peaks())
    return np.stack([parts.dx, parts.dy, root, -root * xy / yy, -0.5 / yy, height]).astype(np.float32)


def _stamps(dx, dy, coefficients) -> np.ndarray:
    """Brightness of sources on their stamps: sums over their parts, shape (n, 2 half + 1, 2 half + 1).

    The coefficients have shape (6, parts, n).
    """
    dx, dy = dx.astype(np.float32), dy.astype(np.float32)
    gaussians = (_gaussian(dx, dy, *part[:, :, None]) for part in coefficients.transpose(1, 0, 2))
    values = next(gaussians)
    for value in gaussians:
        values += value
    return values


def _gaussian(dx, dy, shift_x, shift_y, a, b, c, d) -> np.ndarray:
    """Brightness of one part of each source on its stamp."""
    dx, dy = dx - shift_x, dy - shift_y
    values = (a * dx)[:, None, :] + (b * dy)[:, :, None]
    values *= values
    np.subtract((d + c * dy * dy)[:, :, None], values, out=values)
    return np.exp(values, out=values)
