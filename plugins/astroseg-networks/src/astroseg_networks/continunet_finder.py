"""The finder: the plain published U-Net, as the baseline it is."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Interval
from astropy.nddata import CCDData

from astroseg_networks.patch_finder import PatchFinder
from astroseg_networks.patches import logistic
from astroseg_networks.runtime import Runtime

__all__ = ["ContinUNetFinder", "min_max"]


class ContinUNetFinder(PatchFinder):
    """ContinUNet, the plain published U-Net: a baseline.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    method : str
        Threshold on the probability of the pixels: ``triangle`` or ``yen``, from the histogram of the image, or
        ``fixed``.
    threshold : float
        The fixed threshold. Where no pixel is above it, the other methods find nothing either.
    min_pixels : int, pixels
        Smaller islands are dropped.

    Notes
    -----
    The probability is that of a pixel to lie where the sky without noise is brighter than twice the noise. The network
    sees the image between its minimum and its maximum, so that its brightest pixel changes all of the answer.
    Fluxes are not to be trusted: all rows have the flag 16.
    """

    name = "continunet"
    citation = "Stewart et al. 2024, RAS Techniques and Instruments 3, 315 (ContinUNet)"
    architecture = "continunet"
    size = 256
    batch = 1
    # It saw every orientation equally often, and is still far from indifferent to it.
    expected_failures: ClassVar[dict[str, str]] = {
        "rotated_image": "the network finds other faint sources when the image is turned",
        "mirrored_image": "the network finds other faint sources when the image is mirrored",
    }

    def __init__(
        self,
        *,
        weights: str = "continunet",
        device: str = "auto",
        method: Literal["triangle", "yen", "fixed"] = "triangle",
        threshold: Annotated[float, Interval(gt=0, lt=1)] = 0.5,
        min_pixels: Annotated[int, Ge(1)] = 3,
    ) -> None:
        self.weights = weights
        self.device = device
        self.method = method
        self.threshold = threshold
        self.min_pixels = min_pixels

    @staticmethod
    def build(arguments: dict[str, Any]) -> Any:
        """The network, in torch."""
        from astroseg_networks.continunet import ContinUNet

        return ContinUNet(**arguments)

    def sky(self, image: CCDData) -> np.ndarray:
        """The image between its minimum and its maximum; see `min_max`."""
        return min_max(image.data, image.mask)

    def run(self, runtime: Runtime, patches: np.ndarray) -> dict[str, np.ndarray]:
        """Probability of the pixels of some patches; 0 on one that is blank, or without contrast."""
        seen = patches.any(axis=(1, 2), keepdims=True)
        return {"probability": seen * logistic(runtime(patches[:, np.newaxis])["segmentation"][:, 0])}


def min_max(data: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Scale an image to the range from 0 to 1.

    Parameters
    ----------
    data : `~numpy.ndarray`, shape (ny, nx)
        In any unit.
    mask : `~numpy.ndarray` of bool, shape (ny, nx), or None
        True where blank.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (ny, nx)
        (image - minimum) / (maximum - minimum), 0 where blank; 0 everywhere where the two are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from astroseg_networks.continunet_finder import min_max
    >>> min_max(np.array([[-1.0, 0.0, 3.0]]), None)
    array([[0.  , 0.25, 1.  ]], dtype=float32)
    """
    scaled = np.zeros(data.shape, dtype=np.float32)
    valid = np.ones(data.shape, dtype=bool) if mask is None else ~mask
    values = data[valid].astype(np.float64)
    low, high = np.min(values, initial=np.inf), np.max(values, initial=-np.inf)
    if high > low:
        scaled[valid] = (values - low) / (high - low)
    return scaled
