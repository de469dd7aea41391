"""From the grid of an image to one on which its beam is round and as wide as the networks know it, and back.

A beam of 19 pixels and one of 2.5 show the same sky, sampled differently. An elongated beam becomes a round one when
the sky is squeezed along it. Both are one linear map, symmetric, so that nothing is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from astroseg.beam import FWHM_PER_SIGMA
from astroseg_networks.normalisation import CANONICAL_BEAM

__all__ = ["Grid", "choose_grid"]

KNOWN = (2.1, 3.5)  # pixels: beams that the networks were trained on, with a margin
NARROWEST = CANONICAL_BEAM / 2  # pixels: beams count as no narrower, and a grid as fine has four pixels for one
ROUND = 0.92  # minor over major axis: rounder beams stay as they are


@dataclass(frozen=True)
class Grid:
    """A linear map from the pixels of an image to those of the network: ``u = matrix @ (x, y) + offset``.

    Parameters
    ----------
    matrix : `~numpy.ndarray`, shape (2, 2)
        Symmetric.
    offset : `~numpy.ndarray`, shape (2,)
    image_shape, shape : (int, int)
        (ny, nx) of the image and of the grid.
    beam : float, pixels of the grid
        Full width at half maximum of the beam, now round.
    """

    matrix: np.ndarray
    offset: np.ndarray
    image_shape: tuple[int, int]
    shape: tuple[int, int]
    beam: float

    @property
    def same(self) -> bool:
        """Whether the grid is the image's own."""
        return self.shape == self.image_shape and np.array_equal(self.matrix, np.eye(2))

    def sample(self, values: np.ndarray) -> np.ndarray:
        """Values of an image at the pixels of the grid, falling to 0 outside, by cubic splines."""
        if self.same:
            return values
        inverse = np.linalg.inv(self.matrix)
        return _affine(values, inverse, -inverse @ self.offset, self.shape, order=3, mode="grid-constant")

    def restore(self, values: np.ndarray, order: int) -> np.ndarray:
        """Values on the grid at the pixels of the image: the nearest (order 0) or linearly between them (order 1)."""
        if self.same:
            return values
        return _affine(values, self.matrix, self.offset, self.image_shape, order=order, mode="nearest")

    def positions(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where pixels of the grid lie on the image."""
        x, y = np.linalg.solve(self.matrix, np.stack([u, v]).astype(float) - self.offset[:, None])
        return x, y

    def covariances(self, covariance: np.ndarray) -> np.ndarray:
        """Covariance matrices, shape (n, 2, 2), in pixels of the image instead of those of the grid."""
        inverse = np.linalg.inv(self.matrix)
        return inverse @ covariance @ inverse.T


def choose_grid(shape: tuple[int, int], beam: np.ndarray | None) -> Grid:
    """Choose a grid.

    Parameters
    ----------
    shape : (int, int)
        Of the image.
    beam : `~numpy.ndarray` of shape (2, 2), optional
        Covariance of the beam, in pixels squared; see `astroseg.sky.beam_covariance`. Without a beam the image is
        taken as it is.
    """
    if beam is None:
        return Grid(np.eye(2), np.zeros(2), shape, shape, CANONICAL_BEAM)
    variances, axes = np.linalg.eigh(beam)
    widths = np.fmax(FWHM_PER_SIGMA * np.sqrt(variances), NARROWEST)
    mean = float(np.sqrt(widths[0] * widths[1]))
    if widths[0] >= ROUND * widths[1] and KNOWN[0] <= mean <= KNOWN[1]:
        return Grid(np.eye(2), np.zeros(2), shape, shape, mean)
    matrix = axes @ np.diag(CANONICAL_BEAM / widths) @ axes.T
    corners = np.array([[x, y] for x in (-0.5, shape[1] - 0.5) for y in (-0.5, shape[0] - 0.5)]) @ matrix.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    width, height = (max(int(np.ceil(length)), 1) for length in high - low)
    return Grid(matrix, -0.5 - low, shape, (height, width), CANONICAL_BEAM)


def _affine(values, matrix, offset, shape, order, mode) -> np.ndarray:
    """Values at ``matrix @ (x, y) + offset`` for each pixel (x, y) of the shape; ndimage counts (row, column)."""
    return ndimage.affine_transform(values, matrix[::-1, ::-1], offset[::-1], shape, order=order, mode=mode)
