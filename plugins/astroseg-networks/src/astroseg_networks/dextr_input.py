"""What the network of dextr sees of a crop: the image in two views, and what the user says of the object.

Both views are the same for an image and any positive multiple of it plus a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from astroseg.background import MAD_TO_SIGMA
from astroseg.beam import FWHM_PER_SIGMA
from astroseg_networks.crop import Crop
from astroseg_networks.prompts import Prompt

__all__ = ["FORMS", "Form", "Guides", "guide_planes", "network_planes", "views"]

Layer = tuple[np.ndarray, np.ndarray | None]

FEW = 64  # pixels of a surrounding from which a noise can be told
STRETCH = 4.0  # the arcsinh of a brightness of 27 times the noise
ENDS = (1.0, 99.0)  # percentiles that the second view takes to -1 and 1
BEYOND = 3.0


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a network wants to be asked.

    Parameters
    ----------
    size : int, pixels
        Side of its input.
    share, least : float
        Margin of the crop: over the longer side of the object, and at least, in pixels.
    square : bool
        Whether the crop is.
    fwhm : float, pixels of the input
        Of the Gaussian at each point.
    threshold : float
        Probability above which a pixel is of the object.
    balanced : bool
        Whether the loss gives object and surroundings the same weight.
    """

    size: int = 256
    share: float = 0.25
    least: float = 6.0
    square: bool = True
    fwhm: float = 6.0
    threshold: float = 0.5
    balanced: bool = False

    def of_size(self, size: int | None) -> Form:
        """The same on a finer or coarser grid; none for its own."""
        return self if size is None else replace(self, size=size, fwhm=self.fwhm * size / self.size)

    def crop(self, prompt: Prompt) -> Crop:
        """The crop around an object."""
        return Crop.around(prompt.bounds, self.size, share=self.share, least=self.least, square=self.square)


#: Ours, and the one of Maninis et al. 2018 (arXiv:1711.09081, section 3): four Gaussians of 10 pixels at the points, 50
#: pixels around them, of whatever shape, resized to a square, a loss balanced between the classes, probability above
#: 0.8.
FORMS = {
    "light": Form(),
    "published": Form(size=512, share=0.0, least=50.0, square=False, fwhm=10.0, threshold=0.8, balanced=True),
}


@dataclass(frozen=True)
class Guides:
    """What the user says, on the grid of the network: points (x, y), shape (n, 2), and the box given or around them."""

    points: np.ndarray
    box: tuple[float, float, float, float]
    inside: np.ndarray
    outside: np.ndarray

    @classmethod
    def of(cls, prompt: Prompt, crop: Crop) -> Guides:
        """Those of a prompt."""
        corners = np.add(np.reshape(prompt.bounds, (2, 2)), [[-0.5], [0.5]])  # the edges of its pixels
        box = tuple(crop.to_network(corners).ravel().tolist())
        points = np.empty((0, 2)) if prompt.points is None else prompt.points
        return cls(crop.to_network(points), box, crop.to_network(prompt.inside), crop.to_network(prompt.outside))


def network_planes(layers: Sequence[Layer], prompt: Prompt, crop: Crop, form: Form) -> np.ndarray:
    """The input of the network.

    Parameters
    ----------
    layers : sequence of (2-D `~numpy.ndarray`, 2-D `~numpy.ndarray` of bool or None)
        Images on one grid, and where they are blank.
    prompt : Prompt
    crop : `~astroseg_networks.crop.Crop`
    form : Form

    Returns
    -------
    `~numpy.ndarray` of float32, shape (2 * layers + 4, size, size)
        The views of a layer that is blank, or of one brightness, are 0.
    """
    guides = Guides.of(prompt, crop)
    seen = [views(crop.cut(data, mask), guides.box) for data, mask in layers]
    return np.concatenate([*seen, guide_planes(guides, form.size, form.fwhm)])


def views(values: np.ndarray, bounds: tuple[float, float, float, float]) -> np.ndarray:
    """Two views of one image.

    Parameters
    ----------
    values : 2-D `~numpy.ndarray`
        Any unit; NaN where blank.
    bounds : (left, bottom, right, top), pixels
        Of the object: what lies outside is its surroundings.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (2, ny, nx)
        The brightness above the median of the surroundings, over their noise (1.4826 times the median absolute
        deviation), its arcsinh; and the brightness from -1 to 1 between two percentiles of the crop. 0 where blank, and
        all 0 where nothing can be told apart.
    """
    planes = np.zeros((2, *values.shape), dtype=np.float32)
    seen = np.isfinite(values)
    left, bottom, right, top = bounds
    y, x = np.ogrid[: values.shape[0], : values.shape[1]]
    around = seen & ((x < left) | (x > right) | (y < bottom) | (y > top))
    if np.count_nonzero(around) < FEW:
        around = seen
    if not around.any():
        return planes
    level = np.median(values[around])
    noise = MAD_TO_SIGMA * np.median(np.abs(values[around] - level))
    low, high = np.percentile(values[seen], ENDS)
    spread = values[seen].std()
    if not spread > 1e-12 * np.abs(values[seen]).max():
        return planes
    noise, width = noise if noise > 0 else spread, high - low if high > low else spread
    planes[0][seen] = np.arcsinh((values[seen] - level) / noise) / STRETCH
    planes[1][seen] = np.clip(2 * (values[seen] - low) / width - 1, -BEYOND, BEYOND)
    return planes


def guide_planes(guides: Guides, size: int, fwhm: float) -> np.ndarray:
    """Planes with what the user says.

    Parameters
    ----------
    guides : Guides
    size : int, pixels
    fwhm : float, pixels
        Of the Gaussian of height 1 at each point; where several overlap, the highest counts.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (4, size, size)
        Extreme points; the box, filled with 1; clicks inside; clicks outside.
    """
    planes = np.zeros((4, size, size), dtype=np.float32)
    planes[0] = _hills(guides.points, size, fwhm)
    planes[2], planes[3] = _hills(guides.inside, size, fwhm), _hills(guides.outside, size, fwhm)
    left, bottom, right, top = (int(np.clip(np.rint(edge), 0, size)) for edge in np.add(guides.box, 0.5))
    planes[1, bottom:top, left:right] = 1
    return planes


def _hills(points, size, fwhm) -> np.ndarray:
    """The highest of the Gaussians at some points."""
    grid = np.arange(size)
    slope = -0.5 * (FWHM_PER_SIGMA / fwhm) ** 2
    highest = np.zeros((size, size), dtype=np.float32)
    for x, y in points:
        rows, columns = (np.exp(slope * (grid - place) ** 2).astype(np.float32) for place in (y, x))
        np.maximum(highest, np.outer(rows, columns), out=highest)
    return highest
