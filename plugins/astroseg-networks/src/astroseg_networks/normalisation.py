"""What a network gets to see of an image."""

from __future__ import annotations

import numpy as np

from astroseg.beam import FWHM_PER_SIGMA

__all__ = ["CANONICAL_BEAM", "beam_area", "beam_of", "network_input"]

#: Pixels: full width at half maximum of the beam that the second plane counts from.
CANONICAL_BEAM = 2.5


def network_input(significance: np.ndarray, beam: float) -> np.ndarray:
    """Asinh of the image, and a plane with the logarithm of the beam.

    Parameters
    ----------
    significance : `~numpy.ndarray` of float32, shape (ny, nx)
        The image in units of its noise.
    beam : float, pixels
        Full width at half maximum.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (2, ny, nx)
    """
    image = np.arcsinh(significance, dtype=np.float32)
    return np.stack([image, np.full_like(image, np.log(beam / CANONICAL_BEAM))])


def beam_of(planes: np.ndarray) -> float:
    """Full width at half maximum of the beam, in pixels, that the second plane says."""
    return CANONICAL_BEAM * float(np.exp(planes[1, 0, 0]))


def beam_area(width: float) -> float:
    """Area in pixels of a round beam of this full width at half maximum."""
    return 2 * np.pi * (width / FWHM_PER_SIGMA) ** 2
