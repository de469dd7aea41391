"""Irregular outlines, and the random fields that they and their surroundings are made of.

A shape is a smooth map that is positive inside: an ellipse, a bent one or a winding line, with a random field added, so
that its border is rough at all scales, concave, and may have holes.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

__all__ = ["central_part", "random_field", "random_level"]

EIGHT = np.ones((3, 3), dtype=bool)
LONGEST = 0.8  # wavelength of the roughness over the length of the object


def random_field(
    rng: np.random.Generator, shape: tuple[int, int], slope: float, *, longest: float = np.inf, shortest: float = 2.0
) -> np.ndarray:
    """A Gaussian random field of unit variance with a power spectrum that is a power law.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    shape : (int, int)
    slope : float
        Of the power: 0 for white noise, 3 for what looks like clouds.
    longest, shortest : float, pixels
        Wavelengths beyond these are weakened.

    Returns
    -------
    2-D `~numpy.ndarray` of float32
    """
    padded = tuple(fft.next_fast_len(length, real=True) for length in shape)
    y, x = (fft.fftfreq(padded[0]) ** 2).astype(np.float32), (fft.rfftfreq(padded[1]) ** 2).astype(np.float32)
    k2 = np.fmax(y[:, None] + x, np.float32(1 / max(padded) ** 2))
    gain = np.exp(np.float32(-slope / 4) * np.log(k2) - np.float32(shortest**2 / 2) * k2)
    if np.isfinite(longest):
        gain *= 1 - np.exp(np.float32(-(longest**2) / 2) * k2)
    gain[0, 0] = 0
    white = fft.rfft2(rng.standard_normal(padded, dtype=np.float32))
    field = fft.irfft2(white * gain, padded)[: shape[0], : shape[1]]
    return field / np.float32(max(float(field.std()), 1e-12))


def random_level(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centre: tuple[float, float],
    length: float,
    *,
    thin: float = 0.0,
    roughness: np.ndarray | None = None,
) -> np.ndarray:
    """A map that is positive within an irregular object, about 1 at its middle.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    shape : (int, int)
    centre : (float, float), pixels
        (x, y).
    length : float, pixels
    thin : float
        Probability of a winding line in place of a bent ellipse.
    roughness : 2-D `~numpy.ndarray`, optional
        A random field of this shape, where there is one already; it takes most of the time.

    Returns
    -------
    2-D `~numpy.ndarray` of float32
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    angle, half = rng.uniform(0, 2 * np.pi), length / 2
    x, y = (x - centre[0]) / half, (y - centre[1]) / half
    along = (x * np.cos(angle) + y * np.sin(angle)).astype(np.float32)
    across = (y * np.cos(angle) - x * np.sin(angle)).astype(np.float32)
    if rng.random() < thin:
        width = rng.uniform(0.04, 0.2)
        winding = rng.normal(0, 0.12) * np.sin(rng.uniform(2, 6) * along + rng.uniform(0, 2 * np.pi))
        bend, amount = winding + rng.normal(0, 0.35) * (along**2 - 0.3), rng.uniform(0, 0.4)
        level = 1 - np.abs(across - bend) / width / np.sqrt(np.fmax(1.05 - along**2, 0.05)) - np.fmax(along**2 - 1, 0)
    else:
        width, bend = np.exp(rng.uniform(np.log(0.25), 0)), rng.normal(0, 0.5) * along**2
        level, amount = 1 - np.hypot(along, (across - bend) / width), rng.uniform(0.1, 0.6)
    if roughness is None:
        smooth = max(length * rng.uniform(0.01, 0.08), 2.0)
        roughness = random_field(rng, shape, rng.uniform(3.5, 5.5), longest=LONGEST * length, shortest=smooth)
    return (level + np.float32(amount) * roughness).astype(np.float32)


def central_part(inside: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The connected part of a mask that holds the largest value of a map.

    Parameters
    ----------
    inside : 2-D `~numpy.ndarray` of bool
    level : 2-D `~numpy.ndarray`
    """
    labels, _ = ndimage.label(inside, EIGHT)
    return inside & (labels == labels.flat[int(np.argmax(np.where(inside, level, -np.inf)))])
