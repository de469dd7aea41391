"""The finder: a variational autoencoder that says of each pixel how sure it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Interval
from astropy.nddata import CCDData
from astropy.table import QTable

from astroseg_networks.patch_finder import PatchFinder
from astroseg_networks.patches import logistic
from astroseg_networks.runtime import Runtime

__all__ = ["VAEFinder"]

LATENT = 16


class VAEFinder(PatchFinder):
    """A variational autoencoder of 16 x 16 pixels, over the whole image.

    Parameters
    ----------
    weights : str
        A name that ships with the package, or a file: ``.onnx`` or ``.safetensors``. ``vae`` was trained as a whole,
        the decoder of ``vae-prior`` on masks alone.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    method : str
        Threshold on the probability of the pixels: ``fixed``, or ``yen``, from the histogram of the image.
    threshold : float
        The fixed threshold. Where no pixel is above it, ``yen`` finds nothing either.
    min_pixels : int, pixels
        Smaller islands are dropped.
    samples : int
        Masks drawn of each patch; their scatter is the uncertainty of its pixels. The column ``vae_uncertainty`` is its
        mean over the source, `maps` returns its map. 0 for none.

    Notes
    -----
    The probability is that of a pixel to lie where the sky without noise is brighter than twice the noise. The
    samples are the same ones in each run. Fluxes are not to be trusted: all rows have the flag 16.
    """

    name = "vae"
    citation = "Dalca, Guttag & Sabuncu 2018, CVPR, arXiv:1903.03148 (decoder of masks as a prior)"
    architecture = "vae"
    size = 16
    batch = 256

    def __init__(
        self,
        *,
        weights: str = "vae",
        device: str = "auto",
        method: Literal["fixed", "yen"] = "fixed",
        threshold: Annotated[float, Interval(gt=0, lt=1)] = 0.5,
        min_pixels: Annotated[int, Ge(1)] = 3,
        samples: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.weights = weights
        self.device = device
        self.method = method
        self.threshold = threshold
        self.min_pixels = min_pixels
        self.samples = samples

    @staticmethod
    def build(arguments: dict[str, Any]) -> Any:
        """The network, in torch."""
        from astroseg_networks.vae import VAE

        return VAE(**arguments)

    def run(self, runtime: Runtime, patches: np.ndarray) -> dict[str, np.ndarray]:
        """Probability of the pixels of some patches, and their uncertainty where samples are asked for."""

        def masks(noise: np.ndarray) -> np.ndarray:
            planes = np.zeros((len(patches), 2, self.size, self.size), dtype=np.float32)
            planes[:, 0] = patches
            planes[:, 1, 0] = noise
            return logistic(runtime(planes)["segmentation"][:, 0])

        maps = {"probability": masks(np.zeros(LATENT))}
        if self.samples:
            # All patches move by the same noise, so that the grid of patches does not show in the samples.
            noise = np.random.default_rng(0).standard_normal((self.samples, LATENT))
            maps["uncertainty"] = np.std([masks(one) for one in noise], axis=0)
        return maps

    def measure(self, maps: dict[str, np.ndarray], labels: np.ndarray, image: CCDData) -> QTable:
        """The catalogue of the labels, with the uncertainty where samples were asked for."""
        catalog = super().measure(maps, labels, image)
        if "uncertainty" in maps:
            sums = np.bincount(labels.ravel(), maps["uncertainty"].ravel(), minlength=len(catalog) + 1)[1:]
            catalog["vae_uncertainty"] = sums / catalog["n_pixels"]
            catalog["vae_uncertainty"].info.description = "Standard deviation of a pixel's probability, mean"
        return catalog
