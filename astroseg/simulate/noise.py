"""Noise, sidelobes and uneven depth of an interferometer's image.

The weights of the visibilities, as a function of baseline, are the power spectrum of the noise; their Fourier transform
is the dirty beam, and also the autocorrelation of the noise (Thompson, Moran & Swenson 2017, chapters 6 and 10).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

from astroseg.beam import FWHM_PER_SIGMA

__all__ = ["autocorrelation", "correlated_noise", "sidelobe_map", "uneven"]

REACH = 20.0  # beams out to which sidelobes are drawn
ARMS = 3  # of the array; each gives a ray to both sides


def autocorrelation(
    dx: np.ndarray, dy: np.ndarray, fwhm: float, *, ratio: float = 1.0, hole: float = 0.0, hole_width: float = 0.0
) -> np.ndarray:
    """Correlation of the noise of two pixels: the closed form of what `correlated_noise` makes.

    Parameters
    ----------
    dx, dy : `~numpy.ndarray`
        Distance between the pixels, in pixels.
    fwhm, ratio, hole, hole_width : float
        As in `correlated_noise`.
    """
    wide, tall = 2 * (fwhm / FWHM_PER_SIGMA) ** 2 * np.array([1, ratio**2])
    strengths = np.array([1 / np.sqrt(wide * tall), -hole / np.sqrt((wide + hole_width**2) * (tall + hole_width**2))])
    gaussians = [
        np.exp(-0.5 * (dx**2 / (wide + extra) + dy**2 / (tall + extra))) for extra in (0.0, hole_width**2)
    ]  # fmt: skip
    return (strengths[0] * gaussians[0] + strengths[1] * gaussians[1]) / strengths.sum()


def correlated_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    fwhm: float,
    *,
    ratio: float = 1.0,
    hole: float = 0.0,
    hole_width: float = 0.0,
) -> np.ndarray:
    """Gaussian noise of unit variance with the autocorrelation of a dirty beam.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    shape : (int, int)
        (ny, nx).
    fwhm : float, pixels
        Width in x of the kernel that correlates white noise; without a hole the autocorrelation is a Gaussian
        wider than it by the square root of 2. 0.55 to 0.75 beams are typical.
    ratio : float
        Width in y over that in x.
    hole : float
        Weights of the visibilities are lower at short baselines by this share (0 to 1): the dirty beam gets a negative
        ring, and the noise no power on large scales.
    hole_width : float, pixels
        The hole in the weights is the transform of a Gaussian of this standard deviation.

    Returns
    -------
    2-D `~numpy.ndarray` of float32
    """
    padded, gain = _gain(shape, fwhm, ratio, hole, hole_width)
    white = rng.standard_normal(padded, dtype=np.float32)
    return fft.irfft2(fft.rfft2(white) * gain, padded)[: shape[0], : shape[1]]


@lru_cache(maxsize=4)
def _gain(shape, fwhm, ratio, hole, hole_width) -> tuple[tuple[int, int], np.ndarray]:
    """Shape that keeps opposite edges apart, and the square root of the weights, normalised to unit variance."""
    margin = int(np.ceil(3 * max(1, ratio) * (fwhm + hole_width)))
    padded = _fast(shape, margin)
    u, v = np.meshgrid(*_frequencies(padded))
    sigma = fwhm / FWHM_PER_SIGMA
    weights = np.exp(-4 * np.pi**2 * sigma**2 * (u**2 + (ratio * v) ** 2))
    weights *= 1 - hole * np.exp(-2 * np.pi**2 * hole_width**2 * (u**2 + v**2))
    # The half plane of a real transform stands for the whole one: inner columns count twice.
    twice = np.full(u.shape[1], 2.0)
    twice[0] = 1.0
    if padded[1] % 2 == 0:
        twice[-1] = 1.0
    return padded, np.sqrt(weights * (padded[0] * padded[1]) / np.sum(weights * twice)).astype(np.float32)


def _fast(shape, margin) -> tuple[int, int]:
    return fft.next_fast_len(shape[0] + margin, real=True), fft.next_fast_len(shape[1] + margin, real=True)


def _frequencies(shape) -> tuple[np.ndarray, np.ndarray]:
    """Cycles per pixel in x and in y."""
    return fft.rfftfreq(shape[1]), fft.fftfreq(shape[0])


def sidelobe_map(sources: np.ndarray, beam: float) -> np.ndarray:
    """Spread point sources into rings and rays, as the dirty beam of an array of three arms.

    Parameters
    ----------
    sources : 2-D `~numpy.ndarray`
        Brightness that is not, or wrongly, deconvolved; a point is one pixel.
    beam : float, pixels
        Full width at half maximum.

    Returns
    -------
    2-D `~numpy.ndarray` of float32
        The first ring of a point of 1 is between -1 and 1; there is nothing within the main lobe.
    """
    padded, response = _response(sources.shape, beam)
    spectrum = fft.rfft2(sources.astype(np.float32), padded)
    return fft.irfft2(spectrum * response, padded)[: sources.shape[0], : sources.shape[1]]


@lru_cache(maxsize=4)
def _response(shape, beam) -> tuple[tuple[int, int], np.ndarray]:
    """Shape with room for the sidelobes, and their transform."""
    reach = int(REACH * beam)
    padded = _fast(shape, reach)
    dy, dx = (fft.fftfreq(length, 1 / length) for length in padded)
    dy, dx = dy[:, None], dx[None, :]
    radius = np.hypot(dx, dy) / beam
    rays = np.cos(ARMS * np.arctan2(dy, dx)) ** 2
    rings = np.cos(np.pi * (radius - 1.5) / 0.75) / np.sqrt(1 + radius)
    core = 1 - np.exp(-(radius**4))
    edge = np.exp(-0.5 * (radius / (REACH / 3)) ** 4)
    return padded, fft.rfft2((rings * rays * core * edge).astype(np.float32))


def uneven(rng: np.random.Generator, shape: tuple[int, int], amount: float) -> np.ndarray:
    """Return a smooth map around 1, as of a mosaic's depth: the exponential of a few long waves.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    shape : (int, int)
        (ny, nx).
    amount : float
        Standard deviation of its logarithm.

    Returns
    -------
    2-D `~numpy.ndarray` of float32
    """
    y, x = (np.linspace(0, 1, length, dtype=np.float32) for length in shape)
    waves = np.zeros(shape, dtype=np.float32)
    for _ in range(4):
        (fx, fy), phase = rng.uniform(-1.5, 1.5, size=2), rng.uniform(0, 2 * np.pi)
        along_x, along_y = np.float32(2 * np.pi * fx) * x, np.float32(2 * np.pi * fy) * y + np.float32(phase)
        waves += np.cos(along_y[:, None] + along_x)
    return np.exp(waves * np.float32(amount / np.sqrt(2)))
