"""What a network made of a dirty image, corrected until it explains what was measured."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

from astroseg.beam import FWHM_PER_SIGMA
from astroseg.dirty import DirtyImage
from astroseg.sky import beam_covariance

__all__ = ["corrected", "full_width", "smallest"]

FLOOR = 1e-3  # power of the restoring beam below which its transform hides what is there
DAMPING = 3e-4  # of the largest changes: below it, what was measured tells nothing, and rounding everything
WORSE = 1.01  # residuals that grow by more than rounding
REACH = 0.5  # of the beam: how far beyond the sources of a model a correction reaches


def smallest(dirty: DirtyImage, model: np.ndarray) -> np.ndarray:
    """The smallest model that gives the same restored image.

    A network that is judged by restored images says nothing of what the restoring beam hides, and puts noise there.

    Parameters
    ----------
    dirty : `~astroseg.dirty.DirtyImage`
    model : 2-D `~numpy.ndarray`, shape (ny, nx)

    Returns
    -------
    2-D `~numpy.ndarray`, shape (ny, nx)
        The solution of least squares with a penalty (Tikhonov).
    """
    kernel = dirty.beam_kernel / dirty.beam_kernel.sum(dtype=float)
    ny, nx = model.shape
    rows, columns = (fft.next_fast_len(a + b, real=True) for a, b in zip(model.shape, kernel.shape, strict=True))
    padded = np.zeros((rows, columns))
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    transfer = np.abs(fft.rfft2(padded)) ** 2
    spectrum = fft.rfft2(model, (rows, columns)) * transfer / (transfer + FLOOR)
    return fft.irfft2(spectrum, (rows, columns))[:ny, :nx]


def corrected(dirty: DirtyImage, model: np.ndarray, steps: int, scale: float = 1.0) -> np.ndarray:
    """Correct a model towards what was measured, where its sources are.

    Parameters
    ----------
    dirty : `~astroseg.dirty.DirtyImage`
    model : 2-D `~numpy.ndarray`, shape (ny, nx)
        Flux per pixel, over ``scale``.
    steps : int
        Of conjugate gradients; few, so that it does not follow the noise.
    scale : float
        In units of which the model is, and the image is taken.

    Returns
    -------
    2-D `~numpy.ndarray`, shape (ny, nx)
        Flux per pixel, over ``scale``.

    Notes
    -----
    Least squares of the residual image by conjugate gradients (CGLS: Björck 1996, Numerical Methods for Least Squares
    Problems, section 7.4) for a correction that is expected to be as large as the square root of the model: so a pixel
    may change by as much as it is bright. The point spread function is taken to be symmetric, as that of an
    interferometer is; where it is not, and a step makes things worse, the steps end.
    """
    reach = REACH * (full_width(dirty) or 1.0) / FWHM_PER_SIGMA
    prior = np.sqrt(gaussian_filter(np.maximum(model, 0.0), reach))
    prior[dirty.blank] = 0
    residual = np.where(dirty.blank, 0, dirty.data / scale - dirty.convolved(model))
    gradient = prior * dirty.convolved(residual)
    direction, change, damping = gradient, np.zeros(model.shape), 0.0
    power, left = float(np.sum(gradient**2)), float(np.sum(residual**2))
    known: list[np.ndarray] = []
    for number in range(steps):
        step = np.where(dirty.blank, 0, dirty.convolved(prior * direction))
        size = float(np.sum(step**2))
        if not (size > 0 and power > 0):
            break
        damping = DAMPING * size / power if number == 0 else damping
        size += damping * float(np.sum(direction**2))
        residual = residual - power / size * step
        if np.sum(residual**2) > WORSE * left:
            break
        change = change + power / size * direction
        known.append(gradient / np.sqrt(power))
        gradient = prior * dirty.convolved(residual) - damping * change
        for one in known:  # rounding makes it forget where it was
            gradient = gradient - np.sum(one * gradient) * one
        before, power, left = power, float(np.sum(gradient**2)), float(np.sum(residual**2))
        direction = gradient + power / before * direction
    return model + prior * change


def full_width(dirty: DirtyImage) -> float | None:
    """Full width at half maximum of the restoring beam in pixels (geometric mean), `None` where it is not known."""
    covariance = beam_covariance(dirty.beam, dirty.wcs)
    return None if covariance is None else float(FWHM_PER_SIGMA * np.linalg.det(covariance) ** 0.25)
