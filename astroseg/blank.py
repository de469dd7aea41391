"""Which pixels of an image hold no measurement."""

from __future__ import annotations

import warnings

import numpy as np

from astroseg.errors import AstrosegWarning

__all__ = ["blank_pixels", "either"]

# Zeros are blank where they fill a square of this side: the border of a mosaic does, the empty
# pixels between two sources do not.
ZERO_BOX = 16


def blank_pixels(data: np.ndarray, mask: np.ndarray | None, name: str, *, keep_zeros: bool) -> np.ndarray | None:
    """Add to ``mask`` the pixels that are not finite and, unless told not to, the large areas of zeros.

    Parameters
    ----------
    data : 2-D `~numpy.ndarray`
    mask : 2-D `~numpy.ndarray` of bool or None
    name : str
        Of the image, for the warning.
    keep_zeros : bool
        Zeros are data.

    Returns
    -------
    `~numpy.ndarray` of bool or None
        True where blank; `None` where no pixel is known to be.
    """
    if data.dtype.kind != "f":
        return mask
    finite = np.isfinite(data)
    blank = mask if finite.all() else either(mask, ~finite)
    zeros = None if keep_zeros else _zero_areas(data)
    if zeros is None:
        return blank
    warnings.warn(
        f"{zeros.mean():.1%} of {name} lies in large areas of exact zeros, taken as blank. "
        "Tell otherwise with --keep-zeros.",
        AstrosegWarning,
        stacklevel=3,
    )
    return either(blank, zeros)


def either(mask: np.ndarray | None, other: np.ndarray) -> np.ndarray:
    """Pixels that are blank in one mask or the other."""
    return other if mask is None else mask | other


def _zero_areas(data) -> np.ndarray | None:
    """Zeros in a border of the image, or in a square of `ZERO_BOX` zeros; `None` if there are none.

    Whole numbers are counts or labels, in which a zero is as good as any other.
    """
    zero = data == 0
    if np.count_nonzero(zero) < min(*data.shape, ZERO_BOX**2):
        return None
    rest = data[~zero]
    if rest.size and np.array_equal(rest, np.rint(rest)):
        return None
    area = _squares(zero, ZERO_BOX)
    if area.any():
        # A slanted or round edge is stepped: next to a large area, small squares follow it closely.
        area |= _squares(zero, 2) & _any(np.pad(area, ZERO_BOX), 2 * ZERO_BOX + 1)
    for axis in (0, 1):
        lines = zero.all(axis=1 - axis)
        first, last = np.logical_and.accumulate(lines), np.logical_and.accumulate(lines[::-1])[::-1]
        area |= np.expand_dims(first | last, 1 - axis)
    return area if area.any() else None


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
