"""What the U-Net is to answer for a patch of sky whose sources are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["FAINTEST", "Sources", "source_targets"]

#: Peak over noise of the faintest source that the network is asked for.
FAINTEST = 2.0
BLENDED = 0.4  # beams: of two sources closer than this only the brighter one is asked for
SPREAD = 0.3  # beams: standard deviation of the hill around a centre
NEAR = 1.6  # pixels: here a pixel answers for the parameters of the source
SMALLEST_SIZE = 0.05  # beams


@dataclass(frozen=True)
class Sources:
    """What is known of the sources.

    Parameters
    ----------
    x, y : 1-D `~numpy.ndarray`
        Centres, 0-based pixels.
    peak : 1-D `~numpy.ndarray`
        Peak over noise.
    flux : 1-D `~numpy.ndarray`
        Flux over the noise of a beam; NaN where it is not known.
    size : `~numpy.ndarray`, shape (n, 3)
        Variances xx, xy, yy of the sources without the beam, over that of the beam; NaN where they are not known.
    """

    x: np.ndarray
    y: np.ndarray
    peak: np.ndarray
    flux: np.ndarray
    size: np.ndarray

    def __getitem__(self, index: np.ndarray) -> Sources:
        return Sources(self.x[index], self.y[index], self.peak[index], self.flux[index], self.size[index])

    def moved(self, x: float, y: float) -> Sources:
        """The sources, so many pixels further."""
        return replace(self, x=self.x + x, y=self.y + y)

    def turned(self, turns: int, side: int, *, mirrored: bool) -> Sources:
        """The sources of a square, mirrored in x and turned as `numpy.rot90` turns arrays.

        Parameters
        ----------
        turns : int
            Quarters of a circle.
        side : int, pixels
            Of the square.
        mirrored : bool
        """
        x, y = side - 1 - self.x if mirrored else self.x, self.y
        xx, xy, yy = self.size.T
        xy = -xy if mirrored else xy
        for _ in range(turns):
            x, y = y, side - 1 - x
            xx, xy, yy = yy, -xy, xx
        return replace(self, x=x, y=y, size=np.stack([xx, xy, yy], axis=1))


def source_targets(sources: Sources, labels: np.ndarray, seen: np.ndarray, beam: float) -> dict[str, np.ndarray]:
    """What the U-Net is to answer.

    Parameters
    ----------
    sources : Sources
    labels : 2-D `~numpy.ndarray` of int
        1 + index of the source that a pixel belongs to, 0 for none.
    seen : 2-D `~numpy.ndarray` of bool
        False where blank.
    beam : float, pixels
        Full width at half maximum.

    Returns
    -------
    dict of `~numpy.ndarray` of float32, shape (channels, ny, nx)
        ``weight`` (0 where blank), ``segmentation``, ``centre``, ``vote`` and ``vote_weight``, ``shape`` (ln flux over
        noise, ln major, ln minor, cosine and sine of twice the angle), ``shape_weight`` and ``angle_weight``.
    """
    chosen = _asked_for(sources, beam)
    asked = sources[chosen]
    near = _near(labels.shape, asked)
    number = np.zeros(sources.x.size + 1, dtype=np.intp)
    number[chosen + 1] = np.arange(1, chosen.size + 1)
    member = np.where(near > 0, near, number[labels])
    values, angle_weight = _shapes(asked)
    known = np.isfinite(values).all(axis=0)
    targets = {
        "weight": seen[None],
        "segmentation": (labels > 0)[None],
        "centre": _centres(labels.shape, asked, beam)[None],
        "vote": _votes(member, asked),
        "vote_weight": ((member > 0) & seen)[None] * np.where(near > 0, 4.0, 1.0),
        "shape": np.append(np.zeros((5, 1)), np.where(known, values, 0), axis=1)[:, near],
        "shape_weight": (np.append(0, known)[near] * seen)[None],
        "angle_weight": (np.append(0, np.where(known, angle_weight, 0))[near] * seen)[None],
    }
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in targets.items()}


def _asked_for(sources, beam) -> np.ndarray:
    """Indices of the sources that are bright enough and not lost in a brighter neighbour, the faintest first."""
    bright = np.flatnonzero(sources.peak >= FAINTEST)
    bright = bright[np.argsort(-sources.peak[bright], kind="stable")]
    x, y = sources.x[bright], sources.y[bright]
    close = np.hypot(x[:, None] - x, y[:, None] - y) < BLENDED * beam
    kept: list[int] = []
    for index in range(bright.size):
        if not close[index, kept].any():
            kept.append(index)
    return bright[kept[::-1]]


def _pixels(shape, sources, offset_y=0, offset_x=0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the pixel of each source, some pixels further, and which of them are on the image."""
    row, column = np.rint(sources.y).astype(np.intp) + offset_y, np.rint(sources.x).astype(np.intp) + offset_x
    return row, column, (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])


def _near(shape, sources) -> np.ndarray:
    """1 + index of the last source whose centre is within `NEAR` pixels of each pixel, 0 where none is."""
    owner = np.zeros(shape, dtype=np.intp)
    reach = int(np.ceil(NEAR))
    for offset_y in range(-reach, reach + 1):
        for offset_x in range(-reach, reach + 1):
            row, column, inside = _pixels(shape, sources, offset_y, offset_x)
            inside &= np.hypot(row - sources.y, column - sources.x) <= NEAR
            np.maximum.at(owner, (row[inside], column[inside]), np.flatnonzero(inside) + 1)
    return owner


def _votes(member, sources) -> np.ndarray:
    """Pixels in x and y from here to the centre of the source that a pixel belongs to."""
    grid = np.arange(member.shape[1])[None, :], np.arange(member.shape[0])[:, None]
    place = (np.append(np.nan, centre)[member] for centre in (sources.x, sources.y))
    return np.nan_to_num(np.stack([at - here for at, here in zip(place, grid, strict=True)]))


def _centres(shape, sources, beam) -> np.ndarray:
    """1 at the pixel of each centre, and a Gaussian hill around it, at most .99."""
    hills = np.zeros(shape, dtype=np.float32)
    sigma = SPREAD * beam
    reach = int(np.ceil(3 * sigma))
    offsets = np.arange(-reach, reach + 1)
    x, y = sources.x, sources.y
    rows, columns = (np.rint(at).astype(np.intp)[:, None] + offsets for at in (y, x))
    across = np.exp(-0.5 * ((columns - x[:, None]) / sigma) ** 2)
    along = np.exp(-0.5 * ((rows - y[:, None]) / sigma) ** 2)
    hill = np.minimum(along[:, :, None] * across[:, None, :], 0.99)
    rows, columns = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    np.maximum.at(hills, (rows[inside], columns[inside]), hill[inside].astype(np.float32))
    row, column, inside = _pixels(shape, sources)
    hills[row[inside], column[inside]] = 1
    return hills


def _shapes(sources) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of the sources, shape (5, n), and how much their angle matters."""
    xx, xy, yy = sources.size.T
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    sizes = [np.log(np.sqrt(np.maximum(part, SMALLEST_SIZE**2))) for part in (middle + half, middle - half)]
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.log(sources.flux)
        angle = np.nan_to_num(np.stack([(xx - yy) / 2 / half, xy / half]))
        # Of what is much smaller than the beam no angle is seen.
        weight = np.clip(half / (0.05 + np.abs(middle)), 0, 1) * (half > 0.02)
    return np.stack([flux, *sizes, *angle]), weight
