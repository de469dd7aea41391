"""The finder: a convolutional autoencoder."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval

from astroseg_networks.patch_finder import PatchFinder
from astroseg_networks.patches import logistic
from astroseg_networks.runtime import Runtime

__all__ = ["CAEFinder"]


class CAEFinder(PatchFinder):
    """A convolutional autoencoder of 60 x 60 pixels, over the whole image.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    method : str
        Threshold on the probability of the pixels: ``fixed``, or ``yen``, from the histogram of the image.
    threshold : float
        The fixed threshold. Where no pixel is above it, ``yen`` finds nothing either.
    min_pixels : int, pixels
        Smaller islands are dropped.

    Notes
    -----
    The probability is that of a pixel to lie where the sky without noise is brighter than twice the noise.
    Fluxes are not to be trusted: all rows have the flag 16.
    """

    name = "cae"
    citation = "Lukic, de Gasperin & Brüggen 2020, Galaxies 8, 3 (a convolutional autoencoder that finds sources)"
    architecture = "cae"
    size = 60
    batch = 16

    def __init__(
        self,
        *,
        weights: str = "cae",
        device: str = "auto",
        method: Literal["fixed", "yen"] = "fixed",
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
        from astroseg_networks.cae import CAE

        return CAE(**arguments)

    def run(self, runtime: Runtime, patches: np.ndarray) -> dict[str, np.ndarray]:
        """Probability of the pixels of some patches."""
        return {"probability": logistic(runtime(patches[:, np.newaxis])["segmentation"][:, 0])}
