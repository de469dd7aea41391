"""What several test files draw."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

from astroseg import read_image, standardize


def make_wcs(
    shape=(64, 64), *, cdelt=(-2.0, 2.0), crval=(30.0, -45.0), angle=0.0, kinds=("RA---TAN", "DEC--TAN")
) -> WCS:
    """A celestial WCS with pixels of ``cdelt`` arcsec, turned by ``angle`` degrees."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = list(kinds)
    wcs.wcs.crval = crval
    wcs.wcs.crpix = [shape[1] / 2 + 0.5, shape[0] / 2 + 0.5]
    wcs.wcs.cdelt = [step / 3600 for step in cdelt]
    wcs.wcs.cunit = ["deg", "deg"]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.pc = [[cos, -sin], [sin, cos]]
    return wcs


def gaussian(shape, x, y, sigma_x, sigma_y=None, angle=0.0, peak=1.0) -> np.ndarray:
    """An elliptical Gaussian, ``angle`` in degrees from +x towards +y."""
    sigma_y = sigma_x if sigma_y is None else sigma_y
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along = (columns - x) * cos + (rows - y) * sin
    across = -(columns - x) * sin + (rows - y) * cos
    return peak * np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))


def prepared(data, *, rms=1.0, wcs=None, **options):
    """An image of known noise and no background, ready to be measured."""
    image = read_image(np.asarray(data), keep_zeros=True, **options)
    if wcs is not None:
        image.wcs = wcs
    shape = image.shape
    return standardize(image, np.zeros(shape), np.full(shape, rms))
