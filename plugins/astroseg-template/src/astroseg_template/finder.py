"""The finder."""

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy import ndimage

from astroseg import PixelFinder

__all__ = ["TemplateFinder"]


class TemplateFinder(PixelFinder):
    """Bright pixels among bright neighbours.

    A lone bright pixel is a cosmic ray or a spike of the noise; a source is as wide as the beam.

    Parameters
    ----------
    threshold : float, in units of the noise
        The pixels of a source are above it.
    neighbours : int, pixels
        So many of the eight pixels around a pixel of a source are above it as well.
    """

    name = "template"
    halo = 1  # the score of a pixel depends on its neighbours: tiles overlap by so much
    is_probability = False  # the score is 0 or 1, and no probability

    # The constructor stores its options and does nothing else. Their types, limits and meanings above
    # are what `astroseg backends`, `--set key=value` and the error messages show.
    def __init__(
        self, *, threshold: Annotated[float, Gt(0)] = 4.0, neighbours: Annotated[int, Ge(0), Le(8)] = 3
    ) -> None:
        self.threshold = threshold
        self.neighbours = neighbours

    def predict(self, batch: np.ndarray, **prepared: Any) -> np.ndarray:
        """Score 1 where a pixel is bright and has enough bright neighbours.

        Parameters
        ----------
        batch : `~numpy.ndarray` of float32, shape (n, ny, nx)
            Images in units of their noise; blank pixels are 0.
        **prepared
            What a method ``prepare(image)`` returns, if there is one.
        """
        bright = (batch > self.threshold).astype(np.uint8)
        around = ndimage.convolve(bright, np.ones((1, 3, 3), np.uint8), mode="constant") - bright
        return (bright * (around >= self.neighbours)).astype(np.float32)
