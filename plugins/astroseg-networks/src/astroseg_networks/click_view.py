"""What a page gets to see of an image: the part that is looked at, no finer than its screen, in eight bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.nddata import CCDData
from astropy.visualization import AsinhStretch, LinearStretch, LogStretch, SqrtStretch

__all__ = ["STRETCHES", "Bounds", "Part", "View", "to_bytes"]

Bounds = tuple[float, float, float, float]

#: Name -> how values between the darkest and the brightest become colours.
STRETCHES = {
    "asinh": AsinhStretch(),
    "linear": LinearStretch(),
    "square root": SqrtStretch(),
    "logarithm": LogStretch(),
}
COARSEST = 1024  # pixels: the longer side of the coarsest level is at most this
SAMPLES = 1024  # pixels along the longer side, from which the limits of the colours are taken
STRIP = 1024  # rows that are halved at once, so that a large image needs no second one in memory


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the image.

    Parameters
    ----------
    values : 2-D `~numpy.ndarray` of float32
        Means over blocks of pixels; NaN where blank.
    bounds : (left, bottom, right, top), pixels
        0-based; edges of pixels lie at halves.
    """

    values: np.ndarray
    bounds: Bounds


class View:
    """An image in several resolutions, each half as fine as the one before.

    Parameters
    ----------
    image : `~astropy.nddata.CCDData`
    """

    def __init__(self, image: CCDData) -> None:
        self.shape = image.shape
        self._image = image
        self._coarser: list[np.ndarray] = []
        size = image.shape
        while max(size) > COARSEST:
            size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
            level = len(self._coarser)
            strips = range(0, self._size(level)[0], STRIP)
            self._coarser.append(np.concatenate([_halved(self._rows(level, first)) for first in strips]))
        self.overview = self._part(len(self._coarser), (0, size[0]), (0, size[1]))
        step = -(-max(image.shape) // SAMPLES)
        sample = self._read(0, slice(None, None, step), slice(None, None, step))
        sample = sample[np.isfinite(sample)]
        self._sample = sample if sample.size else np.zeros(1)

    def limits(self, percent: tuple[float, float]) -> tuple[float, float]:
        """Values below which these shares of the pixels lie, by a regular sample of them.

        Parameters
        ----------
        percent : (float, float)

        Returns
        -------
        (float, float)
            In the unit of the image; the second is larger than the first.
        """
        low, high = np.percentile(self._sample, percent)
        return float(low), float(high if high > low else low + 1)

    def part(self, bounds: Bounds, width: int) -> Part:
        """What is between these bounds, in at least (and less than twice) the resolution of the screen.

        Parameters
        ----------
        bounds : (left, bottom, right, top), pixels
        width : int
            Of the screen, in its own pixels.

        Returns
        -------
        Part
            Somewhat larger than asked for, and cut at the edges of the image.
        """
        left, bottom, right, top = bounds
        wanted = max((right - left) / max(width, 1), 1)
        level = min(int(np.log2(wanted)), len(self._coarser))
        ranges = []
        for first, last, length in ((bottom, top, self._size(level)[0]), (left, right, self._size(level)[1])):
            start, stop = int(np.floor((first + 0.5) / 2**level)), int(np.ceil((last + 0.5) / 2**level))
            start = min(max(start, 0), length - 1)
            ranges.append((start, max(min(stop, length), start + 1)))
        return self._part(level, *ranges)

    def _part(self, level, rows, columns) -> Part:
        values = self._read(level, slice(*rows), slice(*columns))
        edges = [2**level * np.array(ends) - 0.5 for ends in (columns, rows)]
        return Part(values, (edges[0][0], edges[1][0], edges[0][1], edges[1][1]))

    def _size(self, level) -> tuple[int, int]:
        return self._coarser[level - 1].shape if level else self.shape

    def _rows(self, level, first) -> np.ndarray:
        return self._read(level, slice(first, first + STRIP), slice(None))

    def _read(self, level, rows, columns) -> np.ndarray:
        if level:
            return self._coarser[level - 1][rows, columns]
        values = np.array(self._image.data[rows, columns], dtype=np.float32)
        if self._image.mask is not None:
            values[self._image.mask[rows, columns]] = np.nan
        return values


def to_bytes(values: np.ndarray, limits: tuple[float, float], stretch: str) -> np.ndarray:
    """Colours as numbers.

    Parameters
    ----------
    values : `~numpy.ndarray`
    limits : (float, float)
        The darkest and the brightest value.
    stretch : str
        One of `STRETCHES`.

    Returns
    -------
    `~numpy.ndarray` of uint8
        1 to 255; 0 where blank.
    """
    low, high = limits
    blank = ~np.isfinite(values)
    scaled = np.clip((np.where(blank, low, values) - low) / (high - low), 0, 1)
    colours = (1.5 + 254 * STRETCHES[stretch](scaled, clip=False)).astype(np.uint8)
    colours[blank] = 0
    return colours


def _halved(values: np.ndarray) -> np.ndarray:
    """Means over squares of four pixels, of which those that are blank do not count."""
    ny, nx = values.shape
    padded = np.pad(values, ((0, ny % 2), (0, nx % 2)), constant_values=np.nan)
    quarters = [padded[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    count = np.zeros(quarters[0].shape, dtype=np.float32)
    total = np.zeros_like(count)
    for quarter in quarters:
        seen = np.isfinite(quarter)
        total += np.where(seen, quarter, 0)
        count += seen
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
