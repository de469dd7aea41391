"""Which pixels of an image hold no measurement."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from astroseg.errors import AstrosegWarning
from astroseg.tiling import Region, strips, widened, within

__all__ = ["Blank", "either", "survey_blank"]

# Zeros are blank where they fill a square of this side: the border of a mosaic does, the empty
# pixels between two sources do not.
ZERO_BOX = 16

HALO = 2 * ZERO_BOX  # pixels around a region that decide which of its zeros are blank

Pixels = Callable[[Region], np.ndarray]


@dataclass(frozen=True)
class Blank:
    """The blank pixels of an image, worked out region by region.

    Parameters
    ----------
    shape : (int, int)
        (ny, nx) of the image.
    given : 2-D `~numpy.ndarray` of bool or None
        Blank for other reasons, such as a mask of the user's.
    not_finite : bool
        Pixels that are not finite are blank.
    zeros : tuple of slices or None
        Rows and columns within the border lines that hold nothing but zeros; those lines are blank, and so are large
        areas of zeros. `None`: zeros are data.
    """

    shape: tuple[int, int]
    given: np.ndarray | None = None
    not_finite: bool = False
    zeros: Region | None = None

    def with_mask(self, mask: np.ndarray) -> Blank:
        """The same with more blank pixels."""
        return replace(self, given=either(self.given, mask))

    def mask(self, pixels: Pixels, region: Region) -> np.ndarray | None:
        """Where the pixels of a region are blank; `None` where none of them is known to be.

        Parameters
        ----------
        pixels : callable
            Region of the image -> its pixels.
        region : pair of slices
        """
        blank = None if self.given is None else self.given[region]
        if self.not_finite:
            finite = np.isfinite(pixels(region))
            blank = blank if finite.all() else either(blank, ~finite)
        return blank if self.zeros is None else either(blank, self._zero_areas(pixels, region))

    def _zero_areas(self, pixels, region) -> np.ndarray:
        """Zeros in a border of the image, or in a square of `ZERO_BOX` zeros."""
        assert self.zeros is not None
        wide = widened(region, HALO, self.shape)
        zero = pixels(wide) == 0
        area = _squares(zero, ZERO_BOX)
        if area.any():
            # A slanted or round edge is stepped: next to a large area, small squares follow it closely.
            area |= _squares(zero, 2) & _any(np.pad(area, ZERO_BOX), 2 * ZERO_BOX + 1)
        area = area[within(region, wide)]
        for axis, (inside, part) in enumerate(zip(self.zeros, region, strict=True)):
            place = np.arange(part.start, part.stop)
            area |= np.expand_dims((place < inside.start) | (place >= inside.stop), 1 - axis)
        return area


def survey_blank(
    pixels: Pixels,
    shape: tuple[int, int],
    dtype: np.dtype,
    name: str,
    *,
    given: np.ndarray | None = None,
    keep_zeros: bool = False,
) -> Blank:
    """Look through an image for what decides which of its pixels are blank.

    Those that are not finite are, and (unless told not to) large areas of exact zeros: a warning says so.

    Parameters
    ----------
    pixels : callable
        Region of the image -> its pixels.
    shape : (int, int)
    dtype : `~numpy.dtype`
        Of the pixels. Integers are all data.
    name : str
        Of the image, for the warning.
    given : 2-D `~numpy.ndarray` of bool, optional
        Blank for other reasons.
    keep_zeros : bool
        Zeros are data.
    """
    if dtype.kind != "f":
        return Blank(shape, given)
    zeros = None if keep_zeros else _zero_borders(pixels, shape)
    blank = Blank(shape, given, not_finite=True, zeros=zeros)
    if zeros is None:
        return blank
    number = sum(np.count_nonzero(blank._zero_areas(pixels, strip)) for strip in strips(shape))  # noqa: SLF001
    if number == 0:
        return Blank(shape, given, not_finite=True)
    warnings.warn(
        f"{number / (shape[0] * shape[1]):.1%} of {name} lies in large areas of exact zeros, taken as blank. "
        "Tell otherwise with --keep-zeros.",
        AstrosegWarning,
        stacklevel=3,
    )
    return blank


def either(mask: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    """Pixels that are blank in one mask or the other."""
    return other if mask is None else mask | other


def _zero_borders(pixels, shape) -> Region | None:
    """The image within its border lines of nothing but zeros; `None` if it has few zeros, or counts.

    Whole numbers are counts or labels, in which a zero is as good as any other.
    """
    number, whole, some = 0, True, False
    rows, columns = np.zeros(shape[0], dtype=bool), np.zeros(shape[1], dtype=bool)  # that hold something
    for strip in strips(shape):
        values = pixels(strip)
        filled = values != 0
        number += filled.size - np.count_nonzero(filled)
        rows[strip[0]] = filled.any(axis=1)
        columns |= filled.any(axis=0)
        if whole and filled.any():
            some, rest = True, values[filled]
            whole = np.array_equal(rest, np.rint(rest))
    if number < min(*shape, ZERO_BOX**2) or (some and whole):
        return None
    return _within(rows), _within(columns)


def _within(filled) -> slice:
    """From the first to the last line that holds something."""
    lines = np.flatnonzero(filled)
    return slice(int(lines[0]), int(lines[-1]) + 1) if lines.size else slice(0, 0)


def _squares(zero, side) -> np.ndarray:
    """The pixels that lie in a square of zeros."""
    if min(zero.shape) < side:
        return np.zeros_like(zero)
    corners = ~_any(~zero, side)
    return _any(np.pad(corners, side - 1), side)


def _any(pixels, side) -> np.ndarray:
    """Whether any pixel is True in each square that lies in the image, by the first pixel of the square."""
    for _ in range(2):
        width = 1
        while width < side:
            step = min(width, side - width)
            pixels = pixels[:-step] | pixels[step:]
            width += step
        pixels = pixels.T
    return pixels
