"""Widths and position angles of Gaussians <-> covariance matrices, which add under convolution."""

from __future__ import annotations

import numpy as np

from astroseg.beam import FWHM_PER_SIGMA

__all__ = ["PIXEL_VARIANCE", "axis_variances", "covariance_from_fwhm", "fwhm_from_covariance"]

PIXEL_VARIANCE = 1 / 12  # of a square pixel; no source is thinner on an image


def covariance_from_fwhm(major: np.ndarray | float, minor: np.ndarray | float, pa: np.ndarray | float) -> np.ndarray:
    """Covariances in (east, north) of Gaussians of given widths.

    Parameters
    ----------
    major, minor : float or `~numpy.ndarray`
        Full widths at half maximum, in any unit.
    pa : float or `~numpy.ndarray`
        Position angle of the major axis, degrees east of north.

    Returns
    -------
    `~numpy.ndarray`, shape (..., 2, 2)
        In the square of that unit.
    """
    sine, cosine = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    along, across = (np.square(np.asarray(width) / FWHM_PER_SIGMA) for width in (major, minor))
    east, north = along * sine**2 + across * cosine**2, along * cosine**2 + across * sine**2
    cross = (along - across) * sine * cosine
    return np.stack([np.stack([east, cross], axis=-1), np.stack([cross, north], axis=-1)], axis=-2)


def fwhm_from_covariance(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Widths and position angles of Gaussians; the inverse of `covariance_from_fwhm`.

    Parameters
    ----------
    covariance : `~numpy.ndarray`, shape (..., 2, 2)
        In (east, north). A difference of covariances may have negative variances.

    Returns
    -------
    major, minor : `~numpy.ndarray`
        Full widths at half maximum, 0 where the variance is not positive.
    pa : `~numpy.ndarray`
        Degrees east of north, 0 to 180.
    """
    east, north, cross = covariance[..., 0, 0], covariance[..., 1, 1], covariance[..., 0, 1]
    pa = np.degrees(0.5 * np.arctan2(2 * cross, north - east)) % 180
    major, minor = (FWHM_PER_SIGMA * np.sqrt(np.maximum(variance, 0)) for variance in axis_variances(covariance))
    return major, minor, pa


def axis_variances(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances along the major and minor axis: the eigenvalues, in closed form.

    Parameters
    ----------
    covariance : `~numpy.ndarray`, shape (..., 2, 2)
    """
    first, second = covariance[..., 0, 0], covariance[..., 1, 1]
    middle, half = (first + second) / 2, np.hypot((first - second) / 2, covariance[..., 0, 1])
    return middle + half, middle - half
