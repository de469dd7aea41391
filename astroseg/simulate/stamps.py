"""Draws many sources, each a sum of Gaussians, by the thousand at once.

Sources of the same number of parts and about the same size are drawn together, as one array of small stamps: a
field of a thousand sources takes a few milliseconds, where one call a source takes tens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Parts", "draw_stamps", "joined"]

FAINTEST = 0.01  # brightness, in units of the level given, where a stamp may end
LEAST_REACH = 4.0  # sigmas; the flux beyond is 3e-4 of a Gaussian's
MOST_REACH = 9.0
HALVES = np.round(5 * 2 ** (np.arange(40) / 2)).astype(int)  # half widths of stamps, in pixels
LARGE = 24  # half width of stamps that are drawn one by one, cut at the edges of the image
CHUNK = 2**16  # pixels drawn at once: they stay in the cache


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
        of it, but never within 4 sigmas of a part nor beyond 9.

    Returns
    -------
    model : 2-D `~numpy.ndarray` of float32
        Flux per square pixel.
    owner : 2-D `~numpy.ndarray` of int32
        1 + index of the source that is the brightest, 0 where none reaches.
    """
    # One more row and column take what falls beyond the edges.
    canvas = _Canvas(*(np.zeros((shape[0] + 1, shape[1] + 1), dtype) for dtype in ("f4", "f4", "i4")))
    half, peaks = _halves(parts, level), parts.peaks().astype(np.float32)
    first = np.cumsum(parts.count) - parts.count
    group = half * (parts.count.max(initial=0) + 1) + parts.count
    for kind in np.unique(group).tolist():
        members = np.flatnonzero(group == kind)
        size, count = int(half[members[0]]), int(parts.count[members[0]])
        large = size > LARGE
        step = 1 if large else CHUNK // (2 * size + 1) ** 2
        for start in range(0, members.size, step):
            chosen = members[start : start + step]
            which = first[chosen, None] + np.arange(count)
            rows, columns = (_places(at[chosen], size, length, large) for at, length in zip((y, x), shape, strict=True))
            stamps = _stamps(columns - x[chosen, None], rows - y[chosen, None], parts, which, peaks[which])
            (canvas.add_one if large else canvas.add)(rows, columns, stamps, chosen)
    return canvas.model[:-1, :-1], canvas.owner[:-1, :-1]


@dataclass(frozen=True)
class _Canvas:
    model: np.ndarray
    brightest: np.ndarray
    owner: np.ndarray

    def add(self, rows, columns, stamps, sources) -> None:
        """Add stamps, and put down their sources where they are ahead of all so far."""
        edge_row, edge_column = (length - 1 for length in self.model.shape)
        rows, columns = (
            np.where((values < 0) | (values > edge), edge, values)
            for values, edge in ((rows, edge_row), (columns, edge_column))
        )
        place, values = ((rows * (edge_column + 1))[:, :, None] + columns[:, None, :]).ravel(), stamps.ravel()
        np.add.at(self.model.reshape(-1), place, values)
        brightest = self.brightest.reshape(-1)
        np.maximum.at(brightest, place, values)
        ahead = np.flatnonzero((values == brightest[place]) & (values > 0))
        self.owner.reshape(-1)[place[ahead]] = sources[ahead // stamps[0].size] + 1

    def add_one(self, rows, columns, stamps, sources) -> None:
        """Do the same for one source whose rows and columns all lie on the image: slices are faster."""
        if rows.size and columns.size:
            part = slice(rows[0, 0], rows[0, -1] + 1), slice(columns[0, 0], columns[0, -1] + 1)
            self.model[part] += stamps[0]
            ahead = stamps[0] > self.brightest[part]
            np.copyto(self.brightest[part], stamps[0], where=ahead)
            np.copyto(self.owner[part], np.int32(sources[0] + 1), where=ahead)


def _halves(parts, level) -> np.ndarray:
    """Half width of each source's stamp, in pixels."""
    with np.errstate(divide="ignore"):
        reach = np.sqrt(2 * np.log(np.fmax(parts.peaks() / (FAINTEST * level), 1)))
    widest = np.sqrt(np.fmax(parts.covariance[:, 0], parts.covariance[:, 2]))
    extent = np.fmax(np.abs(parts.dx), np.abs(parts.dy)) + np.clip(reach, LEAST_REACH, MOST_REACH) * widest
    largest = np.zeros(parts.count.size)
    np.maximum.at(largest, np.repeat(np.arange(parts.count.size), parts.count), extent)
    return HALVES[np.minimum(np.searchsorted(HALVES, largest), HALVES.size - 1)]


def _places(centre, half, length, cut) -> np.ndarray:
    """Rows (or columns) of stamps: shape (n, up to 2 half + 1); of a single stamp only those on the image."""
    places = np.rint(centre).astype(np.intp)[:, None] + np.arange(-half, half + 1)
    return places[:, (places[0] >= 0) & (places[0] < length)] if cut else places


def _stamps(dx, dy, parts, which, peaks) -> np.ndarray:
    """Brightness of sources on their stamps: sums over their parts, shape (n, 2 half + 1, 2 half + 1)."""
    dx, dy = dx[:, None] - parts.dx[which][:, :, None], dy[:, None] - parts.dy[which][:, :, None]
    xx, xy, yy = parts.covariance[which].transpose(2, 0, 1)[..., None]
    scale = -0.5 / (xx * yy - xy * xy)
    terms = [scale * yy * dx * dx, -2 * scale * xy * dx, scale * xx * dy * dy, dy]
    terms = [term.astype(np.float32) for term in terms]
    values = _gaussians([term[:, 0] for term in terms], peaks[:, 0])
    for part in range(1, which.shape[1]):
        values += _gaussians([term[:, part] for term in terms], peaks[:, part])
    return values


def _gaussians(terms, peak) -> np.ndarray:
    """Exponentials of a quadratic form, given by its terms in x and in y, on the grid of each source."""
    along_x, cross_x, along_y, cross_y = terms
    values = cross_y[:, :, None] * cross_x[:, None, :]
    values += along_x[:, None, :]
    values += along_y[:, :, None]
    np.exp(values, out=values)
    values *= peak[:, None, None]
    return values
