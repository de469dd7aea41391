"""What the finders that see an image patch by patch have in common."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from astropy.nddata import CCDData
from astropy.table import QTable
from skimage import filters

from astroseg import Detections, SourceFinder, measure, read_image, standardize
from astroseg.background import significance
from astroseg.catalog import UNTRAINED, UNTRUSTED
from astroseg.labels import components, remove_small
from astroseg_networks.patches import BEAMS, average_patches
from astroseg_networks.runtime import Runtime, hash_weights, open_runtime
from astroseg_networks.untrained import is_untrained

__all__ = ["PatchFinder"]

MAPS = {"segmentation": 1}


class PatchFinder(SourceFinder):
    """Base of the finders with a network of small patches. Its options are those that a subclass stores.

    A subclass names the network (``architecture``), the side of its patches and their number in a batch, builds it in
    torch (``build``), and makes its input (``sky``, ``run``).
    """

    architecture: ClassVar[str]
    size: ClassVar[int]
    batch: ClassVar[int]
    uses = ("onnxruntime", "torch")

    weights: str
    device: str
    method: str
    threshold: float
    min_pixels: int

    @staticmethod
    def build(arguments: dict[str, Any]) -> Any:
        """The network, in torch."""
        raise NotImplementedError

    def sky(self, image: CCDData) -> np.ndarray:
        """What the patches are taken from.

        Parameters
        ----------
        image : `~astropy.nddata.CCDData`
            With background and noise.

        Returns
        -------
        `~numpy.ndarray` of float32, shape (ny, nx)
            asinh(image over noise), where a subclass does not say otherwise; 0 where blank.
        """
        return np.arcsinh(significance(image))

    def run(self, runtime: Runtime, patches: np.ndarray) -> dict[str, np.ndarray]:
        """Maps of some patches.

        Parameters
        ----------
        runtime : `~astroseg_networks.runtime.Runtime`
        patches : `~numpy.ndarray` of float32, shape (batch, size, size)
            Of `sky`.

        Returns
        -------
        dict of `~numpy.ndarray`, shape (batch, size, size)
            ``probability`` among them.
        """
        raise NotImplementedError

    def find(self, image: Any, **prompts: Any) -> Detections:
        """Find the sources of an image; see `astroseg.SourceFinder.find`."""
        self.validate()
        self.check_prompts(prompts)
        image = _standardized(image)
        untrained = is_untrained(self.name, image, narrowest=BEAMS[0], widest=BEAMS[1])
        runtime = self._runtime()
        maps = self._maps(runtime, image)
        labels = self.label(maps["probability"], image.mask)
        catalog = self.measure(maps, labels, image)
        catalog["flags"] |= UNTRUSTED | (UNTRAINED if untrained else 0)  # the labels are no isophotes
        return self.detections(image, catalog, labels, maps["probability"])

    def identity(self) -> dict[str, str]:
        """What the answer depends on besides the options: the file of weights."""
        return {"weights_sha256": hash_weights(self.weights, self.device)}

    def maps(self, image: Any) -> dict[str, np.ndarray]:
        """What the network says of each pixel.

        Parameters
        ----------
        image : anything that `~astroseg.read_image` takes

        Returns
        -------
        dict of `~numpy.ndarray` of float32, shape (ny, nx)
            ``probability`` to lie on a source, 0 where blank, and what else the finder offers.
        """
        self.validate()
        return self._maps(self._runtime(), _standardized(image))

    def _runtime(self) -> Runtime:
        return open_runtime(self.weights, self.architecture, self.device, self.build, maps=MAPS)

    def _maps(self, runtime: Runtime, image: CCDData) -> dict[str, np.ndarray]:
        run, step = partial(self.run, runtime), self.size // 2
        maps = average_patches(run, self.sky(image), size=self.size, step=step, batch=self.batch)
        if image.mask is not None:
            maps["probability"][image.mask] = 0
        return maps

    def label(self, probability: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """The label image of a map of probabilities: what is connected above the threshold."""
        threshold = self.threshold
        seen = probability if mask is None else probability[~mask]
        # On empty sky a histogram would divide what is no more than ripples of the network.
        if self.method != "fixed" and np.max(seen, initial=0) > threshold:
            threshold = float(getattr(filters, f"threshold_{self.method}")(seen))
        return remove_small(components(probability > threshold), self.min_pixels)

    def measure(self, maps: dict[str, np.ndarray], labels: np.ndarray, image: CCDData) -> QTable:
        """The catalogue of the labels."""
        return measure(image, labels, probability=maps["probability"])


def _standardized(image: Any) -> CCDData:
    image = read_image(image)
    return image if "background" in image.meta else standardize(image, "mesh")
