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
    """Pixels in a square of `ZERO_BOX` zeros (cut at the edges of the image), or `None`.

    Whole numbers are counts or labels, in which a zero is as good as any other.
    """
    zero = data == 0
    if np.count_nonzero(zero) < min(ZERO_BOX, data.shape[0]) * min(ZERO_BOX, data.shape[1]):
        return None
    rest = data[~zero]
    if rest.size and np.array_equal(rest, np.rint(rest)):
        return None
    # A pixel belongs to such a square when it survives an opening; both filters are separable,
    # and the second one's origin mirrors the first one's because the side is even.
    other = ~zero
    for axis in (0, 1):
        size = min(ZERO_BOX, data.shape[axis])
        other = maximum_filter1d(other.view(np.uint8), size, axis=axis, mode="constant", cval=1).view(bool)
    area = ~other
    for axis in (0, 1):
        size = min(ZERO_BOX, data.shape[axis])
        origin = -1 if size % 2 == 0 else 0
        area = maximum_filter1d(area.view(np.uint8), size, axis=axis, mode="constant", origin=origin).view(bool)
    return area if area.any() else None
