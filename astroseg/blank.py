"""Which pixels of an image hold no measurement."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.ndimage import maximum_filter1d

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
    area = _squares(zero)
    for axis in (0, 1):
        lines = zero.all(axis=1 - axis)
        first, last = np.logical_and.accumulate(lines), np.logical_and.accumulate(lines[::-1])[::-1]
        area |= np.expand_dims(first | last, 1 - axis)
    return area if area.any() else None


def _squares(zero) -> np.ndarray:
    # A pixel belongs to a square of zeros when it survives an opening; both filters are separable,
    # and the second one's origin mirrors the first one's because the side is even.
    area = zero
    for axis in (0, 1):
        area = ~maximum_filter1d((~area).view(np.uint8), ZERO_BOX, axis=axis, mode="constant", cval=1).view(bool)
    for axis in (0, 1):
        area = maximum_filter1d(area.view(np.uint8), ZERO_BOX, axis=axis, mode="constant", origin=-1).view(bool)
    return area
