"""Point spread functions: brought into one shape, and the Gaussian that fits their core."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.wcs import WCS
from scipy import ndimage

from astroseg.beam import Beam
from astroseg.ellipse import fwhm_from_covariance
from astroseg.errors import ImageError
from astroseg.header import pixel_scale, sky_kind

__all__ = ["centred", "fit_beam"]

CORE = 0.35  # of the peak: what belongs to the core; deeper down the sidelobes bend it
FEWEST = 13  # pixels in the core, else it is taken to reach down to half that level, and so on


def centred(psf: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """Bring a point spread function into the shape that restorers take.

    Parameters
    ----------
    psf : 2-D `~numpy.ndarray`
        Its peak is in the middle, or where the sides are even, in one of the pixels next to it.
    shape : (int, int)
        Of the image, (ny, nx).
    name : str
        What to call it in messages.

    Returns
    -------
    2-D `~numpy.ndarray` of float32
        Odd sides, at most (2 ny - 1, 2 nx - 1), and a peak of 1 in the middle.

    Raises
    ------
    ImageError
        It is not finite, or its peak is elsewhere, or between pixels.
    """
    psf = np.asarray(psf, dtype=float)
    if psf.ndim != 2 or not np.isfinite(psf).all() or not psf.max(initial=0) > 0:
        msg = f"{name} must be a 2-D image of finite values with a positive peak."
        raise ImageError(msg)
    peak = np.array(np.unravel_index(np.argmax(psf), psf.shape))
    if np.any(np.abs(peak - (np.array(psf.shape) - 1) / 2) > 1):
        msg = (
            f"{name} has its peak at x = {peak[1]}, y = {peak[0]}; "
            f"it must be in the middle of its {psf.shape[1]} x {psf.shape[0]} pixels."
        )
        raise ImageError(msg)
    if np.count_nonzero(psf > (1 - 1e-6) * psf.max()) > 1:
        msg = f"{name} has its peak between pixels; sample it with an odd number of pixels along each side."
        raise ImageError(msg)
    half = np.minimum(np.minimum(peak, np.array(psf.shape) - 1 - peak), np.array(shape) - 1)
    rows, columns = (slice(at - reach, at + reach + 1) for at, reach in zip(peak, half, strict=True))
    return (psf[rows, columns] / psf.max()).astype(np.float32)


def fit_beam(psf: np.ndarray, wcs: WCS | None) -> Beam:
    """Fit an elliptical Gaussian to the core of a point spread function.

    Parameters
    ----------
    psf : 2-D `~numpy.ndarray`
        With its peak of 1 in the middle.
    wcs : `~astropy.wcs.WCS` or None
        Of the image; without angular pixels the beam is in pixels.

    Returns
    -------
    `~astroseg.Beam`

    Notes
    -----
    Least squares of the logarithm, which is linear, weighted by the squared brightness, which makes it that of the
    brightness itself to first order.
    """
    middle = np.array(psf.shape) // 2
    y, x, value = _core(psf, middle)
    terms = np.stack([x**2, x * y, y**2], axis=1)
    solution = np.linalg.lstsq(terms * value[:, None], -2 * np.log(value) * value, rcond=None)[0]
    inverse = np.array([[solution[0], solution[1] / 2], [solution[1] / 2, solution[2]]])
    if not np.all(np.linalg.eigvalsh(inverse) > 0):
        msg = "The core of the point spread function is no Gaussian; give the restoring beam with --beam."
        raise ImageError(msg)
    return _beam(np.linalg.inv(inverse), wcs)


def _core(psf, middle) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets (y, x) and brightness of the pixels around the peak."""
    reach = np.minimum(middle, 64)
    part = psf[tuple(slice(at - half, at + half + 1) for at, half in zip(middle, reach, strict=True))]
    level = CORE
    while True:
        labels, _ = ndimage.label(part > level)
        rows, columns = np.nonzero(labels == labels[tuple(reach)])
        if rows.size >= FEWEST or level < 1e-3:
            value = np.minimum(part[rows, columns].astype(float), 1)
            return rows - float(reach[0]), columns - float(reach[1]), value
        level /= 2


def _beam(covariance, wcs) -> Beam:
    """A Gaussian of this covariance in (x, y), pixels squared; the inverse of `astroseg.sky.beam_covariance`."""
    matrix = np.diag([-1.0, 1.0]) if wcs is None or sky_kind(wcs) == "pixel" else wcs.pixel_scale_matrix
    matrix = matrix / np.sqrt(abs(np.linalg.det(matrix)))
    major, minor, pa = (float(value) for value in fwhm_from_covariance(matrix @ covariance @ matrix.T))
    scale = pixel_scale(wcs)
    unit = u.pix if scale is None else scale.to(u.arcsec)
    return Beam(major * unit, minor * unit, pa * u.deg)
